"""Join the lines of one crack: branches, and broken pieces whose ends face each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine
from drywallqa.imaging.morphology import group_links

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

_GAP = 48.0  # px at 640, the longest gap between two pieces of one crack
_GAP_SHARE = 0.5  # the longest gap, as a share of the length of the shorter piece
_SIDE_GAP = 12.0  # px at 640, the longest gap between the end of a branch and the side of another line
_FACING = 0.7  # least cosine between the direction of an end and the direction to the other piece
_BACK = 16.0  # px at 640 of a line that determine the direction of its end
_SPACING = 4  # points of a line between two places at which a branch may meet the line


@dataclass(frozen=True)
class _Bridge:
    """A possible bridge from the end of a line to a point of another line.

    Attributes:
        gap: Length in px.
        line: Index of the line whose end is bridged.
        at: Index of the end's point: 0 or the last.
        other: Index of the other line.
        place: Index of the other line's point.
    """

    gap: float
    line: int
    at: int
    other: int
    place: int


def group_lines(lines: Sequence[CrackLine], components: Numbers, unit: float) -> list[list[CrackLine]]:
    """Group lines into cracks.

    Lines belong to one crack if they share a node, lie in the same component of the outline, or continue each
    other: the gap is short compared with both pieces, and their ends face each other. A gap is bridged by a
    straight line whose points are not `seen`.

    Args:
        lines: The lines of one photo.
        components: Number of the outline's component in which each line lies, [L].
        unit: Longer side of the photo in px, divided by 640.

    Returns:
        The lines of each crack, including bridges. Nodes are numbered within the photo.
    """
    if not lines:
        return []
    net = _Net(lines, components)
    for bridge in sorted(_bridges(lines, unit), key=lambda bridge: bridge.gap):
        net.add(bridge)
    return net.groups()


def _bridges(lines: Sequence[CrackLine], unit: float) -> Iterator[_Bridge]:
    """Yield every bridge between an end and another line that is short enough and that the end faces."""
    places = [_places(line) for line in lines]
    owner = np.repeat(np.arange(len(lines)), [len(part) for part in places])
    index = np.concatenate(places)
    points = np.concatenate([line.points[part] for line, part in zip(lines, places, strict=True)])
    last = np.array([len(line.points) - 1 for line in lines])
    is_end = (index == 0) | (index == last[owner])
    headings = np.zeros_like(points)
    for target in np.flatnonzero(is_end).tolist():
        headings[target] = _heading(lines[owner[target]], int(index[target]), unit)
    for end in np.flatnonzero(is_end).tolist():
        gaps = points - points[end]
        distance = np.hypot(*gaps.T)
        near = (distance <= np.where(is_end, _GAP, _SIDE_GAP) * unit) & (owner != owner[end])
        to = gaps / np.maximum(distance, 1e-9)[:, None]
        near &= (to @ headings[end] >= _FACING) | (distance < 1.5)
        near &= ~is_end | (-(to * headings).sum(1) >= _FACING) | (distance <= _SIDE_GAP * unit)
        for target in np.flatnonzero(near).tolist():
            yield _Bridge(
                float(distance[target]), int(owner[end]), int(index[end]), int(owner[target]),
                int(index[target]),
            )  # fmt: skip


def _places(line: CrackLine) -> Numbers:
    """Return the indices of the points at which a bridge may meet a line: both ends, and some between."""
    inner = np.arange(_SPACING, len(line.points) - _SPACING, _SPACING)
    return np.concatenate([[0], inner, [len(line.points) - 1]])


def _heading(line: CrackLine, at: int, unit: float) -> Floats:
    """Return the unit vector [2] in which a line leaves its end."""
    back = min(len(line.points) - 1, max(4, round(_BACK * unit)))
    inner = back if at == 0 else at - back
    away = line.points[at] - line.points[inner]
    return np.asarray(away / max(float(np.hypot(*away)), 1e-9))


class _Net:
    """Lines that bridges join step by step, from the shortest bridge to the longest."""

    def __init__(self, lines: Sequence[CrackLine], components: Numbers) -> None:
        self.lines = lines
        self.lengths = np.array([length_of(line.points) for line in lines])
        nodes = np.array([[line.start, line.end] for line in lines])
        self.next_node = int(nodes.max()) + 1
        self.piece = _pieces(nodes)  # lines that are connected by nodes or bridges
        self.crack = self.piece.copy()  # lines of one crack, even if they are not connected
        for component in np.unique(components):
            self._unite(self.crack, np.flatnonzero(components == component))
        self.bridges: list[CrackLine] = []
        self.splits: dict[int, dict[int, int]] = {}
        self.bridge_owners: list[int] = []

    def add(self, bridge: _Bridge) -> None:
        """Join two pieces by a bridge, unless they are joined already or the gap is too long for them."""
        one, other = bridge.line, bridge.other
        if self.piece[one] == self.piece[other]:
            return
        inside = self.crack[one] == self.crack[other]
        shorter = min(self.lengths[self.crack == self.crack[each]].sum() for each in (one, other))
        if not inside and bridge.gap > _GAP_SHARE * shorter:
            return
        self._unite(self.piece, np.array([one, other]))
        self._unite(self.crack, np.array([one, other]))
        start, end = (self._node(line, at) for line, at in ((one, bridge.at), (other, bridge.place)))
        ends = (self.lines[one], bridge.at), (self.lines[other], bridge.place)
        self.bridges.append(_bridge_line(*ends, start, end))
        self.bridge_owners.append(one)

    def _unite(self, groups: Numbers, members: Numbers) -> None:
        groups[np.isin(groups, groups[members])] = groups[members].min()

    def _node(self, line: int, at: int) -> int:
        """Return the number of the node at a point of a line, at which the line is split if necessary."""
        if at == 0:
            return self.lines[line].start
        if at == len(self.lines[line].points) - 1:
            return self.lines[line].end
        splits = self.splits.setdefault(line, {})
        if at not in splits:
            splits[at], self.next_node = self.next_node, self.next_node + 1
        return splits[at]

    def groups(self) -> list[list[CrackLine]]:
        """Return the lines of each crack."""
        found: dict[int, list[CrackLine]] = {}
        for number, line in enumerate(self.lines):
            found.setdefault(int(self.crack[number]), []).extend(_split(line, self.splits.get(number, {})))
        for owner, line in zip(self.bridge_owners, self.bridges, strict=True):
            found[int(self.crack[owner])].append(line)
        return list(found.values())


def _pieces(nodes: Numbers) -> Numbers:
    """Return the smallest index of the lines that are connected to each line by nodes [L,2]."""
    order = np.argsort(nodes.ravel(), kind="stable")
    same = np.flatnonzero(np.diff(nodes.ravel()[order]) == 0)
    return group_links(len(nodes), np.stack([order[same] // 2, order[same + 1] // 2], 1))


def _bridge_line(one: tuple[CrackLine, int], other: tuple[CrackLine, int], start: int, end: int) -> CrackLine:
    """Return a straight line between points of two lines; its width changes evenly from one to the other."""
    (first, at), (second, place) = one, other
    gap = float(np.hypot(*(second.points[place] - first.points[at])))
    share = np.linspace(0, 1, max(2, round(gap) + 1))

    def between(before: Floats, after: Floats) -> Floats:
        return np.asarray(np.multiply.outer(1 - share, before) + np.multiply.outer(share, after))

    return CrackLine(
        points=between(first.points[at], second.points[place]),
        left=(half := between(first.width[at], second.width[place]) / 2),
        right=half,
        sigma=between(first.sigma[at], second.sigma[place]),
        depth=np.zeros(len(share)),
        seen=np.zeros(len(share), np.bool_),
        start=start,
        end=end,
    )


def _split(line: CrackLine, splits: dict[int, int]) -> Iterator[CrackLine]:
    """Yield the parts of a line between its splits (index of the point: number of the node)."""
    first, start = 0, line.start
    for last, node in [*sorted(splits.items()), (len(line.points) - 1, line.end)]:
        part = slice(first, last + 1)
        yield replace(
            line, points=line.points[part], left=line.left[part], right=line.right[part],
            sigma=line.sigma[part], depth=line.depth[part], seen=line.seen[part], start=start, end=node,
        )  # fmt: skip
        first, start = last, node


def length_of(points: Floats) -> float:
    """Return the length in px of a polyline [N,2]."""
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
