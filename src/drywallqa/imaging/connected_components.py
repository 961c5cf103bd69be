"""The connected components of a mask, in NumPy alone: runs of pixels in rows are joined where they touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]
BoundingBox = tuple[int, int, int, int]


def label_components(mask: Mask, *, corners: bool = True) -> NDArray[np.int32]:
    """Number the connected components of a mask [H,W] from 1 on, in reading order; 0 is the background.

    Args:
        mask: The mask.
        corners: Whether pixels that touch only at a corner are connected.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    roots = group_links(len(rows), _touching(rows, starts, ends, mask.shape[1], corners))
    numbers = np.unique(roots, return_inverse=True)[1] + 1
    # Each run adds its number at its start and subtracts it at its end; sums along the rows fill it in.
    steps = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
    np.add.at(steps, (rows, starts), numbers)
    np.subtract.at(steps, (rows, ends), numbers)
    return np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1]


def _touching(rows: Integers, starts: Integers, ends: Integers, width: int, corners: bool) -> Integers:
    """Return the pairs [N,2] of runs that touch: the run in the row above, then this run."""
    stride, reach = width + 2, 0 if corners else 1
    # Runs are in reading order, so both keys rise, and the runs that touch one run form a range.
    first = np.searchsorted(rows * stride + ends, (rows - 1) * stride + starts + reach)
    last = np.searchsorted(rows * stride + starts, (rows - 1) * stride + ends - reach, "right")
    counts = np.maximum(last - first, 0)
    this = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(this)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([np.repeat(first, counts) + place, this], axis=1)


def group_links(count: int, links: ArrayLike) -> Integers:
    """Return for each of `count` items the smallest index that links [N,2] lead to (union-find)."""
    root = np.arange(count)
    one, two = np.asarray(links, np.int64).reshape(-1, 2).T
    while len(one):
        low = np.minimum(root[one], root[two])
        # The roots of both ends get the lower root; then each item follows its root until nothing changes.
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
    """Fill the holes of a mask [H,W] with fewer than `most` px; background at the border is no hole."""
    labels = label_components(~mask, corners=False)
    fill = np.bincount(labels.ravel()) < most
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        fill[border] = False
    fill[0] = True  # the mask itself
    return np.asarray(fill[labels])


def bounding_boxes(mask: Mask) -> list[BoundingBox]:
    """Return the bounding box (left, top, right, bottom; right and bottom excluded) of each component.

    Pixels that touch at a corner are connected.
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
