"""The photos of two visits: find them on disk, check that they did not change, and align them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DataError, PhotoError
from drywallqa.files import file_digest
from drywallqa.imaging.photo_search import absolute_path
from drywallqa.imaging.photos import check_readable_file, read_photo
from drywallqa.inspection.alignment import align
from drywallqa.inspection.alignment_features import AlignmentFeatures, features_of
from drywallqa.inspection.finding_overlap import LinePath
from drywallqa.inspection.ledger import Ledger, PhotoRecord, Visit
from drywallqa.inspection.ledger_file import read_ledger
from drywallqa.inspection.second_look import visible_points
from drywallqa.inspection.visit_ledger import seen_in_visit
from drywallqa.inspection.visits import PhotoPair
from drywallqa.workflows.inspection_files import LEDGER

_MOST_TRIES = 24  # earlier photos of a place with which a later photo is compared


@dataclass(frozen=True)
class InspectedVisit:
    """The newest visit of an inspection and its photos on disk.

    Attributes:
        ledger: The ledger.
        folder: The folder of `inspection.json`.
        photos: Photos of the newest visit that can be compared.
        problems: One sentence for each photo that cannot be compared.
    """

    ledger: Ledger
    folder: Path
    photos: tuple[PhotoRecord, ...]
    problems: tuple[str, ...]

    @property
    def visit(self) -> Visit:
        """The newest visit."""
        return self.ledger.visits[-1]

    def path_of(self, photo: str) -> Path:
        """Return the path on disk of a photo of the ledger."""
        return absolute_path(self.folder / self.visit.folder / photo)

    def read(self, photo: str) -> NDArray[np.uint8]:
        """Return a photo, uint8 [H,W,3]."""
        return _cached_photo(self.path_of(photo))

    def look(self, photo: str, path: LinePath, tolerance: float) -> NDArray[np.bool_]:
        """Return at which points of a path a photo shows a line."""
        return visible_points(self.read(photo), path, tolerance)

    def features(self, photo: PhotoRecord) -> AlignmentFeatures:
        """Return what an alignment compares of a photo."""
        seen = seen_in_visit(self.ledger, self.visit.number).get(photo.path, ())
        return features_of(self.read(photo.path), [one.observation for one in seen])


@lru_cache(maxsize=2)
def _cached_photo(path: Path) -> NDArray[np.uint8]:
    return read_photo(path)


def open_visit(folder: Path) -> InspectedVisit:
    """Read the newest visit of an inspection, and check its photos.

    Raises:
        DataError: The inspection cannot be read, or none of its photos can be compared.
    """
    ledger = read_ledger(folder / LEDGER)
    if not ledger.visits:
        raise DataError(f"{folder / LEDGER} contains no visit; inspect photos first")
    visit = InspectedVisit(ledger, folder, (), ())
    photos, problems = [], []
    for photo in visit.visit.photos:
        if not photo.refused:
            problem = _problem_of(visit.path_of(photo.path), photo, visit.visit.date)
            problems += [problem] if problem else []
            photos += [] if problem else [photo]
    if not photos:
        reason = problems[0] if problems else "all its photos were refused"
        raise DataError(f"{folder}: no photo of the inspection can be compared: {reason}")
    return InspectedVisit(ledger, folder, tuple(photos), tuple(problems))


def _problem_of(path: Path, photo: PhotoRecord, date: str) -> str:
    try:
        check_readable_file(path)
        if file_digest(path) == photo.digest:
            return ""
    except PhotoError as error:
        return str(error)
    except OSError as error:
        return str(PhotoError(path, f"cannot be read ({error})", "check the file"))
    return f"{path}: the photo has changed since its inspection on {date}; inspect it again"


def check_different(before: InspectedVisit, after: InspectedVisit, out: Path) -> None:
    """Check that two visits are two visits.

    Raises:
        DataError: Both are the same inspection, have the same photos, or are in the wrong order. The date of
            photos that were inspected only for the comparison, below `out`, says nothing about their order.
    """
    folders = [absolute_path(one.folder) for one in (before, after)]
    if folders[0] == folders[1]:
        raise DataError(f"{before.folder} was given twice; pass the folders of two inspections")
    given = not any(folder.is_relative_to(absolute_path(out)) for folder in folders)
    if given and before.visit.date > after.visit.date:
        raise DataError(
            f"{before.folder} was inspected on {before.visit.date}, after {after.folder} on "
            f"{after.visit.date}; pass the earlier inspection first"
        )
    if {one.digest for one in before.photos} == {one.digest for one in after.photos}:
        raise DataError(f"{before.folder} and {after.folder} show the same photos; pass photos of two visits")


def align_visits(before: InspectedVisit, after: InspectedVisit) -> list[PhotoPair]:
    """Align the photos of two visits that show the same part of a wall.

    Photos are compared within each place. If the visits have no place in common, all photos are compared.

    Raises:
        DataError: No photos could be aligned.
    """
    pairs: list[PhotoPair] = []
    common = _places_of(before) & _places_of(after)
    for places in [{place} for place in sorted(common)] or [_places_of(before) | _places_of(after)]:
        sides = [[one for one in visit.photos if one.place in places] for visit in (before, after)]
        features = {one.path: before.features(one) for one in sides[0]}
        for number, second in enumerate(sides[1]):
            own = after.features(second)
            for first in _likely_first(sides[0], second, number / len(sides[1])):
                alignment = align(features[first.path], own)
                if alignment is not None:
                    pairs.append(PhotoPair(first, second, alignment))
    if not pairs:
        raise DataError(
            f"{before.folder} and {after.folder} do not match: no two photos surely show the same part of a "
            "wall; check the folders, and take photos that overlap and show the same cracks or marks"
        )
    return pairs


def _places_of(visit: InspectedVisit) -> set[str]:
    return {one.place for one in visit.photos}


def _likely_first(photos: Sequence[PhotoRecord], other: PhotoRecord, share: float) -> list[PhotoRecord]:
    """Return the most likely matches of a photo: its name first, then by their place in the order."""

    def unlikely(place: int) -> tuple[bool, float]:
        return photos[place].path != other.path, abs(place / len(photos) - share)

    return [photos[place] for place in sorted(range(len(photos)), key=unlikely)[:_MOST_TRIES]]
