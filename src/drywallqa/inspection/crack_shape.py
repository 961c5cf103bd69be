"""The shape of a finding's lines: orientation, tortuosity, branches, ends and straightness."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine

Floats = NDArray[np.float64]
Graph = dict[int, list[tuple[int, float]]]

_STEP = 4  # points between two places of a line whose direction is measured


@dataclass(frozen=True)
class LineShape:
    """The shape of connected lines.

    Attributes:
        orientation: Main direction in degrees, 0–180, counterclockwise as seen: 0 is horizontal, 90 vertical.
        tortuosity: Length of the longest path along the lines over the distance of its ends; at least 1.
        branches: Number of points where three or more lines meet.
        ends: Number of free ends.
    """

    orientation: float
    tortuosity: float
    branches: int
    ends: int


def shape_of(lines: Sequence[CrackLine]) -> LineShape:
    """Measure the shape of the lines of one finding."""
    degrees = Counter(node for line in lines for node in (line.start, line.end))
    return LineShape(
        orientation_of([line.points for line in lines]),
        _tortuosity(lines),
        sum(degree > 2 for degree in degrees.values()),
        sum(degree == 1 for degree in degrees.values()),
    )


def orientation_of(polylines: Sequence[Floats]) -> float:
    """Return the main direction of polylines [N,2] in degrees; see `LineShape.orientation`.

    Directions are averaged as doubled angles, so that opposite directions count as equal (K. V. Mardia and
    P. E. Jupp, "Directional Statistics", section 1.4).
    """
    steps = [np.diff(points[:: min(_STEP, len(points) - 1)], axis=0) for points in polylines]
    x, y = np.concatenate(steps).T
    length = np.hypot(x, y)
    angle = 2 * np.arctan2(-y, x)
    doubled = math.atan2(float((length * np.sin(angle)).sum()), float((length * np.cos(angle)).sum()))
    return math.degrees(doubled) / 2 % 180


def straightness_of(points: Floats) -> float:
    """Return the largest distance in px of points [N,2] from the straight line that fits them best."""
    away = points - points.mean(0)
    normal = np.linalg.eigh(away.T @ away)[1][:, 0]
    return float(np.abs(away @ normal).max())


def _tortuosity(lines: Sequence[CrackLine]) -> float:
    graph: Graph = {}
    places: dict[int, Floats] = {}
    for line in lines:
        length = float(np.hypot(*np.diff(line.points, axis=0).T).sum())
        graph.setdefault(line.start, []).append((line.end, length))
        graph.setdefault(line.end, []).append((line.start, length))
        places |= {line.start: line.points[0], line.end: line.points[-1]}
    first, _ = _farthest(graph, _start_of_longest(lines))
    last, length = _farthest(graph, first)
    distance = float(np.hypot(*(places[first] - places[last])))
    return max(1.0, length / distance) if distance else 1.0


def _start_of_longest(lines: Sequence[CrackLine]) -> int:
    """Return a node of the longest line, since lines that no bridge connects form several graphs."""
    return max(lines, key=lambda line: len(line.points)).start


def _farthest(graph: Graph, start: int) -> tuple[int, float]:
    """Return the node with the longest shortest path from a node, and the length of this path in px."""
    lengths, queue = {start: 0.0}, [(0.0, start)]
    while queue:
        length, node = heapq.heappop(queue)
        for other, step in graph[node] if length <= lengths[node] else ():
            if length + step < lengths.get(other, math.inf):
                lengths[other] = length + step
                heapq.heappush(queue, (length + step, other))
    return max(lengths.items(), key=lambda item: item[1])
