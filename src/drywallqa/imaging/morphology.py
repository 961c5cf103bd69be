"""Mask operations in plain NumPy, without heavy imports: dilation, closing, skeletons, components."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]

# The neighbours of a pixel, clockwise from the pixel above: P2 to P9 in the paper by Zhang and Suen.
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def dilate(mask: Mask, radius: int) -> Mask:
    """Dilate a mask [H,W] with a disc of `radius` px."""
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


def equal_but_edges(first: Mask, second: Mask) -> bool:
    """Check whether two masks [H,W] are equal except for one pixel along their edges."""
    return not bool((first & ~dilate(second, 1)).any() or (second & ~dilate(first, 1)).any())


def close_mask(mask: Mask, radius: int) -> Mask:
    """Close a mask [H,W] with a disc of `radius` px; edge values are replicated beyond the border."""
    padded = np.pad(mask, radius, mode="edge")
    return ~dilate(~dilate(padded, radius), radius)[radius:-radius, radius:-radius]


def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return two lookup tables with one entry for each of a pixel's 256 possible neighbourhoods.

    The first table [2,256] states whether each half-step of thinning removes the pixel. The second table
    [256] states whether the pixel can be removed without breaking a connection, that is, whether S. Yokoi's
    connectivity number for eight neighbours is 1. Line ends are kept.
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
    """Thin a mask [H,W] to its skeleton. Lines stay connected, and line ends stay in place.

    The method is from T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns",
    CACM 27 (1984). Staircase corners are removed afterwards, since they would make a diagonal line up to √2
    too long.
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
    # The decision of a half-step changes only for pixels that lost a neighbour since its last turn.
    before = changed = np.flatnonzero(flat)
    last_place = np.empty(len(flat), np.int64)
    step = 0
    while len(before) or len(changed):
        candidates = np.concatenate([before, changed])
        candidates = candidates[flat[candidates]]
        # Remove duplicates without sorting. Every candidate writes its position, and only the last of several
        # equal candidates reads its position back.
        places = np.arange(len(candidates))
        last_place[candidates] = places
        candidates = candidates[last_place[candidates] == places]
        removed = candidates[_REMOVABLE[step][flat[candidates[:, None] + offsets] @ weights]]
        flat[removed] = False
        before, changed = changed, (removed[:, None] + offsets).reshape(-1)
        step = 1 - step
    corners = np.flatnonzero(flat)
    corners = corners[_JOINS_NOTHING[flat[corners[:, None] + offsets] @ weights]]
    for index in corners.tolist():  # one at a time, since removing a corner changes its neighbours
        flat[index] = not _JOINS_NOTHING[flat[index + offsets] @ weights]
    result[inside] = picture[1:-1, 1:-1]
    return result


def mean_width(mask: Mask) -> float:
    """Return a mask's mean width in px: its area divided by its skeleton length; 0 for an empty mask."""
    length = int(skeletonise(mask).sum())
    return float(mask.sum()) / length if length else 0.0


BoundingBox = tuple[int, int, int, int]


def label_components(mask: Mask, *, corners: bool = True) -> NDArray[np.int32]:
    """Number the connected components of a mask [H,W] from 1, in reading order; 0 is the background.

    Args:
        mask: The mask.
        corners: Whether pixels that touch only at a corner are connected.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    # Runs are in reading order, so both keys are sorted. The runs above that touch a given run are
    # therefore consecutive.
    stride, reach = mask.shape[1] + 2, 0 if corners else 1
    first = np.searchsorted(rows * stride + ends, (rows - 1) * stride + starts + reach)
    last = np.searchsorted(rows * stride + starts, (rows - 1) * stride + ends - reach, "right")
    counts = np.maximum(last - first, 0)
    this = np.repeat(np.arange(len(rows)), counts)
    above = np.arange(len(this)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    roots = group_links(len(rows), np.stack([above, this], axis=1))
    numbers = np.unique(roots, return_inverse=True)[1] + 1
    # Each run adds its number at its start and subtracts it at its end; cumulative sums fill in the rows.
    steps = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
    np.add.at(steps, (rows, starts), numbers)
    np.subtract.at(steps, (rows, ends), numbers)
    return np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1]


def group_links(count: int, links: ArrayLike) -> NDArray[np.int64]:
    """For each of `count` items, return the smallest index to which `links` [N,2] connect it (union-find)."""
    root = np.arange(count)
    one, two = np.asarray(links, np.int64).reshape(-1, 2).T
    while len(one):
        low = np.minimum(root[one], root[two])
        # Both roots are linked to the lower root. Then each item follows its root until nothing changes.
        np.minimum.at(root, root[one], low)
        np.minimum.at(root, root[two], low)
        while not np.array_equal(shorter := root[root], root):
            root = shorter
        differing = root[one] != root[two]
        one, two = one[differing], two[differing]
    return root


def without_small(mask: Mask, least: float) -> Mask:
    """Remove the connected components with fewer than `least` px from a mask [H,W]."""
    labels = label_components(mask)
    keep = np.bincount(labels.ravel()) >= least
    keep[0] = False
    return np.asarray(keep[labels])


def without_holes(mask: Mask, most: float) -> Mask:
    """Fill holes with fewer than `most` px in a mask [H,W]; background at the border is not a hole."""
    labels = label_components(~mask, corners=False)
    fill = np.bincount(labels.ravel()) < most
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        fill[border] = False
    fill[0] = True  # label 0 is the mask itself
    return np.asarray(fill[labels])


def bounding_boxes(mask: Mask) -> list[BoundingBox]:
    """Return the bounding box (left, top, right, bottom; right and bottom exclusive) of each component.

    Pixels that touch only at a corner count as connected.
    """
    labels = label_components(mask)
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns] - 1
    count = int(labels.max(initial=0))
    low = np.full((2, count), max(mask.shape), np.int64)
    high = np.zeros((2, count), np.int64)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(low[axis], numbers, places)
        np.maximum.at(high[axis], numbers, places + 1)
    return [(left, top, right, bottom) for left, top, right, bottom in np.concatenate((low, high)).T.tolist()]
