"""Cracks drawn by ourselves: broken lines that branch, thin out and end, with chipped edges.

The course of a crack comes from midpoint displacement (Fournier, Fussell and Carpenter, 1982): the middle of
each piece is moved sideways by a random share of the piece's length, again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drywallqa.synthetic.canvas import Canvas, Float, Mask, Point, Stroke, blurred, coverage, noise

Generator = np.random.Generator
Path = NDArray[np.float64]  # [N,2] of x, y in px
_THINNEST = 0.5  # px; a thinner line would vanish in the camera's noise


@dataclass
class Crack:
    """A drawn crack.

    Attributes:
        core: Pixels that the crack itself covers by a quarter or more, bool [H,W].
        paths: Courses of the crack and of its branches, each [N,2] of x, y in px.
        width: Typical width of the widest course in px.
    """

    core: Mask
    paths: list[Path] = field(default_factory=list)
    width: float = 1.0

    def label(self, label_width: float, generator: Generator) -> Mask:
        """Outline as a person draws it: `label_width` px wide around few points of each course."""
        strokes = []
        for path in self.paths:
            step = max(1, len(path) // int(generator.integers(8, 20)))
            corners = np.concatenate([path[::step], path[-1:]])
            widths = label_width * generator.uniform(0.75, 1.3, len(corners))
            strokes.append(Stroke([(float(x), float(y)) for x, y in corners], widths.tolist()))
        outline = coverage(strokes, (self.core.shape[0], self.core.shape[1]), oversampling=1) > 0.5
        return outline | self.core


def add_crack(canvas: Canvas, width: float | None = None, region: Mask | None = None) -> Crack:
    """Draw one crack with its branches.

    Args:
        canvas: Where to draw.
        width: Typical width in px of a 640 px photo; by default mostly thin, seldom wide.
        region: Where the crack may run, bool [H,W]; anywhere by default.

    Returns:
        The crack; its core may be empty where the region leaves nothing of it.
    """
    generator, scale = canvas.generator, canvas.scale
    if width is None:
        width = float(np.exp(generator.uniform(np.log(0.5), np.log(6.0))))
    paths, widths = _courses(canvas.size, width * scale, generator, region)
    strokes = [
        Stroke([(float(x), float(y)) for x, y in path], thickness.tolist())
        for path, thickness in zip(paths, widths, strict=True)
    ]
    cover = coverage(strokes, canvas.size)
    if region is not None:
        cover *= region
        paths = [path for path in (_within(path, region) for path in paths) if len(path) > 1]
    _lay(canvas, cover, width)
    return Crack(cover > 0.25, paths, width * scale)


def _courses(
    size: tuple[int, int], width: float, generator: Generator, region: Mask | None
) -> tuple[list[Path], list[NDArray[np.float64]]]:
    """Main course and branches with the width of each of their pieces, in px."""
    start, end = _ends(size, generator, region)
    main = _course(start, end, generator, roughness=generator.uniform(0.04, 0.13))
    paths, widths = [main], [_profile(len(main), width, generator)]
    reach = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    for _ in range(int(generator.choice([0, 1, 2, 3, 5], p=[0.3, 0.3, 0.2, 0.15, 0.05]))):
        parent = paths[int(generator.integers(len(paths)))]
        index = int(generator.integers(1, len(parent) - 1))
        heading = parent[min(index + 4, len(parent) - 1)] - parent[max(index - 4, 0)]
        angle = np.arctan2(heading[1], heading[0]) + generator.choice([-1, 1]) * generator.uniform(0.4, 1.2)
        length = reach * generator.uniform(0.1, 0.45)
        tip = parent[index] + length * np.array([np.cos(angle), np.sin(angle)])
        branch = _course(tuple(parent[index]), tuple(tip), generator, generator.uniform(0.05, 0.14))
        paths.append(branch)
        widths.append(_profile(len(branch), width * generator.uniform(0.3, 0.75), generator, opens=True))
    return paths, widths


def _ends(size: tuple[int, int], generator: Generator, region: Mask | None) -> tuple[Point, Point]:
    """Two points for a crack to run between: across the photo, from a border inwards, or inside."""
    height, width = size
    if region is not None and region.any():
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
    else:
        low, high = np.array([0, 0]), np.array([width - 1, height - 1])
    for _ in range(30):
        first, second = low + generator.random((2, 2)) * (high - low)
        kind = generator.random()
        axis = int(generator.integers(2))
        if kind < 0.75:
            first[axis] = low[axis]
        if kind < 0.5:
            second[axis] = high[axis]
        if np.hypot(*(second - first)) > 0.3 * np.hypot(*(high - low)):
            break
    return (float(first[0]), float(first[1])), (float(second[0]), float(second[1]))


def _course(start: Point, end: Point, generator: Generator, roughness: float) -> Path:
    """Midpoint displacement down to pieces of about 3 px."""
    path = np.array([start, end], np.float64)
    length = float(np.hypot(*(path[1] - path[0])))
    levels = max(2, min(8, int(np.ceil(np.log2(max(length, 8.0) / 3.0)))))
    for level in range(levels):
        if level == levels - 3:
            roughness = 2.0 * roughness  # cracks run straight from afar and are jagged from near
        begin, stop = path[:-1], path[1:]
        piece = stop - begin
        sideways = np.stack([-piece[:, 1], piece[:, 0]], 1)
        middle = (begin + stop) / 2 + sideways * generator.normal(0, roughness, (len(piece), 1))
        refined = np.empty((len(path) * 2 - 1, 2))
        refined[0::2], refined[1::2] = path, middle
        path = refined
    return path


def _profile(count: int, width: float, generator: Generator, opens: bool = False) -> NDArray[np.float64]:
    """Width of each piece: slow swelling, ragged edges, thinning towards the ends."""
    place = np.linspace(0, 1, count)
    swelling = np.interp(place, np.linspace(0, 1, 7), generator.uniform(0.45, 1.5, 7))
    ragged = generator.uniform(0.7, 1.35, count)
    end = np.clip((1 - place) * generator.uniform(3, 12), 0.25, 1)
    begin = np.ones(count) if opens else np.clip(place * generator.uniform(3, 30), 0.25, 1)
    profile: NDArray[np.float64] = np.maximum(width * swelling * ragged * end * begin, _THINNEST)
    return profile


def _within(path: Path, region: Mask) -> Path:
    rows = np.clip(path[:, 1].round().astype(int), 0, region.shape[0] - 1)
    columns = np.clip(path[:, 0].round().astype(int), 0, region.shape[1] - 1)
    kept: Path = path[region[rows, columns]]
    return kept


def _lay(canvas: Canvas, cover: Float, width: float) -> None:
    """Darken the crack, brighten chipped edges, stain its neighbourhood, and lower the relief."""
    generator, scale = canvas.generator, canvas.scale
    depth = generator.uniform(0.5, 0.95)
    if generator.random() < 0.4:
        # Hairlines fade in places, and dust lies in wider cracks.
        patchy = np.clip(0.8 + 0.5 * noise(canvas.size, 25 * scale, generator), 0.15, 1)
        cover = cover * patchy.astype(np.float32)
    halo = blurred(cover, max(1.0, 0.8 * width) * scale)
    if generator.random() < 0.6:
        chips = np.clip(noise(canvas.size, 5 * scale, generator), 0, 1) * np.clip(halo * 2 - cover, 0, 1)
        canvas.darken(-np.float32(generator.uniform(0.1, 0.5)) * chips)
    if generator.random() < 0.35:
        canvas.darken(np.float32(generator.uniform(0.1, 0.35)) * blurred(cover, 7 * scale))
    shadow = np.asarray([0.05, 0.045, 0.04], np.float32) * generator.uniform(0.3, 2.5)
    canvas.blend(cover * np.float32(depth), shadow)
    canvas.height -= halo * np.float32(generator.uniform(0.5, 2.5))
