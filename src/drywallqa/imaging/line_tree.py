"""The network of cheapest paths along the ridges inside one outline, with branches and loops."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import Mask, dilate, label_components, skeletonise
from drywallqa.imaging.path_search import STEPS, Place, count_neighbours, paths_from, walk_back

Floats = NDArray[np.floating]

_HALF = 2.0  # ridge strength at which the cost of a pixel is half of the largest cost
_LEAST_COST = 0.04
_OUTSIDE = 2.0  # factor of costs outside the outline
_REACH = 0.2  # width around the outline in which paths may run, as a share of the outline's width
_SNAP = 0.6  # distance within which an end moves to a ridge, as a share of the outline's width
_TIP = 0.6  # least strength of a moved end, as a share of the strongest ridge nearby
_MOST_BRANCHES = 60  # branches and loops that are added to the paths between ends


@dataclass(frozen=True)
class Segment:
    """A path between two nodes of a network.

    Attributes:
        path: Flat indices of its pixels, int64 [n], from node to node; a closed loop repeats its node.
    """

    path: NDArray[np.int64]

    @property
    def start(self) -> int:
        """Flat index of the first node."""
        return int(self.path[0])

    @property
    def end(self) -> int:
        """Flat index of the last node."""
        return int(self.path[-1])


def trace_outline(outline: Mask, strength: Floats, probability: Floats | None) -> list[Segment]:
    """Trace the lines inside one outline.

    Args:
        outline: One connected component [h,w].
        strength: Strength of dark ridges [h,w].
        probability: Probability 0–1 of each pixel [h,w], or None.

    Returns:
        The segments of the network. Segments that meet share a node.
    """
    skeleton = skeletonise(outline)
    if not skeleton.any():  # a square of 2 × 2 px has no skeleton
        return []
    width = float(outline.sum() / max(1, skeleton.sum()))
    inside = dilate(outline, max(1, round(_REACH * width)))
    cost = 1 / (1 + (strength / _HALF) ** 2) + _LEAST_COST
    if probability is not None:
        cost = cost * (1.3 - 0.6 * probability)
    cost = np.where(outline, cost, _OUTSIDE * cost)
    ends = _pruned_ends(skeleton, width) or [tuple(np.argwhere(skeleton)[0].tolist())]
    terminals = [_outward(end, skeleton, strength * inside, width) for end in ends]
    distance, before = paths_from(cost, inside, terminals[0])
    columns = outline.shape[1]
    links: set[tuple[int, int]] = set()
    on_line = np.zeros(outline.size, np.bool_)
    on_line[terminals[0][0] * columns + terminals[0][1]] = True
    for row, column in terminals[1:]:
        _add_path(walk_back(before, row * columns + column), on_line, links)
    _add_missing(skeleton, width, strength * inside, distance, before, on_line, links)
    return _segments(links)


def _add_path(path: NDArray[np.int64], on_line: NDArray[np.bool_], links: set[tuple[int, int]]) -> None:
    """Add a path [n] that ends at the root, up to the place where it meets the network."""
    for first, second in zip(path[:-1].tolist(), path[1:].tolist(), strict=True):
        if on_line[first]:
            break
        on_line[first] = True
        links.add((first, second))


def _pruned_ends(skeleton: Mask, width: float) -> list[Place]:
    """Return the ends of a skeleton [h,w] whose branches are longer than `width` px, or else all ends."""
    height, columns = skeleton.shape
    places = np.argwhere(skeleton & (count_neighbours(skeleton) <= 1))
    ends: list[Place] = [(row, column) for row, column in places.tolist()]
    kept = []
    for end in ends:
        seen, here, length = {end}, end, 0
        while length < width:
            near = [
                (here[0] + down, here[1] + right)
                for down, right in STEPS
                if 0 <= here[0] + down < height and 0 <= here[1] + right < columns
            ]
            near = [place for place in near if skeleton[place] and place not in seen]
            if not near or (len(near) > 1 and length > 1):
                break
            here, length = near[0], length + 1
            seen.update(near)
        if length >= width or not near:
            kept.append(end)
    return kept if len(kept) >= 2 else ends


def _outward(end: Place, skeleton: Mask, strength: Floats, width: float) -> Place:
    """Move an end of a skeleton to the farthest strong ridge outward."""
    snap, back = max(2, round(_SNAP * width)), max(3, round(width))
    top, left = max(0, end[0] - snap), max(0, end[1] - snap)
    box = strength[top : end[0] + snap + 1, left : end[1] + snap + 1]
    above, beside = max(0, end[0] - back), max(0, end[1] - back)
    behind = np.argwhere(skeleton[above : end[0] + back + 1, beside : end[1] + back + 1]).mean(0)
    rows, columns = np.mgrid[top : top + box.shape[0], left : left + box.shape[1]]
    away = (rows - end[0]) * (end[0] - above - behind[0]) + (columns - end[1]) * (end[1] - beside - behind[1])
    strong = (box >= _TIP * box.max()) & (box > 0)
    if not strong.any():
        return end
    row, column = np.unravel_index(int(np.where(strong, away, -np.inf).argmax()), box.shape)
    return top + int(row), left + int(column)


def _add_missing(
    skeleton: Mask, width: float, strength: Floats, distance: NDArray[np.float64], before: NDArray[np.int64],
    on_line: NDArray[np.bool_], links: set[tuple[int, int]],
) -> None:  # fmt: skip
    """Add branches and loops where the skeleton is farther than its width from the network."""
    reach = max(2, round(width))
    for _ in range(_MOST_BRANCHES):
        far = skeleton & ~dilate(on_line.reshape(skeleton.shape), reach)
        labels = label_components(far)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        if sizes.max(initial=0) < max(4, width):
            return
        part = dilate(labels == int(sizes.argmax()), max(1, reach // 2)).ravel() & np.isfinite(distance)
        places = np.flatnonzero(part & ~on_line)
        if not len(places):
            return
        pair = _meeting(places, skeleton.shape[1], _entries(before, on_line), distance, reach)
        if pair is None:
            strongest = places[strength.ravel()[places].argmax()]
            _add_path(walk_back(before, int(strongest)), on_line, links)
            continue
        for place in pair:
            _add_path(walk_back(before, place), on_line, links)
        links.add(pair)


def _entries(before: NDArray[np.int64], on_line: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return, for each pixel [n], the pixel at which its path meets the network (pointer jumping)."""
    entry = np.where(on_line | (before < 0), np.arange(len(before)), before)
    while not np.array_equal(further := entry[entry], entry):
        entry = further
    return entry


def _meeting(
    places: NDArray[np.int64], columns: int, entry: NDArray[np.int64], distance: NDArray[np.float64],
    reach: int,
) -> tuple[int, int] | None:  # fmt: skip
    """Return the cheapest pair of neighbours whose paths meet the network at two distant places, or None."""
    best, pair = np.inf, None
    for offset in (1, columns - 1, columns, columns + 1):
        first = places[np.isin(places + offset, places)]
        second = first + offset
        rows, across = (np.abs(one - two) for one, two in zip(
            np.divmod(entry[first], columns), np.divmod(entry[second], columns), strict=True))  # fmt: skip
        apart = np.maximum(rows, across) > 2 * reach
        total = np.where(apart, distance[first] + distance[second], np.inf)
        if total.min(initial=np.inf) < best:
            best, place = total.min(), int(total.argmin())
            pair = (int(first[place]), int(second[place]))
    return pair


def _segments(links: set[tuple[int, int]]) -> list[Segment]:
    """Split a network into segments between its nodes: ends, branches, and one pixel of each closed loop."""
    near: dict[int, list[int]] = {}
    for first, second in sorted(links):
        near.setdefault(first, []).append(second)
        near.setdefault(second, []).append(first)
    used: set[tuple[int, int]] = set()
    found = []
    nodes = [place for place in near if len(near[place]) != 2]
    for node in [*nodes, *near]:  # after all nodes, only closed loops without a node are left
        for step in near[node]:
            if (node, step) in used:
                continue
            path = [node, step]
            while len(near[path[-1]]) == 2 and path[-1] != node:
                one, two = near[path[-1]]
                path.append(two if one == path[-2] else one)
            used.update(pairwise(path))
            used.update(pairwise(path[::-1]))
            found.append(Segment(np.array(path, np.int64)))
    return found
