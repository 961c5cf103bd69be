"""Searches for the cheapest paths in an image of costs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import Mask

STEPS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)

Place = tuple[int, int]


def count_neighbours(line: Mask) -> NDArray[np.int8]:
    """Count the neighbours of each pixel that lie on a line [h,w], int8 [h,w]."""
    padded = np.pad(line, 1).astype(np.int8)
    height, width = line.shape
    parts = [padded[1 + down : 1 + down + height, 1 + right : 1 + right + width] for down, right in STEPS]
    return np.asarray(np.sum(parts, axis=0), np.int8)


def paths_from(
    cost: NDArray[np.floating], inside: Mask, start: Place, end: Place | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Search the cheapest path from one pixel to every other pixel (E. W. Dijkstra, 1959).

    A step to one of the eight neighbours costs its length times the mean cost of both pixels.

    Args:
        cost: Positive costs [h,w].
        inside: The pixels that a path may use [h,w].
        start: Row and column of the first pixel.
        end: The search stops when the path to this pixel is known.

    Returns:
        The cost of the path to each pixel, float64 [h·w], infinite where no path leads; and the flat index of
        the pixel before it on this path, int64 [h·w], −1 at the start and where no path leads.
    """
    width = cost.shape[1] + 2
    places = np.flatnonzero(np.pad(inside, 1))  # with a border, so that no step leaves the image
    free = np.append(places, (start[0] + 1) * width + start[1] + 1)
    price = dict(zip(free.tolist(), np.pad(cost, 1).ravel()[free].tolist(), strict=True))
    steps = [(down * width + right, math.hypot(down, right) / 2) for down, right in STEPS]
    first = int(free[-1])
    distance, before = {first: 0.0}, dict[int, int]()
    last = None if end is None else (end[0] + 1) * width + end[1] + 1
    heap = [(0.0, first)]
    while heap:
        far, here = heapq.heappop(heap)
        if far > distance[here]:
            continue
        if here == last:
            break
        own = price[here]
        for offset, half in steps:
            there = here + offset
            other = price.get(there)
            if other is not None:
                longer = far + half * (own + other)
                if longer < distance.get(there, math.inf):
                    distance[there] = longer
                    before[there] = here
                    heapq.heappush(heap, (longer, there))
    known, back = np.full(cost.size, np.inf), np.full(cost.size, -1, np.int64)
    known[_unpadded(distance, width)] = list(distance.values())
    back[_unpadded(before, width)] = _unpadded(before.values(), width)
    return known, back


def _unpadded(places: Iterable[int], width: int) -> NDArray[np.int64]:
    """Turn flat indices of an image with a border of 1 px into flat indices without the border."""
    rows, columns = np.divmod(np.fromiter(places, np.int64), width)
    return np.asarray((rows - 1) * (width - 2) + columns - 1)


def cheapest_path(cost: NDArray[np.floating], start: Place, end: Place) -> NDArray[np.int64]:
    """Return the cheapest path [n,2] (row, column) between two pixels in an image [h,w] of positive costs."""
    before = paths_from(cost, np.ones(cost.shape, np.bool_), start, end)[1]
    path = walk_back(before, end[0] * cost.shape[1] + end[1])[::-1]
    return np.stack(np.divmod(path, cost.shape[1]), 1)


def walk_back(before: NDArray[np.int64], last: int) -> NDArray[np.int64]:
    """Return the flat indices of a path [n] from its last pixel back to its first."""
    path = [last]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path, np.int64)
