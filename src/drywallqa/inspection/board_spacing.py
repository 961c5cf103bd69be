"""The distance in pixels between neighbouring parallel joints of boards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ScaleError
from drywallqa.imaging.straight_lines import StraightLine

Floats = NDArray[np.float64]

_LEAST_LENGTH = 0.4  # of a joint, as a share of the photo's shorter side
_MOST_ANGLE = math.radians(4)  # between joints that count as parallel
_SAME_JOINT = 0.04  # distance between pieces of one joint, as a share of the photo's shorter side
_MOST_CHANGE = 0.1  # of the distance along the joints, relative
_EDGE_SIGMA = 3.0  # px, of the position of a joint
_ADVICE = "use a marker, or give four points with --rectangle"


def board_spacing(joints: Sequence[StraightLine], size: tuple[int, int]) -> tuple[float, float]:
    """Return the distance in px between neighbouring parallel joints, and its relative standard uncertainty.

    The longest joint gives the direction. If there are more than two joints, all distances must agree.

    Args:
        joints: The joints found in the photo.
        size: Height and width of the photo in px.

    Raises:
        ScaleError: The photo does not clearly show two parallel joints, or their distances differ.
    """
    side = min(size)
    places = _joint_places(joints, side)
    if len(places) < 2:
        raise ScaleError(f"--board: the photo does not show two long parallel joints; {_ADVICE}")
    gaps = np.diff(places, axis=0)  # [K-1,2], at both ends of the common range
    spacing = float(gaps.mean())
    change = float(np.abs(np.diff(gaps)).max()) / spacing
    if change > _MOST_CHANGE:
        raise ScaleError(
            f"--board: the joints' distance changes by {change:.0%} along them, so the wall is tilted; "
            f"{_ADVICE}"
        )
    if float(np.ptp(gaps.mean(1))) > _MOST_CHANGE * spacing:
        raise ScaleError(
            f"--board: the joints are {_listed(gaps.mean(1))} px apart, not equally far; {_ADVICE}"
        )
    return spacing, math.hypot(_EDGE_SIGMA * math.sqrt(2) / spacing, change / math.sqrt(12))


def _joint_places(joints: Sequence[StraightLine], side: int) -> Floats:
    """Return the positions [K,2] of the joints across their direction, at both ends of their common range."""
    long = [line for line in joints if line.length >= _LEAST_LENGTH * side]
    if not long:
        return np.empty((0, 2))
    x, y = max(long, key=lambda line: line.length).direction()
    frame = np.array([[x, y], [-y, x]])  # rows: along the longest joint, and across
    ends = [np.array([line.start, line.end]) @ frame.T for line in long]
    ends = [end if end[0, 0] < end[1, 0] else end[::-1] for end in ends]
    ends = [
        end for end in ends if abs(end[1, 1] - end[0, 1]) < math.tan(_MOST_ANGLE) * (end[1, 0] - end[0, 0])
    ]
    common = [max(end[0, 0] for end in ends), min(end[1, 0] for end in ends)]
    if common[1] - common[0] < _LEAST_LENGTH / 2 * side:
        return np.empty((0, 2))
    places = sorted((np.interp(common, *end.T) for end in ends), key=lambda place: float(place.sum()))
    joined: list[list[Floats]] = []
    for place in places:
        if joined and (place - joined[-1][-1]).mean() < _SAME_JOINT * side:
            joined[-1].append(place)
        else:
            joined.append([place])
    return np.array([np.mean(group, axis=0) for group in joined])


def _listed(values: Floats) -> str:
    return ", ".join(f"{value:.0f}" for value in sorted(values))
