"""Find a crack's own lines inside its outline: their centre lines, their edges and the crack mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drywallqa.imaging.line_blur import correct_blur
from drywallqa.imaging.line_ends import to_free_end
from drywallqa.imaging.line_profile import Edges, left_normals, read_edges, smooth
from drywallqa.imaging.line_tree import trace_outline
from drywallqa.imaging.morphology import Mask, label_components
from drywallqa.imaging.ridges import BLOCK, Ridges, find_ridges

Floats = NDArray[np.float64]
Photo = NDArray[np.uint8]
Probability = NDArray[np.float32]

_MOST_COMPONENTS = 400  # the largest components of an outline that are searched
_CELLS = 10  # width of an outline in cells of the reduced grid on which paths are searched
_WIDEST = 24.0  # px at 640, largest half width of a line
_SEEN = 1.0  # mean ridge strength along a visible line
_STEADY = 0.9  # median depth of a visible line, divided by its spread
_WINDOW = 9  # px at 640 over which the strength is averaged
_GAP = 24.0  # px at 640, longest gap in a line that is bridged
_WIDE = 10.0  # px, width of lines whose ends are searched twice
_LEAST = 12.0  # px at 640, length of the shortest line


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
    labels = label_components(outline)
    components = list(_components(labels))
    largest = _largest_scales(components, outline.shape, _WIDEST * unit)
    ridges = find_ridges(grey, outline, largest)
    lines: list[CrackLine] = []
    unseen = outline.copy()
    for component in components:
        found = list(_lines_of(component, grey, ridges, probability, unit))
        if found:
            top, left = component.corner
            part = unseen[top : top + component.mask.shape[0], left : left + component.mask.shape[1]]
            part &= ~component.mask
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


@dataclass(frozen=True, eq=False)
class _Component:
    """One component of an outline: its mask in its box, the box's corner (row, column), its width in px."""

    mask: Mask
    corner: tuple[int, int]
    width: float


def _components(labels: NDArray[np.int32]) -> Iterator[_Component]:
    """Yield the largest components of labels [H,W]."""
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    sizes = np.bincount(numbers, minlength=1)
    order = np.argsort(numbers, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for number in np.argsort(-sizes, kind="stable")[:_MOST_COMPONENTS].tolist():
        if sizes[number] < 9:
            return
        own = order[starts[number] : starts[number] + sizes[number]]
        top, left, bottom, right = rows[own].min(), columns[own].min(), rows[own].max(), columns[own].max()
        mask = labels[top : bottom + 1, left : right + 1] == number
        padded = np.pad(mask, 1)
        border = mask & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])
        # A strip has two sides, so its width is about twice its area divided by its outline's length.
        yield _Component(mask, (int(top), int(left)), 2 * float(sizes[number]) / max(1, int(border.sum())))


def _largest_scales(components: list[_Component], shape: tuple[int, ...], most: float) -> NDArray[np.float32]:
    """Return the largest scale of ridges for each block of a photo, 0 in blocks far from the outlines."""
    grid = np.zeros([-(-side // BLOCK) for side in shape], np.float32)
    for component in components:
        margin = round(0.5 * component.width) + 2
        top, left = component.corner
        rows, columns = np.nonzero(component.mask)
        largest = min(max(1.5, component.width / 2.5), most)
        for down in (-margin, margin):
            for across in (-margin, margin):
                blocks = np.unique(
                    (np.clip(rows + top + down, 0, shape[0] - 1) // BLOCK) * grid.shape[1]
                    + np.clip(columns + left + across, 0, shape[1] - 1) // BLOCK
                )
                grid.ravel()[blocks] = np.maximum(grid.ravel()[blocks], largest)
    return grid


def _lines_of(
    component: _Component,
    grey: NDArray[np.float32],
    ridges: Ridges,
    probability: Probability | None,
    unit: float,
) -> Iterator[CrackLine]:
    """Yield the visible lines of one component, with nodes numbered from 0."""
    cell = max(1, int(component.width / _CELLS))
    margin = round(0.5 * component.width) + 2
    top, left = (max(0, side - margin) for side in component.corner)
    bottom = min(grey.shape[0], component.corner[0] + component.mask.shape[0] + margin)
    right = min(grey.shape[1], component.corner[1] + component.mask.shape[1] + margin)
    inner = np.zeros((bottom - top, right - left), np.bool_)
    down, across = component.corner[0] - top, component.corner[1] - left
    inner[down : down + component.mask.shape[0], across : across + component.mask.shape[1]] = component.mask
    area = np.s_[top:bottom, left:right]
    strength, places = _reduce(ridges.strength[area], cell)
    outline = _reduce(inner.astype(np.float32), cell)[0] > 0
    likely = None if probability is None else _reduce(probability[area], cell)[0]
    numbers: dict[int, int] = {}
    for segment in trace_outline(outline, strength, likely):
        flat = places.ravel()[segment.path]
        rows, columns = flat // inner.shape[1] + top, flat % inner.shape[1] + left
        ends = [numbers.setdefault(node, len(numbers)) for node in (segment.start, segment.end)]
        yield from _visible(np.stack([columns, rows], 1), ends, numbers, grey, ridges, unit)


def _reduce(values: NDArray[np.float32], cell: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the largest value of each cell × cell px [h,w], and the flat index of its pixel [h,w]."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % cell), (0, -width % cell)), constant_values=-1)
    parts = padded.reshape(padded.shape[0] // cell, cell, padded.shape[1] // cell, cell).swapaxes(1, 2)
    flat = parts.reshape(*parts.shape[:2], cell * cell)
    best = flat.argmax(2)
    rows, columns = np.indices(best.shape) * cell + np.stack([best // cell, best % cell])
    return np.asarray(flat.max(2)), rows * width + columns


def _visible(
    path: NDArray[np.int64], ends: list[int], numbers: dict[int, int], grey: NDArray[np.float32],
    ridges: Ridges, unit: float,
) -> Iterator[CrackLine]:  # fmt: skip
    """Yield the stretches of a path [n,2] (x, y) that the photo shows."""
    points = _resample(path)
    if len(points) < 3:
        return
    columns, rows = np.rint(points).astype(np.int64).T
    strength = ridges.strength[rows, columns].astype(np.float64)
    window = max(3, round(_WINDOW * unit)) // 2 * 2 + 1
    padded = np.pad(strength, window // 2, mode="edge")
    seen = np.convolve(padded, np.ones(window) / window, "valid") >= _SEEN
    for first, last in _stretches(seen, _GAP * unit, min(_LEAST * unit, max(4, 0.6 * len(seen)))):
        part = slice(first, last)
        half = smooth(ridges.scale[rows[part], columns[part]].astype(np.float64), 4.0)
        edges = read_edges(grey, points[part], half)
        if np.median(edges.depth) < _STEADY * (np.std(edges.depth) + 2):
            continue
        nodes = [
            node if at_end else numbers.setdefault(-1 - len(numbers), len(numbers))
            for node, at_end in zip(ends, (first == 0, last == len(points)), strict=True)
        ]
        yield CrackLine(edges.points, edges.left, edges.right, edges.sigma, edges.depth, seen[part], *nodes)


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


def _stretches(seen: NDArray[np.bool_], gap: float, least: float) -> list[tuple[int, int]]:
    """Return stretches (first, last exclusive) of seen points; gaps are bridged, short stretches dropped."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    joined: list[list[int]] = []
    for first, last in edges.reshape(-1, 2).tolist():
        if joined and first - joined[-1][1] <= gap:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    return [(first, last) for first, last in joined if seen[first:last].sum() >= least]


def paint_lines(lines: list[CrackLine], shape: tuple[int, ...]) -> Mask:
    """Return a mask [H,W] of the pixels between the edges of lines, and at least of their centre lines."""
    canvas = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    for line in lines:
        normal = left_normals(line.points)
        left, right = (np.maximum(side - 0.5, 0)[:, None] for side in (line.left, line.right))
        one, two = line.points + normal * left, line.points - normal * right
        for place in np.flatnonzero(line.width[:-1] > 2).tolist():
            corners = (one[place], one[place + 1], two[place + 1], two[place])
            draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
        draw.line([(round(x), round(y)) for x, y in line.points.tolist()], fill=255)
    return np.asarray(canvas) > 0
