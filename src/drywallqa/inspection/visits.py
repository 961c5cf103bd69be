"""Match the findings of photos that show the same part of a wall: of two visits, or of one visit.

Findings match if their centre lines run together in aligned photos. A crack that one visit shows in one piece
and another visit in several pieces remains one finding. If cracks have grown together, the one with the
longest common part lives on, and the others are merged into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drywallqa.imaging.morphology import group_links
from drywallqa.inspection.alignment import Alignment
from drywallqa.inspection.finding_overlap import LinePath, mapped_path, overlap_length, path_of, tolerance_px
from drywallqa.inspection.ledger import Observation, PhotoRecord


@dataclass(frozen=True)
class PhotoPair:
    """Two photos of the same part of a wall.

    Attributes:
        first: The earlier photo.
        second: The later photo, or another photo of the same visit.
        alignment: The map from the first photo to the second.
    """

    first: PhotoRecord
    second: PhotoRecord
    alignment: Alignment

    @property
    def tolerance(self) -> float:
        """Distance in px of the first photo within which two centre lines are the same."""
        return tolerance_px(self.first, self.alignment.inverse().residual)


@dataclass(frozen=True)
class SeenFinding:
    """One finding on one photo.

    Attributes:
        key: Number or index of the finding.
        concept: The concept.
        observation: What was measured.
    """

    key: int
    concept: str
    observation: Observation


SeenByPhoto = Mapping[str, Sequence[SeenFinding]]
"""Path of a photo → its findings."""


@dataclass(frozen=True)
class Matches:
    """Which findings of two visits are the same.

    Attributes:
        number_of: Key of a later finding → number of the earlier finding that it continues.
        merged: Number of an earlier finding → number of the finding that it became a part of.
    """

    number_of: dict[int, int]
    merged: dict[int, int]


def match_findings(before: SeenByPhoto, after: SeenByPhoto, pairs: Sequence[PhotoPair]) -> Matches:
    """Match the findings of two visits.

    Args:
        before: Findings of the earlier visit; keys are their numbers.
        after: Findings of the later visit.
        pairs: Aligned photos of the two visits.
    """
    lengths: dict[tuple[int, int], float] = {}
    for pair in pairs:
        for number, key, length in _overlaps(pair, before, after):
            lengths[number, key] = max(length, lengths.get((number, key), 0.0))
    longest_first = sorted(lengths, key=lambda link: (-lengths[link], link))
    number_of: dict[int, int] = {}
    for number, key in longest_first:
        number_of.setdefault(key, number)
    alive = set(number_of.values())
    merged: dict[int, int] = {}
    for number, key in longest_first:
        if number not in alive:
            merged.setdefault(number, number_of[key])
    return Matches(number_of, merged)


def link_overlaps(seen: SeenByPhoto, pairs: Sequence[PhotoPair]) -> list[list[int]]:
    """Link the findings of one visit that several photos show.

    Args:
        seen: Findings of each photo; every finding has its own key.
        pairs: Photos that overlap.

    Returns:
        The keys in groups: each group is one crack or joint. The groups are sorted by their smallest key.
    """
    keys = sorted({one.key for found in seen.values() for one in found})
    index = {key: place for place, key in enumerate(keys)}
    links = [(index[a], index[b]) for pair in pairs for a, b, _ in _overlaps(pair, seen, seen)]
    groups: dict[int, list[int]] = {}
    for key, group in zip(keys, group_links(len(keys), np.array(links).reshape(-1, 2)).tolist(), strict=True):
        groups.setdefault(group, []).append(key)
    return sorted(groups.values())


def _overlaps(pair: PhotoPair, before: SeenByPhoto, after: SeenByPhoto) -> list[tuple[int, int, float]]:
    """Return pairs of keys whose lines run together, with the common length in px of the first photo."""
    backward = pair.alignment.inverse()
    later = [
        (one, mapped_path(path_of((one.observation,)), backward)) for one in after.get(pair.second.path, ())
    ]
    found = []
    for one in before.get(pair.first.path, ()):
        path: LinePath = path_of((one.observation,))
        for other, mapped in later:
            if one.concept == other.concept:
                length = overlap_length(path, mapped, pair.tolerance)
                if length > 0:
                    found.append((one.key, other.key, length))
    return found
