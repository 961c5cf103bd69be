"""Read rings of points from annotation files, and convert boxes and ellipses to rings."""

from __future__ import annotations

import math

import numpy as np

from drywallqa.formats import problems
from drywallqa.formats.geometry import GeometryError, Points
from drywallqa.formats.values import number_of

_DEVIATION_PX = 0.02
"""Maximum distance in px between an ellipse and the polygon that approximates it."""


def read_numbers(values: object) -> list[float]:
    """Read a list of numbers. Return an empty list if the value is not a list.

    Raises:
        GeometryError: A value is not a number.
    """
    if not isinstance(values, list | tuple):
        return []
    numbers = [number_of(value) for value in values]
    if None in numbers:
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a number; dropped")
    return [number for number in numbers if number is not None]


def read_ring(values: object) -> Points:
    """Read a list [x, y, x, y, …] of at least three points as a ring [N,2].

    Raises:
        GeometryError: A value is not a number, the number of values is odd, or there are too few values.
    """
    numbers = read_numbers(values)
    if len(numbers) % 2:
        text = f"the outline has an odd number of coordinates ({len(numbers)}); dropped"
        raise GeometryError(problems.MALFORMED, text)
    if len(numbers) < 6:
        text = f"the outline has {len(numbers) // 2} points, but at least three are needed; dropped"
        raise GeometryError(problems.FEW_POINTS, text)
    return np.array(numbers, np.float64).reshape(-1, 2)


def read_points(values: object, exactly: int | None = None) -> Points:
    """Read a list of pairs [[x, y], …] as points [N,2].

    Args:
        values: The pairs as read from JSON.
        exactly: The required number of points. If None, at least three points are required.

    Raises:
        GeometryError: A value is not a pair of numbers, or the number of points is wrong.
    """
    pairs = [read_numbers(pair) for pair in values] if isinstance(values, list) else []
    if any(len(pair) != 2 for pair in pairs):
        raise GeometryError(problems.MALFORMED, "a point is not a pair of numbers; dropped")
    if exactly is None:
        return read_ring([number for pair in pairs for number in pair])
    if len(pairs) != exactly:
        text = f"the shape has {len(pairs)} points instead of {exactly}; dropped"
        raise GeometryError(problems.FEW_POINTS if len(pairs) < exactly else problems.MALFORMED, text)
    return np.array(pairs, np.float64)


def turn_points(points: Points, centre: tuple[float, float], degrees: float) -> Points:
    """Turn points [N,2] clockwise, as seen on the screen, around a centre (x, y)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray((points - centre) @ np.array([[cosine, sine], [-sine, cosine]]) + centre)


def box_ring(left: float, top: float, right: float, bottom: float) -> Points:
    """Return the corners of a box [4,2], clockwise from the upper left."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def ellipse_ring(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Points:
    """Return a polygon [N,2] that deviates from an ellipse by at most a fiftieth of a pixel.

    Args:
        centre: Centre (x, y) in px.
        radii: Horizontal and vertical radius in px, before the ellipse is turned.
        degrees: Clockwise rotation.

    Raises:
        GeometryError: A number is not finite, or a radius is not positive.
    """
    if not np.isfinite([*centre, *radii, degrees]).all():
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a finite number; dropped")
    if min(radii) <= 0:
        raise GeometryError(problems.DEGENERATE, "the ellipse has a radius that is not positive; dropped")
    count = max(16, math.ceil(math.pi / math.acos(1 - min(1.0, _DEVIATION_PX / max(radii)))))
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii + centre
    return turn_points(ring, centre, degrees)
