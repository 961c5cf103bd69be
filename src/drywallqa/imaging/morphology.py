"""Dilation and closing of masks, in NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dilate(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
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


def close_mask(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Close a mask [H,W] by a disc of `radius` px; beyond the photo's edge lies more of the same."""
    padded = np.pad(mask, radius, mode="edge")
    return ~dilate(~dilate(padded, radius), radius)[radius:-radius, radius:-radius]
