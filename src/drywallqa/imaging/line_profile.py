"""Edges of a dark line, read from the grey profiles across its centre line."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Offsets of a profile's samples in half widths, or in units of 2 px if the line is narrower. The
# background lies beyond 1.8 units.
_REACH, _SAMPLES = 3.2, 161
_OFFSETS = np.linspace(-_REACH, _REACH, _SAMPLES)
_SPACING = 2 * _REACH / (_SAMPLES - 1)
_LEAST_UNIT = 2.0
_CORE, _BACKGROUND = 0.5, 1.8
_NEIGHBOURS = 61  # points with which a reading is compared
_WIDER, _FAINTER = 1.4, 0.7  # a place that is so much wider than its neighbours and so much fainter is wrong
_FARTHEST = 2.4  # an edge farther than this from the centre, in the same units, was not seen
_STAYS = 5  # samples for which a profile must stay above half depth beyond an edge
_ROUNDS = 3
_ALONG = 2  # profiles are averaged over 2 * _ALONG + 1 points
_LEAST_DEPTH = 5.0  # grey levels: a line that is less dark does not move the centre line
_STEADY = 9  # points over which the widths are smoothed
_CLEAR = 8.0  # depth of a clear line in units of the averaged profiles' noise
_LEAST_SIGMA = 0.1  # px
_RISE = 2.0  # px over which brightness rises at an edge; noise moves the edge by a share of it


@dataclass(frozen=True)
class Edges:
    """Both edges of a line, for each of N points of its centre line.

    Attributes:
        points: Centre line, x and y in px, float64 [N,2].
        left: Distance in px from the centre line to the edge on the left of the direction of travel, [N].
        right: Distance in px to the edge on the right, [N].
        sigma: Standard uncertainty of the width in px, [N].
        depth: Grey levels by which the line is darker than the brighter of its two sides, [N].
    """

    points: Array
    left: Array
    right: Array
    sigma: Array
    depth: Array


def read_edges(grey: NDArray[np.float32], points: Array, half_width: Array) -> Edges:
    """Read both edges of a dark line in sub-pixels.

    Each side has its own background. An edge lies at half depth, the place that blur shifts least. Blur still
    widens a line of less than 4 px; `line_blur.correct_blur` corrects the widths of a photo's lines.

    Args:
        grey: The photo's brightness in grey levels, [H,W].
        points: Points of the centre line, about 1 px apart; x right, y down, pixel centres at whole numbers;
            [N,2].
        half_width: Approximate half width of the line at each point in px, [N].

    Returns:
        The edges, with points moved to the middle between them.
    """
    points, half = np.asarray(points, float), np.maximum(np.asarray(half_width, float), 0.5)
    along = _ALONG
    for turn in range(_ROUNDS):
        found = _without_flares(_edges(grey, points, half, along))
        left, right = _filled(found.left, found.reliable, half), _filled(found.right, found.reliable, half)
        if turn < _ROUNDS - 1:
            along = _window(found)
            shift = np.where(found.depth > _LEAST_DEPTH, (left - right) / 2, 0.0)
            bound = np.maximum(1.5, half)
            shift = smooth(running_median(np.clip(shift, -bound, bound), 7), 2.0)
            points = points + left_normals(points) * shift[:, None]
            half = np.maximum(smooth(running_median((left + right) / 2, _STEADY), 2.0), 0.5)
    steady_left, steady_right = (smooth(running_median(side, 5), 1.0) for side in (left, right))
    spread = running_median(np.abs(left + right - steady_left - steady_right), 4 * _STEADY + 1)
    unclear = running_median(found.noise / np.maximum(found.depth, 1.0), 4 * _STEADY + 1)
    sigma = np.hypot(np.hypot(1.48 * spread, _LEAST_SIGMA), _RISE * unclear)
    sigma = np.where(found.reliable, sigma, np.maximum(sigma, 0.25 * (left + right)))
    return Edges(points, steady_left, steady_right, sigma, found.depth)


def _without_flares(found: _Found) -> _Found:
    """Mark readings as unreliable where a line looks wider but fainter than around.

    A crack that opens becomes darker. Where it fades, its profile reaches half depth only somewhere in the
    texture beside it.
    """
    width = found.left + found.right
    usual_width, usual_depth = (running_median(side, _NEIGHBOURS) for side in (width, found.depth))
    flares = (width > _WIDER * usual_width) & (found.depth < _FAINTER * usual_depth)
    return replace(found, reliable=found.reliable & ~flares)


def _filled(values: Array, reliable: NDArray[np.bool_], default: Array) -> Array:
    """Replace unreliable values [N] by values interpolated from reliable points."""
    if not reliable.any():
        return default
    places = np.arange(len(values))
    return np.asarray(np.interp(places, places[reliable], values[reliable]))


def _window(found: _Found) -> int:
    """Return over how many points on either side profiles are averaged: more on a faint line."""
    if not len(found.depth):
        return _ALONG
    clearness = float(np.median(found.depth) / (np.median(found.noise) + 1e-6))
    return _ALONG if clearness > _CLEAR else 3 * _ALONG if clearness > _CLEAR / 2 else 6 * _ALONG


def left_normals(points: Array) -> Array:
    """Return the unit vectors [N,2] that point to the left of a line's direction of travel, as seen."""
    if len(points) < 2:
        return np.tile([0.0, -1.0], (len(points), 1))
    along = np.stack([np.gradient(smooth(column, 2.0)) for column in points.T], axis=1)
    return np.asarray(np.stack([along[:, 1], -along[:, 0]], axis=1) / (np.hypot(*along.T)[:, None] + 1e-9))


def smooth(values: Array, deviation: float) -> Array:
    """Smooth values [N] along a line with a Gaussian; point mirroring at the ends keeps slopes."""
    reach = min(max(1, int(3 * deviation)), len(values) - 1)
    if reach < 1:
        return values
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    before, after = 2 * values[0] - values[reach:0:-1], 2 * values[-1] - values[-2 : -reach - 2 : -1]
    return np.asarray(np.convolve(np.concatenate([before, values, after]), weights / weights.sum(), "valid"))


def running_median(values: Array, size: int) -> Array:
    """Return the median of `size` (odd) neighbours for each of N values; end values are repeated."""
    if len(values) < size:
        return np.full_like(values, np.median(values)) if len(values) else values
    padded = np.pad(values, size // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, size), axis=1))


def sample(grey: NDArray[np.float32], x: Array, y: Array) -> Array:
    """Interpolate a photo [H,W] bilinearly; positions outside take the value at the border."""
    x = np.clip(x, 0, grey.shape[1] - 1)
    y = np.clip(y, 0, grey.shape[0] - 1)
    column = np.clip(x.astype(np.intp), 0, max(grey.shape[1] - 2, 0))
    row = np.clip(y.astype(np.intp), 0, max(grey.shape[0] - 2, 0))
    right, down = x - column, y - row
    next_column, next_row = np.minimum(column + 1, grey.shape[1] - 1), np.minimum(row + 1, grey.shape[0] - 1)
    upper = grey[row, column] * (1 - right) + grey[row, next_column] * right
    lower = grey[next_row, column] * (1 - right) + grey[next_row, next_column] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)


def _profiles(grey: NDArray[np.float32], points: Array, unit: Array, along: int) -> Array:
    """Sample the profiles [N,S] across a line from right to left, averaged over neighbouring points."""
    normals = left_normals(points)
    offsets = unit[:, None] * _OFFSETS
    profiles = sample(
        grey, points[:, :1] + normals[:, :1] * offsets, points[:, 1:] + normals[:, 1:] * offsets
    )
    return average_along(profiles, along)


def average_along(profiles: Array, along: int) -> Array:
    """Average each profile [N,S] with `along` profiles on either side; end profiles are repeated."""
    size = 2 * along + 1
    if len(profiles) <= size:
        return np.broadcast_to(profiles.mean(axis=0), profiles.shape) if len(profiles) else profiles
    sums = np.cumsum(np.pad(profiles, ((along + 1, along), (0, 0)), mode="edge"), axis=0)
    return np.asarray((sums[size:] - sums[:-size]) / size)


@dataclass(frozen=True)
class _Found:
    """Distances to both edges in px, depth and noise in grey levels, whether both edges were seen; [N]."""

    left: Array
    right: Array
    depth: Array
    noise: Array
    reliable: NDArray[np.bool_]


def _edges(grey: NDArray[np.float32], points: Array, half: Array, along: int) -> _Found:
    """Find both edges on each profile."""
    unit = np.maximum(half, _LEAST_UNIT)
    profiles = _profiles(grey, points, unit, along)
    core = np.abs(_OFFSETS) <= _CORE
    start = np.flatnonzero(core)[np.argmin(profiles[:, core], axis=1)]
    broad = half > 2 * _LEAST_UNIT
    dark = np.where(broad, np.median(profiles[:, core], axis=1), np.min(profiles[:, core], axis=1))
    edges, brightness, noise, seen = [], [], [], np.ones(len(points), np.bool_)
    for direction in (1, -1):
        beyond = profiles[:, direction * _OFFSETS >= _BACKGROUND]
        background = np.median(beyond, axis=1)
        level = (dark + np.maximum(background, dark + 1e-3)) / 2
        first = start if direction == 1 else _SAMPLES - 1 - start
        crossing = _crossing(profiles[:, ::direction], first, level) * _SPACING - _REACH
        seen &= crossing < _FARTHEST
        edges.append(crossing * unit)
        brightness.append(background)
        noise.append(np.median(np.abs(beyond - background[:, None]), axis=1) * 1.48)
    depth = np.minimum(*brightness) - dark
    return _Found(edges[0], edges[1], depth, (noise[0] + noise[1]) / 2, seen & (depth > 0))


def _crossing(profiles: Array, start: NDArray[np.intp], level: Array) -> Array:
    """Return the fractional index at which each profile [N,S] first rises above its level and stays above."""
    index = np.arange(profiles.shape[1])
    over = profiles >= level[:, None]
    stays = over.copy()
    for step in range(1, _STAYS):
        stays[:, :-step] &= over[:, step:]
    stays &= index > start[:, None]
    stays[:, -1] = True
    found = stays.argmax(axis=1)
    row = np.arange(len(profiles))
    below, above = profiles[row, found - 1], profiles[row, found]
    rise = above - below
    share = np.where(rise > 1e-6, (level - below) / np.where(rise > 1e-6, rise, 1), 1.0)
    return np.asarray(found - 1 + np.clip(share, 0, 1))
