"""The connected pieces of a mask, in NumPy alone: runs of its rows, united where they touch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]


def label_components(mask: Mask, *, corners: bool = True) -> NDArray[np.int32]:
    """Number the connected pieces of a mask [H,W] from 1 on, in reading order; 0 where it is False.

    Args:
        mask: The mask.
        corners: Whether pieces that touch at a corner only are one.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    numbers = _united(len(rows), *_touching(rows, starts, ends, mask.shape[1], corners)) + 1
    # Each run adds its number where it starts and takes it away where it ends; sums along rows fill it.
    steps = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
    np.add.at(steps, (rows, starts), numbers)
    np.subtract.at(steps, (rows, ends), numbers)
    return np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1]


def _touching(
    rows: Integers, starts: Integers, ends: Integers, width: int, corners: bool
) -> tuple[Integers, Integers]:
    """Pair the runs that touch a run of the row above: (that run, this run)."""
    stride, reach = width + 2, 0 if corners else 1
    # Runs are in reading order, so both keys rise, and those touched by one run are neighbours in the list.
    first = np.searchsorted(rows * stride + ends, (rows - 1) * stride + starts + reach)
    last = np.searchsorted(rows * stride + starts, (rows - 1) * stride + ends - reach, "right")
    counts = np.maximum(last - first, 0)
    this = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(this)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + place, this


def _united(count: int, above: Integers, below: Integers) -> Integers:
    """Number the groups of `count` runs that these pairs join, in order of first appearance."""
    root = np.arange(count)
    while len(above):
        low = np.minimum(root[above], root[below])
        # Both ends' roots hang on the lower one; then each run looks up its root until nothing moves.
        np.minimum.at(root, root[above], low)
        np.minimum.at(root, root[below], low)
        while not np.array_equal(shorter := root[root], root):
            root = shorter
        differing = root[above] != root[below]
        above, below = above[differing], below[differing]
    return np.asarray(np.unique(root, return_inverse=True)[1], np.int64)


def without_small(mask: Mask, least: float) -> Mask:
    """Drop the pieces of fewer than `least` px from a mask [H,W]."""
    labels = label_components(mask)
    keep = np.bincount(labels.ravel()) >= least
    keep[0] = False
    return np.asarray(keep[labels])


def without_holes(mask: Mask, most: float) -> Mask:
    """Fill the holes of a mask [H,W] that have fewer than `most` px; what reaches the border is no hole."""
    labels = label_components(~mask, corners=False)
    fill = np.bincount(labels.ravel()) < most
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        fill[border] = False
    fill[0] = True  # the mask itself
    return np.asarray(fill[labels])
