"""Crop polygons with fractional coordinates to the photo, remove their seams, and split them into loops."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

TOLERANCE_PX = 0.01
"""A point within this distance of an edge or corner lies on it. Coordinates in exports are more precise."""

_PAIRS_AT_A_TIME = 1 << 20
"""Maximum number of edge-point pairs that are compared in one step, to limit memory use."""


def ring_area(ring: Points) -> float:
    """Return the area in px² that a ring [N,2] encloses."""
    x, y = (ring - ring[0]).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def perimeter(ring: Points) -> float:
    """Return the length of a ring [N,2] in px."""
    return float(np.linalg.norm(ring - np.roll(ring, -1, axis=0), axis=1).sum())


def crop_ring(ring: Points, height: int, width: int) -> Points:
    """Crop a ring [N,2] to the photo (Sutherland-Hodgman algorithm). A ring inside the photo stays unchanged.

    If the outline leaves the photo twice, parts of the result can run along the border in both directions.

    Returns:
        The part of the ring within the photo [M,2], where M can be 0.
    """
    limits = np.array([width, height], np.float64)
    if ((ring >= 0) & (ring <= limits)).all():
        return ring
    for axis, limit in enumerate(limits):
        ring = _cut(_cut(ring, axis, 0.0, 1.0), axis, limit, -1.0)
    return ring


def _cut(ring: Points, axis: int, limit: float, sign: float) -> Points:
    """Keep the part of a ring [N,2] whose coordinate is above (sign 1) or below (sign -1) the limit."""
    depth = sign * (ring[:, axis] - limit)
    beyond, inside = np.roll(depth, -1), depth >= 0
    crossing = inside != np.roll(inside, -1)
    share = depth / np.where(crossing, depth - beyond, 1.0)
    meeting = ring + share[:, None] * (np.roll(ring, -1, axis=0) - ring)
    meeting[:, axis] = limit
    return np.asarray(np.stack([ring, meeting], axis=1)[np.stack([inside, crossing], axis=1)])


def pixel_corners(ring: Points) -> NDArray[np.int64] | None:
    """Return a ring [N,2] as whole numbers if it follows the edges of pixels, else None."""
    corners = np.rint(ring)
    steps = np.roll(corners, -1, axis=0) - corners
    if np.abs(ring - corners).max() > TOLERANCE_PX or (steps != 0).all(axis=1).any():
        return None
    return corners.astype(np.int64)


def lies_within(loop: Points, other: Points) -> bool:
    """Check whether more than half of a loop's points [N,2] lie within another loop [M,2]."""
    if (loop.max(axis=0) < other.min(axis=0)).any() or (loop.min(axis=0) > other.max(axis=0)).any():
        return False
    start, end = other, np.roll(other, -1, axis=0)
    inside = 0
    for x, y in loop:
        spans = (start[:, 1] > y) != (end[:, 1] > y)
        (x0, y0), (x1, y1) = start[spans].T, end[spans].T
        inside += int((x0 + (y - y0) / (y1 - y0) * (x1 - x0) > x).sum()) % 2
    return inside > len(loop) / 2


def enclosed_loops(ring: Points) -> list[Points]:
    """Split a ring [N,2] into loops that each enclose an area.

    Parts that run in both directions along one line, such as a bridge between two shapes or the slit of a
    keyhole, are removed because they enclose nothing. The rest is split wherever it passes through the same
    point again. If all loops are filled together by the even-odd rule, they cover the area that the ring
    encloses.

    Returns:
        The loops, or only the unchanged ring if it has no parts that run in both directions.
    """
    points = _with_touched_points(ring)
    corners, numbers = np.unique(points, axis=0, return_inverse=True)
    path = numbers.ravel()
    path = path[path != np.roll(path, -1)]
    after = np.roll(path, -1)
    if not np.isin(path * len(corners) + after, after * len(corners) + path).any():
        return [ring]
    return [corners[loop] for loop in _split(list(zip(path.tolist(), after.tolist(), strict=True)))]


def _with_touched_points(ring: Points) -> Points:
    """Insert into each edge all other points of the ring that lie on the edge, in order."""
    steps = np.roll(ring, -1, axis=0) - ring
    lengths = np.linalg.norm(steps, axis=1)
    lengths[lengths == 0] = 1.0
    edges, shares, points = [np.arange(len(ring))], [np.zeros(len(ring))], [ring]
    for edge, other in _near_pairs(ring):
        offset, step, length = ring[other] - ring[edge], steps[edge], lengths[edge]
        share = (offset * step).sum(axis=1) / length**2
        distance = np.abs(offset[:, 0] * step[:, 1] - offset[:, 1] * step[:, 0]) / length
        on = (distance <= TOLERANCE_PX) & (share > 0) & (share < 1)
        edges.append(edge[on])
        shares.append(share[on])
        points.append(ring[other[on]])
    return np.concatenate(points)[np.lexsort((np.concatenate(shares), np.concatenate(edges)))]


def _near_pairs(ring: Points) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield all pairs of an edge and a point in the edge's bounding box, in several blocks."""
    ends = np.stack([ring, np.roll(ring, -1, axis=0)])
    least, most = ends.min(axis=0) - TOLERANCE_PX, ends.max(axis=0) + TOLERANCE_PX
    ranges = []
    for axis in (0, 1):
        order = np.argsort(ring[:, axis], kind="stable")
        low = np.searchsorted(ring[order, axis], least[:, axis])
        high = np.searchsorted(ring[order, axis], most[:, axis], "right")
        ranges.append((int((high - low).sum()), 1 - axis, order, low, high - low))
    _, across, order, low, counts = min(ranges, key=lambda found: found[:2])
    values = ring[order, across]
    blocks = np.searchsorted(np.cumsum(counts), np.arange(0, int(counts.sum()), _PAIRS_AT_A_TIME), "right")
    for start, end in itertools.pairwise([*blocks.tolist(), len(ring)]):
        some = slice(start, end)
        edges = np.repeat(np.arange(len(ring))[some], counts[some])
        places = np.arange(len(edges)) - np.repeat(
            np.cumsum(counts[some]) - counts[some] - low[some], counts[some]
        )
        near = (values[places] >= least[edges, across]) & (values[places] <= most[edges, across])
        yield edges[near], order[places[near]]


def _split(edges: list[tuple[int, int]]) -> list[list[int]]:
    """Remove edges that run in both directions, and split the other edges into loops of point numbers."""
    spare = Counter(edges)
    spare = Counter({(a, b): count - spare[b, a] for (a, b), count in spare.items() if count > spare[b, a]})
    onwards: dict[int, list[int]] = {}
    for start, end in reversed(edges):
        if spare[start, end] > 0:
            spare[start, end] -= 1
            onwards.setdefault(start, []).append(end)
    loops = []
    for start in list(onwards):
        path, places = [start], {start: 0}
        while onwards[path[-1]]:
            point = onwards[path[-1]].pop()
            if point in places:
                loops.append(path[places[point] :])
                for passed in path[places[point] + 1 :]:
                    del places[passed]
                del path[places[point] + 1 :]
            else:
                places[point] = len(path)
                path.append(point)
    return loops
