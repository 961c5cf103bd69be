"""Cracks drawn by ourselves: broken lines that branch, thin out and end, with chipped edges.

The course of a crack comes from midpoint displacement (Fournier, Fussell and Carpenter, 1982): the middle of
each segment is moved sideways by a random share of the segment's length, again and again.
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
        core: Pixels that the crack itself covers by a quarter or more, bool [H,W].
        paths: Courses of the crack and of its branches, each [N,2] of x, y in px.
        width: Typical width of the widest course in px.
    """

    core: Mask
    paths: list[Path]
    width: float

    def label(self, label_width: float, generator: Generator) -> Mask:
        """Draw the outline as a person does: `label_width` px wide around few points of each course."""
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
        canvas: Where to draw.
        width: Typical width in px of a 640 px photo; by default mostly thin, seldom wide.
        region: Where the crack may run, bool [H,W]; anywhere by default.

    Returns:
        The crack; its core may be empty where the region leaves nothing of it.
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
    """Main course and branches, with a width in px for each segment."""
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
    """Unit vector [2] along which a branch leaves a course, `least_angle` to 1.2 radians off its direction.

    Args:
        parent: The course.
        index: The point of it where the branch begins.
        near: The course's direction is measured between this many points before and after that one.
        least_angle: Smallest angle between the two, in radians.
        generator: Source of the choice.
    """
    heading = parent[min(index + near, len(parent) - 1)] - parent[max(index - near, 0)]
    turn = generator.choice([-1, 1]) * generator.uniform(least_angle, 1.2)
    angle = np.arctan2(heading[1], heading[0]) + turn
    return np.array([np.cos(angle), np.sin(angle)])


def _ends(size: Size, generator: Generator, region: Mask | None) -> tuple[Path, Path]:
    """Two points for a crack to run between: across the photo, from a border inwards, or inside."""
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
    """Midpoint displacement down to segments of about 3 px: straight from afar, jagged from near."""
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
    """Refine a straight line into a broken one, points [N,2] of x, y in px.

    Args:
        start: First point.
        end: Last point.
        roughness: Standard deviation of the sideways move in each round, as a share of a segment's length.
            A round halves all segments.
        generator: Source of the moves.
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
    """Row and column of the pixel of each point [N,2] of x, y; points outside count for the border."""
    whole = np.clip(path.round(), 0, (size[1] - 1, size[0] - 1)).astype(np.intp)
    return whole[:, 1], whole[:, 0]


def inside(path: Path, size: Size, region: Mask | None) -> Mask:
    """Which points [N,2] of x, y lie in the photo and, where one is given, in the region; bool [N]."""
    in_photo = ((path >= 0) & (path <= (size[1] - 1, size[0] - 1))).all(axis=1)
    return np.asarray(in_photo if region is None else in_photo & region[pixels_of(path, size)])


def _profile(count: int, width: float, generator: Generator, opens: bool = False) -> NDArray[np.float64]:
    """Width of each segment: slow swelling, ragged edges, thinning towards the ends."""
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
