"""Find a crack's own lines inside its outline: their centre lines, their edges and the crack mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drywallqa.imaging.line_blur import correct_blur
from drywallqa.imaging.line_ends import to_free_end
from drywallqa.imaging.line_profile import Edges, left_normals, read_edges, smooth
from drywallqa.imaging.line_tree import trace_outline
from drywallqa.imaging.line_visibility import seen_along, visible_stretches
from drywallqa.imaging.morphology import Mask
from drywallqa.imaging.outline_components import (
    Component,
    largest_components,
    largest_scales,
    reduce_cells,
)
from drywallqa.imaging.ridges import Ridges, find_ridges

Floats = NDArray[np.float64]
Photo = NDArray[np.uint8]
Probability = NDArray[np.float32]

_LEAST_PAINTED = 1.5  # px; narrower lines are painted as 1 px
_WIDE = 10.0  # px, width of lines whose ends are searched twice
_CELLS = 10  # width of an outline in cells of the reduced grid on which paths are searched


@dataclass(frozen=True, eq=False)
class CrackLine:
    """One line of a crack from node to node, with N points about 1 px apart.

    Coordinates are in px of the photo: x to the right, y down, pixel centres at whole numbers.

    Attributes:
        points: The centre line (x, y), float64 [N,2].
        left: Distance in px from the centre line to the left edge, as seen in the direction of travel,
            float64 [N].
        right: Distance in px to the right edge, float64 [N]; the width is `left` + `right`.
        sigma: Standard uncertainty of the width in px, float64 [N].
        depth: Grey levels by which the line is darker than its sides, float64 [N].
        seen: Whether the photo shows the line at each point, bool [N]; False where a gap is bridged.
        start: Number of the node at the first point. Lines that share a node meet there.
        end: Number of the node at the last point.
    """

    points: Floats
    left: Floats
    right: Floats
    sigma: Floats
    depth: Floats
    seen: NDArray[np.bool_]
    start: int
    end: int

    @property
    def width(self) -> Floats:
        """Width in px at each point, float64 [N]."""
        return self.left + self.right


@dataclass(frozen=True, eq=False)
class FoundLines:
    """The lines inside the outlines of a photo.

    Attributes:
        lines: The lines.
        mask: The crack mask, bool [H,W]: pixels between the edges of the lines.
        unseen: Components of the outline in which the photo shows no line, bool [H,W].
    """

    lines: tuple[CrackLine, ...]
    mask: Mask
    unseen: Mask


def find_lines(photo: Photo, outline: Mask, probability: Probability | None = None) -> FoundLines:
    """Find the lines of the cracks inside an outline.

    For each component of the outline, the search follows the cheapest paths along dark ridges, keeps the
    stretches that the photo shows, and reads their edges from the grey levels across them.

    Args:
        photo: RGB uint8 [H,W,3].
        outline: The outline [H,W], such as the mask of a model or a generous label.
        probability: The model's probability of each pixel, 0–1, float32 [H,W].
    """
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32)
    unit = max(1.0, max(outline.shape) / 640)
    components = list(largest_components(outline))
    largest = largest_scales(components, outline.shape, unit)
    ridges = find_ridges(grey, outline, largest)
    lines: list[CrackLine] = []
    unseen = outline.copy()
    for component in components:
        found = list(_lines_of(component, grey, ridges, probability, unit))
        if found:
            unseen[component.rows, component.columns] = False
        first = 1 + max((max(line.start, line.end) for line in lines), default=-1)
        lines += [replace(line, start=line.start + first, end=line.end + first) for line in found]
    lines = _without_blur(grey, _to_free_ends(grey, lines))
    return FoundLines(tuple(lines), paint_lines(lines, outline.shape), unseen)


def _to_free_ends(grey: NDArray[np.float32], lines: list[CrackLine]) -> list[CrackLine]:
    """Return lines whose free ends lie where the dark line ends."""
    degrees = Counter(node for line in lines for node in (line.start, line.end))
    reached = []
    for line in lines:
        free = (degrees[line.start] == 1, degrees[line.end] == 1)
        line = _reach(grey, line, free)
        # The end of a wide line may lie in one of its corners; from the middle, the line goes on straight.
        reached.append(_reach(grey, line, free) if np.median(line.width) > _WIDE else line)
    return reached


def _reach(grey: NDArray[np.float32], line: CrackLine, free: tuple[bool, bool]) -> CrackLine:
    if not any(free):
        return line
    points, width, seen = line.points, line.width, line.seen
    for is_free in free:
        points, width, seen = points[::-1], width[::-1], seen[::-1]  # the end in question is now the last
        if is_free:
            points = to_free_end(grey, points, width)
            same = np.minimum(np.arange(len(points)), len(width) - 1)
            width, seen = width[same], seen[same]
    edges = read_edges(grey, points, width / 2)
    return replace(
        line, points=edges.points, left=edges.left, right=edges.right, sigma=edges.sigma, depth=edges.depth,
        seen=seen,
    )  # fmt: skip


def _without_blur(grey: NDArray[np.float32], lines: list[CrackLine]) -> list[CrackLine]:
    """Return lines whose widths are corrected for the photo's blur."""
    edges = [Edges(line.points, line.left, line.right, line.sigma, line.depth) for line in lines]
    return [
        replace(line, left=found.left, right=found.right, sigma=found.sigma)
        for line, found in zip(lines, correct_blur(grey, edges), strict=True)
    ]


def _lines_of(
    component: Component, grey: NDArray[np.float32], ridges: Ridges, probability: Probability | None,
    unit: float,
) -> Iterator[CrackLine]:  # fmt: skip
    """Yield the visible lines of one component, with nodes numbered from 0."""
    cell, margin = max(1, int(component.width / _CELLS)), component.margin
    top, left = max(0, component.rows.min() - margin), max(0, component.columns.min() - margin)
    area = np.s_[top : component.rows.max() + margin + 1, left : component.columns.max() + margin + 1]
    strength, places = reduce_cells(ridges.strength[area], cell)
    likely = None if probability is None else reduce_cells(probability[area], cell)[0]
    outline = np.zeros(strength.shape, np.bool_)
    outline[(component.rows - top) // cell, (component.columns - left) // cell] = True
    numbers: dict[int, int] = {}
    for segment in trace_outline(outline, strength, likely):
        rows, columns = np.divmod(segment.path, strength.shape[1])
        down, across = np.divmod(places.ravel()[segment.path], cell)
        path = np.stack([columns * cell + across + left, rows * cell + down + top], 1)
        ends = [numbers.setdefault(node, len(numbers)) for node in (segment.start, segment.end)]
        yield from _visible(path, ends, numbers, grey, ridges, unit)


def _visible(
    path: NDArray[np.int64], ends: list[int], numbers: dict[int, int], grey: NDArray[np.float32],
    ridges: Ridges, unit: float,
) -> Iterator[CrackLine]:  # fmt: skip
    """Yield the stretches of a path [n,2] (x, y) that the photo shows."""
    points = _resample(path)
    if len(points) < 3:
        return
    columns, rows = np.rint(points).astype(np.int64).T
    edges = read_edges(grey, points, smooth(ridges.scale[rows, columns].astype(np.float64), 4.0))
    seen = seen_along(ridges.strength[rows, columns].astype(np.float64), edges.depth, unit)
    for first, last in visible_stretches(seen, unit):
        nodes = [
            node if at_end else numbers.setdefault(-1 - len(numbers), len(numbers))
            for node, at_end in zip(ends, (first == 0, last == len(points)), strict=True)
        ]
        part = slice(first, last)
        sides = (edges.left[part], edges.right[part], edges.sigma[part], edges.depth[part])
        yield CrackLine(edges.points[part], *sides, seen[part], *nodes)


def _resample(path: NDArray[np.int64]) -> Floats:
    """Return points [N,2] about 1 px apart along a smoothed path [n,2]."""
    steps = np.hypot(*np.diff(path, axis=0).T)
    keep = np.append(True, steps > 0)
    path, along = path[keep], np.append(0.0, np.cumsum(steps[steps > 0]))
    places = np.linspace(0, along[-1], max(2, round(along[-1]) + 1))
    spacing = max(1.0, float(np.median(steps)) if len(steps) else 1.0)
    return np.stack(
        [smooth(np.interp(places, along, part.astype(np.float64)), 2.0 * spacing) for part in path.T], 1
    )


def paint_lines(lines: Iterable[CrackLine], shape: tuple[int, ...]) -> Mask:
    """Return a mask [H,W] of the pixels between the edges of lines, and at least of their centre lines."""
    canvas = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    for line in lines:
        normal = left_normals(line.points)
        # Pillow also paints the pixels on a polygon's border, half a pixel beyond it on average.
        left, right = (np.maximum(side - 0.5, 0)[:, None] for side in (line.left, line.right))
        one, two = line.points + normal * left, line.points - normal * right
        corners = np.stack([one[:-1], one[1:], two[1:], two[:-1]], 1)
        for polygon in corners[line.width[:-1] > _LEAST_PAINTED].reshape(-1, 8).tolist():
            draw.polygon(polygon, fill=255)
        draw.line(np.rint(line.points).ravel().tolist(), fill=255)
    return np.asarray(canvas) > 0
