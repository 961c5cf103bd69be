"""Dilation, closing and skeletons of masks, in NumPy alone, so that they cost no heavy import."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

# The neighbours of a pixel clockwise from above, P2 to P9 in the paper of Zhang and Suen.
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def dilate(mask: Mask, radius: int) -> Mask:
    """Dilate a mask [H,W] by a disc of `radius` px."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    result = np.zeros_like(mask)
    if not len(rows):
        return result
    top, bottom = max(0, rows[0] - radius), min(height, rows[-1] + radius + 1)
    left, right = max(0, columns[0] - radius), min(width, columns[-1] + radius + 1)
    part = mask[top:bottom, left:right]
    sums = np.cumsum(np.pad(part, ((0, 0), (radius + 1, radius))), axis=1, dtype=np.int32)
    inside = result[top:bottom, left:right]
    for shift in range(-min(radius, len(part) - 1), min(radius, len(part) - 1) + 1):
        reach = int(np.sqrt(radius**2 - shift**2))
        ends = sums[:, radius + reach + 1 : radius + reach + 1 + part.shape[1]]
        spread = ends > sums[:, radius - reach : radius - reach + part.shape[1]]
        if shift >= 0:
            inside[shift:] |= spread[: len(part) - shift]
        else:
            inside[:shift] |= spread[-shift:]
    return result


def close_mask(mask: Mask, radius: int) -> Mask:
    """Close a mask [H,W] by a disc of `radius` px; its edge values continue beyond the photo."""
    padded = np.pad(mask, radius, mode="edge")
    return ~dilate(~dilate(padded, radius), radius)[radius:-radius, radius:-radius]


def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return two tables over the 256 neighbourhoods of a pixel.

    The first, [2,256], says whether either half-step of thinning removes the pixel. The second, [256], says
    whether the pixel joins nothing: S. Yokoi's connectivity number for eight neighbours is 1 there. Line ends
    stay.
    """
    removable, joins_nothing = np.zeros((2, 256), np.bool_), np.zeros(256, np.bool_)
    for code in range(256):
        ring = [bool(code >> bit & 1) for bit in range(8)]
        up, right, down, left = ring[::2]
        rises = sum(not ring[bit] and ring[(bit + 1) % 8] for bit in range(8))
        if 2 <= sum(ring) <= 6 and rises == 1:
            removable[0, code] = not (up and right and down) and not (right and down and left)
            removable[1, code] = not (up and right and left) and not (up and down and left)
        joins = sum(not ring[bit] and (ring[bit + 1] or ring[(bit + 2) % 8]) for bit in (0, 2, 4, 6))
        joins_nothing[code] = joins == 1 and sum(ring) >= 2
    return removable, joins_nothing


_REMOVABLE, _JOINS_NOTHING = _tables()


def skeletonise(mask: Mask) -> Mask:
    """Thin a mask [H,W] to its skeleton; lines stay connected, and line ends stay in place.

    T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27 (1984).
    Then the corners of staircases go, as they would make a slanting line up to √2 too long.
    """
    result = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return result
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    picture = np.pad(mask[inside], 1)
    flat = picture.reshape(-1)
    offsets = np.array([down * picture.shape[1] + right for down, right in _NEIGHBOURS])
    weights = 1 << np.arange(8)
    # A half-step can only change its decision where a neighbour was removed since its last turn.
    before = changed = np.flatnonzero(flat)
    last_place = np.empty(len(flat), np.int64)
    step = 0
    while len(before) or len(changed):
        candidates = np.concatenate([before, changed])
        candidates = candidates[flat[candidates]]
        # Repetitions go without sorting: of equal indices, only the last one written finds its own place.
        places = np.arange(len(candidates))
        last_place[candidates] = places
        candidates = candidates[last_place[candidates] == places]
        removed = candidates[_REMOVABLE[step][flat[candidates[:, None] + offsets] @ weights]]
        flat[removed] = False
        before, changed = changed, (removed[:, None] + offsets).reshape(-1)
        step = 1 - step
    corners = np.flatnonzero(flat)
    corners = corners[_JOINS_NOTHING[flat[corners[:, None] + offsets] @ weights]]
    for index in corners.tolist():  # one after the other, since removing one changes its neighbours
        flat[index] = not _JOINS_NOTHING[flat[index + offsets] @ weights]
    result[inside] = picture[1:-1, 1:-1]
    return result


def mean_width(mask: Mask) -> float:
    """Return a mask's mean width in px: its area by the length of its skeleton; 0 for an empty mask."""
    length = int(skeletonise(mask).sum())
    return float(mask.sum()) / length if length else 0.0
