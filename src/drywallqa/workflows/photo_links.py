"""Link the findings of photos that show the same part of a wall, in one visit and in successive visits."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, product
from pathlib import Path

from drywallqa.imaging.photos import read_photo
from drywallqa.inspection.alignment import align
from drywallqa.inspection.alignment_features import AlignmentFeatures, features_of
from drywallqa.inspection.ledger import Ledger, PhotoRecord, Visit
from drywallqa.inspection.numbering import PlacedObservation
from drywallqa.inspection.visit_ledger import seen_in_visit
from drywallqa.inspection.visits import PhotoPair, SeenByPhoto, SeenFinding, link_overlaps, match_findings

_NEAR = 4  # photos of a wall are compared with this number of photos before and after them
_IN_MEMORY = 16  # photos whose features are kept


@dataclass(frozen=True)
class Links:
    """Which observations show the same finding.

    Attributes:
        known: Number of the finding by the index of the observation.
        merged: Number of an earlier finding → number of the finding that it became a part of.
        same: Groups of indices of observations; each group is one finding.
        compared: Photo of the earlier visit by photo of this visit.
        doubtful: New photos of a wall with several photos that could not be aligned with one of these.
    """

    known: Mapping[int, int] = field(default_factory=dict)
    merged: Mapping[int, int] = field(default_factory=dict)
    same: Sequence[Sequence[int]] = ()
    compared: Mapping[str, str] = field(default_factory=dict)
    doubtful: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class _VisitPhotos:
    """Photos of a visit with their findings, and the folder that contains the photos."""

    base: Path
    photos: Sequence[PhotoRecord]
    seen: SeenByPhoto

    @property
    def shown(self) -> list[PhotoRecord]:
        """Photos with findings, by place and path."""
        found = [photo for photo in self.photos if self.seen.get(photo.path)]
        return sorted(found, key=lambda photo: (photo.place, photo.path))

    def features(self, path: str) -> AlignmentFeatures:
        return features_of(read_photo(self.base / path), [one.observation for one in self.seen[path]])


def can_align() -> bool:
    """Return whether OpenCV is installed, which aligning photos needs."""
    return importlib.util.find_spec("cv2") is not None


def link_photos(
    ledger: Ledger,
    visit: Visit,
    photos: Sequence[PhotoRecord],
    seen: Sequence[PlacedObservation],
    folder: Path,
) -> Links:
    """Find out which observations of new photos show findings of other photos.

    Args:
        ledger: The ledger without the new photos.
        visit: The visit of the new photos.
        photos: The new photos.
        seen: Observations on the new photos.
        folder: Folder of the results.
    """
    by_photo: dict[str, list[SeenFinding]] = {}
    for index, one in enumerate(seen):
        entry = SeenFinding(index, one.concept, one.observation)
        by_photo.setdefault(one.observation.photo, []).append(entry)
    new = _VisitPhotos(folder / visit.folder, photos, by_photo)
    names = {photo.path for photo in photos}
    recorded = [one for one in ledger.visits if one.number == visit.number]
    same = [photo for one in recorded for photo in one.photos if photo.path not in names]
    others = _VisitPhotos(new.base, same, seen_in_visit(ledger, visit.number))
    walls = [photo.place for photo in (*new.shown, *others.shown)]
    doubtful = {photo.path for photo in new.shown if walls.count(photo.place) > 1}
    if not can_align():
        return Links(doubtful=doubtful)
    inside, beside = _pairs_inside(new), _pairs_between(others, new)
    for pair in (*inside, *beside):
        doubtful -= {pair.first.path, pair.second.path}
    earlier = [one for one in ledger.visits if one.number < visit.number]
    last = earlier[-1] if earlier else Visit(0, "")
    before = _VisitPhotos(folder / last.folder, last.photos, seen_in_visit(ledger, last.number))
    across = _pairs_between(before, new)
    matches = match_findings(before.seen, new.seen, across)
    return Links(
        matches.number_of | match_findings(others.seen, new.seen, beside).number_of,
        matches.merged,
        link_overlaps(new.seen, inside),
        {pair.second.path: pair.first.path for pair in across},
        doubtful,
    )


def _pairs_inside(visit: _VisitPhotos) -> list[PhotoPair]:
    """Align photos of one visit that are near each other in the order of their names."""
    shown = visit.shown
    order = {photo.path: number for number, photo in enumerate(shown)}
    near = [
        (one, other) for one, other in combinations(shown, 2)
        if one.place == other.place and order[other.path] - order[one.path] <= _NEAR
    ]  # fmt: skip
    return list(_aligned(visit, visit, near))


def _pairs_between(before: _VisitPhotos, after: _VisitPhotos) -> list[PhotoPair]:
    """Align photos of the same wall of two visits. On a long wall, photos at similar places are compared."""
    near = []
    for place in sorted({photo.place for photo in after.shown}):
        first, second = ([p for p in one.shown if p.place == place] for one in (before, after))
        step = len(first) / max(1, len(second))
        near += [
            (one, other) for (n, one), (m, other) in product(enumerate(first), enumerate(second))
            if abs(n - m * step) <= _NEAR
        ]  # fmt: skip
    return list(_aligned(before, after, near))


def _aligned(
    before: _VisitPhotos, after: _VisitPhotos, near: Sequence[tuple[PhotoRecord, PhotoRecord]]
) -> Iterator[PhotoPair]:
    features = lru_cache(_IN_MEMORY)(lambda visit, path: visit.features(path))
    for one, other in near:
        alignment = align(features(before, one.path), features(after, other.path))
        if alignment is not None:
            yield PhotoPair(one, other, alignment)
