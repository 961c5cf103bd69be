"""Thinning a mask to lines one pixel wide, in NumPy alone, so that it costs no heavy import.

T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27 (1984);
then the corners of its staircases go, which would make a slanting line count up to √2 too long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

# The neighbours of a pixel clockwise from above, as the paper numbers them P2 to P9.
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _tables() -> NDArray[np.bool_]:
    """Say for each of the 256 neighbourhoods whether its pixel goes, in either half-step."""
    tables = np.zeros((2, 256), np.bool_)
    for code in range(256):
        ring = [bool(code >> bit & 1) for bit in range(8)]
        rises = sum(not ring[bit] and ring[(bit + 1) % 8] for bit in range(8))
        if not (2 <= sum(ring) <= 6 and rises == 1):
            continue
        up, right, down, left = ring[0], ring[2], ring[4], ring[6]
        tables[0, code] = not (up and right and down) and not (right and down and left)
        tables[1, code] = not (up and right and left) and not (up and down and left)
    return tables


def _corners() -> list[bool]:
    """Say for each of the 256 neighbourhoods whether its pixel may go without parting what it joins.

    S. Yokoi's connectivity number for eight neighbours: 1 at a pixel that joins nothing. Line ends stay.
    """
    corners = []
    for code in range(256):
        empty = [not code >> bit & 1 for bit in range(8)]
        joins = sum(
            empty[bit] - (empty[bit] and empty[bit + 1] and empty[(bit + 2) % 8]) for bit in (0, 2, 4, 6)
        )
        corners.append(joins == 1 and sum(empty) <= 6)
    return corners


_REMOVABLE = _tables()
_CORNERS = _corners()


def skeletonise(mask: Mask) -> Mask:
    """Thin a mask [H,W] to its skeleton; lines stay connected, line ends stay where they are."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros_like(mask)
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    picture = np.pad(mask[inside], 1)
    width = picture.shape[1]
    flat = picture.reshape(-1)
    offsets = np.array([down * width + right for down, right in _NEIGHBOURS])
    weights = (1 << np.arange(8)).astype(np.int64)
    # Only where a neighbour went since a half-step last looked can it decide otherwise than it did then.
    before = changed = np.flatnonzero(flat)
    last_place = np.empty(len(flat), np.int64)
    step = 0
    while len(before) or len(changed):
        candidates = np.concatenate([before, changed])
        candidates = _once(candidates[flat[candidates]], last_place)
        codes = flat[candidates[:, None] + offsets] @ weights
        gone = candidates[_REMOVABLE[step][codes]]
        flat[gone] = False
        before, changed = changed, (gone[:, None] + offsets).reshape(-1)
        step = 1 - step
    _drop_corners(flat, offsets)
    result = np.zeros_like(mask)
    result[inside] = flat.reshape(picture.shape)[1:-1, 1:-1]
    return result


def _drop_corners(flat: NDArray[np.bool_], offsets: NDArray[np.int64]) -> None:
    """Remove the pixels of a thin skeleton without which it stays connected, one after the other."""
    codes = flat[np.flatnonzero(flat)[:, None] + offsets] @ (1 << np.arange(8))
    ring = offsets.tolist()
    for index in np.flatnonzero(flat)[np.array(_CORNERS)[codes]].tolist():
        # Others before it may have gone meanwhile.
        if _CORNERS[sum(1 << bit for bit in range(8) if flat[index + ring[bit]])]:
            flat[index] = False


def _once(indices: NDArray[np.int64], scratch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Drop repetitions without sorting: of equal indices, only the one written last finds its own place."""
    places = np.arange(len(indices))
    scratch[indices] = places
    return np.asarray(indices[scratch[indices] == places], np.int64)


def mean_width(mask: Mask) -> float:
    """Return a mask's mean width in px: its area over its skeleton's pixels; 0 where it is empty."""
    length = int(skeletonise(mask).sum())
    return float(mask.sum()) / length if length else 0.0
