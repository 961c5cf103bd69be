"""Decide where a photo shows a line along a path, and where the path only follows the wall's texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A path through bare texture also collects dark pixels, but its ridge is weaker and its depth less steady.
# The weights come from a logistic regression on windows of rendered cracks and of the same outlines on the
# same walls without the crack. A regression on real photos gave the same ratio within a third.
_WINDOW = 24.0  # px at 640 over which the ridge and the depth are averaged
_UNSTEADY = 0.3  # weight of the depth's standard deviation, relative to that of the ridge strength
_SURE = -0.55  # least score of a line
_POSSIBLE = -0.85  # least score of a line's further course
_CLOSE = 9.0  # px at 640 over which the ridge is averaged to find short gaps
_LEAST_STRENGTH = 0.6
_GAP = 24.0  # px at 640, longest gap in a line that is bridged
_LEAST = 12.0  # px at 640, length of the shortest line


def seen_along(strength: Floats, depth: Floats, unit: float) -> NDArray[np.bool_]:
    """Return whether the photo shows a line at each point of a path, bool [N].

    Args:
        strength: Strength of the dark ridge at each point, [N].
        depth: Grey levels by which each point is darker than its sides, [N].
        unit: Factor for all distances, which are given for a photo with a longer side of 640 px.
    """
    size = min(round(_WINDOW * unit), len(strength)) // 2 * 2 + 1
    mean, middle, square = (moving_mean(values, size) for values in (strength, depth, depth**2))
    spread = np.sqrt(np.maximum(square - middle**2, 0))
    score = np.log(mean + 0.1) - _UNSTEADY * np.log(spread + 1)
    close = moving_mean(strength, round(_CLOSE * unit) // 2 * 2 + 1)
    possible = (score >= _POSSIBLE) & (middle > 0)
    runs = np.cumsum(np.diff(possible, prepend=False))
    sure = np.isin(runs, runs[possible & (score >= _SURE)])
    return np.asarray(sure & (close >= _LEAST_STRENGTH))


def moving_mean(values: Floats, size: int) -> Floats:
    """Return the mean of `size` (odd) neighbours of each of N values; windows are cut off at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - size // 2, 0), np.minimum(places + size // 2 + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def visible_stretches(seen: NDArray[np.bool_], unit: float) -> list[tuple[int, int]]:
    """Return the visible stretches (first, last exclusive) of a path; see `seen_along` for `unit`.

    Gaps of up to 24 px at 640 are bridged. Stretches with less than 12 px at 640, or less than 60 % of a
    short path, are dropped.
    """
    joined: list[list[int]] = []
    for first, last in true_runs(seen).tolist():
        if joined and first - joined[-1][1] <= _GAP * unit:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    least = min(_LEAST * unit, max(4, 0.6 * len(seen)))
    return [(first, last) for first, last in joined if seen[first:last].sum() >= least]


def true_runs(chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the first and last index (exclusive) of each run of True in an array [N], [K,2]."""
    return np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]]))).reshape(-1, 2)
