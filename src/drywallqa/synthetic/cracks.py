"""Synthetic cracks: jagged lines with chipped edges that branch and thin out towards their ends.

The path of a crack comes from midpoint displacement (Fournier, Fussell and Carpenter, 1982). Each round
moves the middle of every segment sideways by a random share of the segment's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drywallqa.synthetic.canvas import (
    Canvas,
    Float,
    Generator,
    Mask,
    Path,
    Size,
    Stroke,
    blurred,
    coverage,
    noise,
)

_THINNEST = 0.5  # px; a thinner line would vanish in the camera's noise


@dataclass(frozen=True)
class Crack:
    """A drawn crack.

    Attributes:
        core: Pixels of which the crack covers at least a quarter, bool [H,W].
        paths: Paths of the crack and its branches, each [N,2] of x, y in px.
        width: Typical width of the widest path in px.
    """

    core: Mask
    paths: list[Path]
    width: float

    def label(self, label_width: float, generator: Generator) -> Mask:
        """Imitate a hand-drawn label: an outline `label_width` px wide around a few points of each path."""
        strokes = []
        for path in self.paths:
            step = max(1, len(path) // int(generator.integers(8, 20)))
            corners = np.concatenate([path[::step], path[-1:]])
            strokes.append(Stroke(corners, label_width * generator.uniform(0.75, 1.3, len(corners))))
        size = (self.core.shape[0], self.core.shape[1])
        return self.core | (coverage(strokes, size, oversampling=1) > 0.5)


def add_crack(canvas: Canvas, width: float | None = None, region: Mask | None = None) -> Crack:
    """Draw one crack with its branches.

    Args:
        canvas: The canvas to draw on.
        width: Typical width in px of a 640 px photo; by default usually thin, rarely wide.
        region: Where the crack may run, bool [H,W]; anywhere by default.

    Returns:
        The crack. Its core may be empty if the crack lies outside the region.
    """
    if width is None:
        width = float(np.exp(canvas.generator.uniform(np.log(0.5), np.log(6.0))))
    strokes = _courses(canvas.size, width * canvas.scale, canvas.generator, region)
    cover, paths = coverage(strokes, canvas.size), [np.asarray(stroke.points) for stroke in strokes]
    if region is not None:
        cover *= region
        kept = [path[region[pixels_of(path, canvas.size)]] for path in paths]
        paths = [path for path in kept if len(path) > 1]
    _lay(canvas, cover, width)
    return Crack(cover > 0.25, paths, width * canvas.scale)


def _courses(size: Size, width: float, generator: Generator, region: Mask | None) -> list[Stroke]:
    """Create the main path and its branches, with a width in px for each segment."""
    start, end = _ends(size, generator, region)
    main = _course(start, end, generator, generator.uniform(0.04, 0.13))
    strokes = [Stroke(main, _profile(len(main), width, generator))]
    reach = np.hypot(*(end - start))
    for _ in range(int(generator.choice([0, 1, 2, 3, 5], p=[0.3, 0.3, 0.2, 0.15, 0.05]))):
        parent = np.asarray(strokes[int(generator.integers(len(strokes)))].points)
        index = int(generator.integers(1, len(parent) - 1))
        direction = branch_direction(parent, index, 4, 0.4, generator)
        tip = parent[index] + reach * generator.uniform(0.1, 0.45) * direction
        branch = _course(parent[index], tip, generator, generator.uniform(0.05, 0.14))
        thickness = width * generator.uniform(0.3, 0.75)
        strokes.append(Stroke(branch, _profile(len(branch), thickness, generator, opens=True)))
    return strokes


def branch_direction(
    parent: Path, index: int, near: int, least_angle: float, generator: Generator
) -> NDArray[np.float64]:
    """Choose a branch's direction, a unit vector [2] at `least_angle` to 1.2 radians to its parent path.

    Args:
        parent: The parent path.
        index: Index of the path's point where the branch begins.
        near: Number of points before and after that point over which the path's direction is measured.
        least_angle: Smallest angle between branch and parent path, in radians.
        generator: Random generator for the choice.
    """
    heading = parent[min(index + near, len(parent) - 1)] - parent[max(index - near, 0)]
    turn = generator.choice([-1, 1]) * generator.uniform(least_angle, 1.2)
    angle = np.arctan2(heading[1], heading[0]) + turn
    return np.array([np.cos(angle), np.sin(angle)])


def _ends(size: Size, generator: Generator, region: Mask | None) -> tuple[Path, Path]:
    """Choose a crack's end points: across the photo, from a border inwards, or both inside."""
    low, high = np.array([0, 0]), np.array([size[1] - 1, size[0] - 1])
    if region is not None and region.any():
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
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
    return first, second


def _course(start: ArrayLike, end: ArrayLike, generator: Generator, roughness: float) -> Path:
    """Refine a line by midpoint displacement to segments of 3 px that are jagged but follow the line."""
    length = max(float(np.hypot(*np.subtract(end, start))), 8.0)
    levels = max(2, min(8, int(np.ceil(np.log2(length / 3.0)))))
    jagged = range(levels - 3, levels) if levels > 2 else ()
    steps = [roughness * (2.0 if level in jagged else 1.0) for level in range(levels)]
    return midpoint_displacement(start, end, steps, generator)


def midpoint_displacement(
    start: ArrayLike,
    end: ArrayLike,
    roughness: Sequence[float],
    generator: Generator,
    limit: float = np.inf,
) -> Path:
    """Refine a straight line into a jagged one, points [N,2] of x, y in px.

    Args:
        start: First point.
        end: Last point.
        roughness: Standard deviation of the sideways move in each round, as a share of a segment's length.
            Each round halves all segments.
        generator: Random generator for the moves.
        limit: Largest move, as a share of a segment's length.
    """
    path = np.array([start, end], np.float64)
    for deviation in roughness:
        sideways = np.diff(path, axis=0)[:, ::-1] * (-1, 1)
        moved = np.clip(generator.normal(0, deviation, (len(sideways), 1)), -limit, limit)
        middle = (path[:-1] + path[1:]) / 2 + sideways * moved
        path = np.insert(path, np.arange(1, len(path)), middle, axis=0)
    return path


def pixels_of(path: Path, size: Size) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pixel row and column of each point [N,2] of x, y; points outside are clipped to the border."""
    whole = np.clip(path.round(), 0, (size[1] - 1, size[0] - 1)).astype(np.intp)
    return whole[:, 1], whole[:, 0]


def inside(path: Path, size: Size, region: Mask | None) -> Mask:
    """Check which points [N,2] of x, y lie in the photo and in the region, if one is given; bool [N]."""
    in_photo = ((path >= 0) & (path <= (size[1] - 1, size[0] - 1))).all(axis=1)
    return np.asarray(in_photo if region is None else in_photo & region[pixels_of(path, size)])


def _profile(count: int, width: float, generator: Generator, opens: bool = False) -> NDArray[np.float64]:
    """Compute each segment's width: slow variation, ragged edges, and thinning towards the ends."""
    place = np.linspace(0, 1, count)
    swelling = np.interp(place, np.linspace(0, 1, 7), generator.uniform(0.45, 1.5, 7))
    ragged = generator.uniform(0.7, 1.35, count)
    end = np.clip((1 - place) * generator.uniform(3, 12), 0.25, 1)
    begin = np.ones(count) if opens else np.clip(place * generator.uniform(3, 30), 0.25, 1)
    return np.asarray(np.maximum(width * swelling * ragged * end * begin, _THINNEST))


def _lay(canvas: Canvas, cover: Float, width: float) -> None:
    """Darken the crack, brighten chipped edges, stain its neighbourhood, and lower the relief."""
    generator, scale = canvas.generator, canvas.scale
    depth = generator.uniform(0.5, 0.95)
    if generator.random() < 0.4:
        # Hairline cracks fade in places, and wider cracks contain dust.
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
