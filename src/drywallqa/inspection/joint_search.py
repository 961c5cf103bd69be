"""Find the joints between boards inside an outline: their straight extents and their visible lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine, find_lines
from drywallqa.imaging.morphology import Mask
from drywallqa.imaging.straight_lines import StraightLine, joint_lines
from drywallqa.inspection.outline_parts import OutlineParts
from drywallqa.inspection.outline_rings import outer_rings
from drywallqa.inspection.sightings import JointExtent, Sighting

Floats = NDArray[np.float64]
Photo = NDArray[np.uint8]
Probability = NDArray[np.float32]

_BAND = 12.0  # px at 640: half width of the band around a joint in which its line is searched
_INSIDE = 0.8  # share of a line's points inside the band of the joint to which the line belongs


def find_joints(
    photo: Photo, outline: Mask, probability: Probability | None, parts: OutlineParts, concept: str
) -> list[Sighting]:
    """Find the joints inside an outline.

    A joint is straight, and its parts may lie in several components of the outline. An outline that is too
    compact to show the direction of its joint is searched for the seam between two boards.

    Args:
        photo: RGB uint8 [H,W,3].
        outline: The components to search [H,W].
        probability: The model's probability of each pixel [H,W]; None if unknown.
        parts: All components.
        concept: The concept of the outline.
    """
    straight = list(joint_lines(photo, outline))
    if not straight:
        members = np.unique(parts.labels[outline]).astype(np.int64) - 1
        return [parts.sighting_of(concept, members[n : n + 1]) for n in range(len(members))]
    reach = _BAND * parts.unit
    near = np.zeros_like(outline)
    for line in straight:
        near |= line.band(outline.shape, reach)
    lines = find_lines(photo, near).lines
    rows, columns = np.nonzero(outline)
    places = np.stack([columns, rows], 1)
    nearest = _nearest(straight, places)
    found = []
    for number, line in enumerate(straight):
        mine = places[nearest == number]
        if len(mine):
            own = [one for one in lines if (_distances(line, one.points) <= reach).mean() >= _INSIDE]
            found.append(_joint_of(line, mine, own, probability, concept))
    return found


def _nearest(lines: Sequence[StraightLine], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the line that is nearest to each place [N,2]."""
    nearest, least = np.zeros(len(places), np.int64), np.full(len(places), np.inf)
    for number, line in enumerate(lines):
        distance = _distances(line, places)
        closer = distance < least
        nearest[closer], least[closer] = number, distance[closer]
    return nearest


def _distances(line: StraightLine, places: NDArray[Any]) -> Floats:
    """Return the distance in px of each place [N,2] from a line segment."""
    start, direction = np.array(line.start), np.array(line.direction())
    along = ((places - start) @ direction).clip(0, line.length)
    return np.asarray(np.hypot(*(places - start - along[:, None] * direction).T))


def _joint_of(
    line: StraightLine, places: NDArray[np.int64], own: Sequence[CrackLine], probability: Probability | None,
    concept: str,
) -> Sighting:  # fmt: skip
    """Return the sighting of a joint, given the pixels [N,2] of its outline and its visible lines."""
    direction, start = np.array(line.direction()), np.array(line.start)
    along = (places - start) @ direction
    first, last = float(along.min()), float(along.max()) + 1
    steps = np.unique(np.floor(along - first).astype(np.int64))
    ends = start + np.outer([first, last], direction)
    (left, top), (right, bottom) = places.min(0).tolist(), (places.max(0) + 1).tolist()
    mask = np.zeros((bottom - top, right - left), np.bool_)
    mask[places[:, 1] - top, places[:, 0] - left] = True
    likely = 1.0 if probability is None else float(probability[places[:, 1], places[:, 0]].mean())
    extent = JointExtent(ends, float(len(steps)), len(places) / len(steps))
    rings = tuple(outer_rings(mask, (left, top)))
    return Sighting(concept, (left, top, right, bottom), len(places), likely, rings, tuple(own), joint=extent)
