"""Free ends of dark lines: where a line stops being dark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_profile import Array, sample, smooth

_STEP = 0.5  # px between samples along a line
_CORE = 0.25  # the inner half of the width, in widths on either side of the centre line
_SIDE = (0.5, 4.0)  # the background begins half a width and 1 px from the centre; its breadth in px
_FARTHER, _FARTHER_PX = 1.3, 8.0  # a line is followed by this many widths and px beyond its last point


def to_free_end(grey: NDArray[np.float32], points: Array, width: Array) -> Array:
    """Extend or shorten a line at its last point, so that it ends where the photo's dark line ends.

    The line goes on straight ahead. It ends where its darkness falls to half, which blur does not shift.

    Args:
        grey: The photo's brightness in grey levels, [H,W].
        points: Points x, y of the centre line, about 1 px apart, [N,2].
        width: Approximate width in px at each point, [N].

    Returns:
        The points [M,2] up to the end, about 1 px apart.
    """
    breadth = float(np.median(width[-max(8, round(float(width[-1]))) :]))
    inside = min(len(points) - 1, round(1.5 * breadth) + 12)
    if inside < 6:
        return points
    path = _straight_on(points, inside, breadth)
    dark = _darkness(grey, path, breadth)
    known = round(inside / _STEP)
    reference = float(np.median(dark[: max(4, known - round(breadth / _STEP))]))
    end = _last_dark(dark, known, 0.5 * reference, breadth)
    if reference <= 0 or end <= 0:
        return points
    kept = np.arange(1.0, end * _STEP + 0.5)
    along = np.arange(len(path)) * _STEP
    tail = np.stack([np.interp(kept, along, column) for column in path.T], axis=1)
    return np.concatenate([points[: len(points) - inside], tail]) if len(tail) else points


def _straight_on(points: Array, inside: int, breadth: float) -> Array:
    """Return the last `inside` px of a line and its straight continuation, sampled every `_STEP` px."""
    tail = np.stack([smooth(column, 2.0) for column in points[-inside - 1 :].T], axis=1)
    back = min(inside, round(max(6.0, breadth)))
    heading = tail[-1] - tail[-1 - back]
    heading /= np.hypot(*heading) + 1e-9
    farther = np.arange(1, round(_FARTHER * breadth + _FARTHER_PX) + 1)[:, None] * heading
    whole = np.concatenate([tail, tail[-1] + farther])
    places = np.append(0.0, np.cumsum(np.hypot(*np.diff(whole, axis=0).T)))
    wanted = np.arange(0, places[-1], _STEP)
    return np.stack([np.interp(wanted, places, column) for column in whole.T], axis=1)


def _darkness(grey: NDArray[np.float32], path: Array, breadth: float) -> Array:
    """Return by how many grey levels the middle of a path [N,2] is darker than its sides, [N]."""
    along = np.gradient(path, axis=0)
    normals = np.stack([along[:, 1], -along[:, 0]], axis=1) / (np.hypot(*along.T)[:, None] + 1e-9)
    core = np.linspace(-_CORE * breadth, _CORE * breadth, max(3, 1 + round(breadth)))
    near = _SIDE[0] * breadth + 1.5
    beside = np.linspace(near, near + _SIDE[1], 8)
    means = []
    for offsets in (core, np.concatenate([-beside, beside])):
        x = path[:, :1] + normals[:, :1] * offsets
        y = path[:, 1:] + normals[:, 1:] * offsets
        means.append(
            np.median(sample(grey, x, y), axis=1) if offsets is not core else sample(grey, x, y).mean(1)
        )
    inside = (path >= 0).all(axis=1) & (path[:, 0] <= grey.shape[1] - 1) & (path[:, 1] <= grey.shape[0] - 1)
    return np.where(inside, smooth(means[1] - means[0], 2.0), -np.inf)


def _last_dark(dark: Array, known: int, level: float, breadth: float) -> float:
    """Return the fractional index at which darkness falls below a level and stays below."""
    stays = max(4, round(0.4 * breadth / _STEP))
    below = dark < level
    start = max(0, known - round((0.8 * breadth + 6) / _STEP))
    for index in range(start, len(dark)):
        if below[index : index + stays].all():
            if index == 0 or not np.isfinite(dark[index]):
                return float(index - 1)
            fall = dark[index - 1] - dark[index]
            return index - 1 + float((dark[index - 1] - level) / fall) if fall > 0 else float(index)
    return float(known)
