"""Convert masks to outlines along the edges of their pixels, without losing a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.int64]
"""A closed ring of pixel corners [N,2] (x, y); the last corner is joined to the first."""


@dataclass(frozen=True)
class Region:
    """The outlines of a 4-connected region: one outer ring, and one ring per hole.

    Pixel (row, column) covers the square from corner (column, row) to (column + 1, row + 1). All edges are
    parallel to an axis, and the direction changes at every corner. Outer rings run clockwise on the screen,
    and holes run counterclockwise. A ring can touch itself or another ring at a corner.
    """

    outer: Corners
    holes: tuple[Corners, ...]


def trace_regions(mask: NDArray[np.bool_]) -> list[Region]:
    """Trace the 4-connected regions of a mask [H,W], ordered by their first pixel.

    Filling all rings together by the even-odd rule at the pixels' centres gives exactly the mask.
    """
    padded = np.pad(mask, 1)
    points, following, uppers = _link_corners(padded)
    rings, ring_of = _walk(points, following)
    if not rings:
        return []
    # The first corner of a ring is the leftmost of its topmost corners. The pixel to the lower right of this
    # corner is unmarked only if the ring is a hole.
    first = np.array([ring[0] for ring in rings])
    is_hole = ~padded[first[:, 1] + 1, first[:, 0] + 1]
    owner = np.arange(len(rings))
    owner[is_hole] = ring_of[_edges_on_the_left(padded, points, uppers, first[is_hole])]
    while (owner != owner[owner]).any():
        owner = owner[owner]
    holes: dict[int, list[Corners]] = {int(outer): [] for outer in np.flatnonzero(~is_hole)}
    for hole in np.flatnonzero(is_hole).tolist():
        holes[int(owner[hole])].append(rings[hole])
    return [Region(rings[outer], tuple(inner)) for outer, inner in holes.items()]


def _link_corners(
    padded: NDArray[np.bool_],
) -> tuple[Corners, NDArray[np.int64], NDArray[np.int64]]:
    """Find the corners of all rings, and link each corner to the next corner of its ring.

    Args:
        padded: The mask with a border of zeros [H+2,W+2].

    Returns:
        The corners [N,2] in row order. For each corner, the index of the next corner of the same ring [N].
        The indices of the upper corners of the vertical edges [N/2], ordered by column and row.
    """
    above, below = padded[:-1], padded[1:]
    # At a corner, one or three of the four adjacent pixels are marked, or two that touch only diagonally.
    changes = above != below
    turns = changes[:, :-1] != changes[:, 1:]
    turns |= (above[:, :-1] != above[:, 1:]) & changes[:, :-1] & changes[:, 1:]
    y, x = np.divmod(np.flatnonzero(turns), turns.shape[1])
    # Where two pixels touch diagonally, each has its own corner: first the left one, then the right one.
    crossing = changes[y, x] & changes[y, x + 1]
    y, x = np.repeat(y, 1 + crossing), np.repeat(x, 1 + crossing)
    second = np.zeros(len(x), np.bool_)
    second[1:] = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    doubled = second.copy()
    doubled[:-1] |= second[1:]
    lower = np.where(doubled, second == padded[y + 1, x + 1], False)
    following = np.empty(len(x), np.int64)
    # In row order, two neighbours bound a horizontal edge; in column order, a vertical one.
    left, right = np.arange(len(x)).reshape(-1, 2).T
    rightwards = padded[y[left] + 1, x[left] + 1]
    following[np.where(rightwards, left, right)] = np.where(rightwards, right, left)
    upper, under = np.lexsort((lower, y, x)).reshape(-1, 2).T
    downwards = padded[y[upper] + 1, x[upper]]
    following[np.where(downwards, upper, under)] = np.where(downwards, under, upper)
    return np.stack([x, y], axis=1), following, upper


def _walk(points: Corners, following: NDArray[np.int64]) -> tuple[list[Corners], NDArray[np.int64]]:
    """Return the rings, ordered by their first corner, and the ring number of each corner [N]."""
    after = following.tolist()
    number = [-1] * len(after)
    rings: list[Corners] = []
    for start in range(len(after)):
        if number[start] >= 0:
            continue
        ring, corner = [], start
        while number[corner] < 0:
            number[corner] = len(rings)
            ring.append(corner)
            corner = after[corner]
        rings.append(points[ring])
    return rings, np.array(number, np.int64)


def _edges_on_the_left(
    padded: NDArray[np.bool_], points: Corners, uppers: NDArray[np.int64], corners: Corners
) -> NDArray[np.int64]:
    """Find the vertical edge where the run of marked pixels to the left of each corner [K,2] starts.

    Returns:
        The index of each edge's upper corner [K].
    """
    starts = np.flatnonzero(padded.ravel()[1:] & ~padded.ravel()[:-1]) + 1
    width = padded.shape[1]
    last_pixels = (corners[:, 1] + 1) * width + corners[:, 0]
    row, column = np.divmod(starts[np.searchsorted(starts, last_pixels, "right") - 1], width)
    x, y = points[uppers].T
    height = len(padded)
    return np.asarray(uppers[np.searchsorted(x * height + y, (column - 1) * height + row - 1, "right") - 1])


def keyhole(region: Region) -> Corners:
    """Join the holes of a region to its outer ring by seams of zero width.

    YOLO segmentation and COCO polygons need this, because these formats cannot represent holes. A seam starts
    at the leftmost of the hole's topmost corners. It runs left to the nearest edge of another ring of the
    region. Filling the resulting ring [N,2] by the even-odd rule gives exactly the region.
    """
    if not region.holes:
        return region.outer
    rings = (region.outer, *region.holes)
    ends = np.cumsum([len(ring) for ring in rings])
    points = np.concatenate(rings)
    before = np.arange(-1, len(points) - 1)
    before[[0, *ends[:-1]]] = ends - 1
    after = np.empty_like(before)
    after[before] = np.arange(len(points))
    edges, columns = _upward_edges_on_the_left(points, after, points[ends[:-1]])
    chain, corners, previous = after.tolist(), points.tolist(), before.tolist()
    last = list(range(len(chain)))  # per edge: the corner after which its next seam is inserted
    # Edges on the left of a region's pixels run upwards, so the lowest seam of an edge comes first.
    for seam in np.argsort(-points[ends[:-1], 1], kind="stable").tolist():
        gate, edge = int(ends[seam]), int(edges[seam])
        start = [int(columns[seam]), corners[gate][1]]
        new = len(corners)
        corners += [start, corners[gate], start]
        chain += [gate, new + 2, chain[last[edge]]]
        chain[previous[gate]] = new + 1
        chain[last[edge]] = new
        last[edge] = new + 2
    return _in_order(corners, chain)


def _upward_edges_on_the_left(
    points: Corners, after: NDArray[np.int64], gates: Corners
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the nearest upward edge to the left of each corner [K,2], in the pixel row below the corner.

    Returns:
        The edges [K], each as the index of its first corner, and their columns [K].
    """
    heights = points[:, 1] - points[after, 1]
    edges = np.flatnonzero(heights > 0)
    heights = heights[edges]
    steps = np.arange(heights.sum()) - np.repeat(np.cumsum(heights) - heights, heights)
    unit_edges = np.repeat(edges, heights)
    rows = points[unit_edges, 1] - 1 - steps
    span = int(points[:, 0].max()) + 1
    keys = rows * span + points[unit_edges, 0]
    order = np.argsort(keys)
    found = np.searchsorted(keys[order], gates[:, 1] * span + gates[:, 0]) - 1
    chosen = unit_edges[order[found]]
    return chosen, points[chosen, 0]


def _in_order(corners: list[list[int]], chain: list[int]) -> Corners:
    """Follow the links from corner 0, and collect the corners without consecutive duplicates."""
    ring, corner = [corners[0]], chain[0]
    while corner:
        if corners[corner] != ring[-1]:
            ring.append(corners[corner])
        corner = chain[corner]
    return np.array(ring, np.int64)
