"""Cracks of a stated width in the photo's own px, with their exact course and mask.

Lengths in `cracks.py` grow with the photo; here they are px of the photo itself: a crack of 2 px is 2 px wide
however large the photo is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drywallqa.synthetic.canvas import Canvas, Float, Mask, Stroke, blurred, coverage, noise, octaves

Generator = np.random.Generator
Path = NDArray[np.float64]  # [N,2] of x, y in px

WIDTHS = (1, 2, 3, 5, 8, 12, 20, 30)
"""Width classes in px."""
_PIECES = 48  # of a course that are drawn together; keeps the finely drawn boxes small
_FINE = 4
_ATTEMPTS = 30
_BROAD = 5  # px; from here on a crack shows edges and a bottom


@dataclass(frozen=True, eq=False)
class PhoneCrack:
    """One course of a crack; a branch is a course of its own.

    Attributes:
        width: Nominal width in px.
        centreline: Points [N,2] of x, y in px, about one a px of length, where the crack is not hidden.
        box: Rows and columns of the photo that it lies in.
        mask: Pixels of the box that it covers by half or more, where it is not hidden; bool.
    """

    width: int
    centreline: Path
    box: tuple[slice, slice]
    mask: Mask

    def without(self, hidden: Mask) -> PhoneCrack:
        """The crack less what things in front of it hide, bool [H,W]."""
        x, y = _indices(self.centreline, (hidden.shape[0], hidden.shape[1]))
        return replace(self, centreline=self.centreline[~hidden[y, x]], mask=self.mask & ~hidden[self.box])


def add_phone_cracks(canvas: Canvas, widths: Sequence[int], region: Mask | None = None) -> list[PhoneCrack]:
    """Draw cracks, apart from one another where there is room, with branches now and then.

    Args:
        canvas: Where to draw.
        widths: Nominal width of each in px.
        region: Where cracks may run, bool [H,W]; anywhere by default.

    Returns:
        The cracks in the order of their widths, then the branches.
    """
    generator = canvas.generator
    mains: list[Path] = []
    for width in widths:
        mains.append(_apart(canvas.size, width, mains, generator, region))
    courses = list(zip(widths, mains, strict=True))
    for width, main in list(courses):
        for _ in range(int(generator.choice([0, 1, 2], p=[0.55, 0.3, 0.15]))):
            narrower = [other for other in WIDTHS if other <= max(1, 0.75 * width)]
            thickness = int(generator.choice(narrower[-3:]))
            courses.append((thickness, _branch(main, thickness, canvas.size, generator)))
    cracks = [_add(canvas, width, course, region) for width, course in courses]
    return [crack for crack in cracks if crack is not None]


def _apart(
    size: tuple[int, int], width: int, others: Sequence[Path], generator: Generator, region: Mask | None
) -> Path:
    """A course that stays away from the others over most of its length, and inside the region."""
    reach = 0.06 * max(size)
    best, best_score = np.empty((0, 2)), -np.inf
    for _ in range(_ATTEMPTS):
        course = _course(*_ends(size, generator), width, generator)
        score = float(_inside(course, size, region).mean())
        for other in others:
            near = np.hypot(*(course[::8, None] - other[None, ::8]).transpose(2, 0, 1)).min(axis=1)
            score -= float((near < reach).mean())
        if score > best_score:
            best, best_score = course, score
        if score > 0.9:
            break
    return best


def _ends(size: tuple[int, int], generator: Generator) -> tuple[Path, Path]:
    """Two points: from a border inwards or inside, 0.2 to 0.9 of the longer side apart."""
    height, width = size
    start = generator.uniform(0.05, 0.95, 2) * (width, height)
    if generator.random() < 0.5:
        axis = int(generator.integers(2))
        start[axis] = generator.choice([0, 1]) * (size[1 - axis] - 1)
    towards = generator.uniform(0.15, 0.85, 2) * (width, height) - start
    length = max(float(np.hypot(*towards)), 1.0)
    return start, start + towards / length * generator.uniform(0.2, 0.9) * max(size)


def _branch(parent: Path, width: int, size: tuple[int, int], generator: Generator) -> Path:
    index = int(generator.uniform(0.15, 0.85) * len(parent))
    near = max(1, len(parent) // 20)
    heading = parent[min(index + near, len(parent) - 1)] - parent[max(index - near, 0)]
    angle = np.arctan2(heading[1], heading[0]) + generator.choice([-1, 1]) * generator.uniform(0.5, 1.2)
    length = generator.uniform(0.06, 0.3) * max(size)
    tip = parent[index] + length * np.array([np.cos(angle), np.sin(angle)])
    return _course(parent[index], tip, width, generator)


def _course(start: Path, end: Path, width: int, generator: Generator) -> Path:
    """Midpoint displacement (Fournier, Fussell and Carpenter, 1982) down to pieces of 4 px or the width."""
    path = np.array([start, end], np.float64)
    length = max(float(np.hypot(*(end - start))), 8.0)
    levels = max(2, int(np.ceil(np.log2(length / max(4.0, width)))))
    roughness = generator.uniform(0.04, 0.11)
    for level in range(levels):
        jagged = roughness * (1.5 if levels - 5 <= level < levels - 1 else 1.0)
        begin, stop = path[:-1], path[1:]
        piece = stop - begin
        sideways = np.stack([-piece[:, 1], piece[:, 0]], 1)
        moved = np.clip(generator.normal(0, jagged, (len(piece), 1)), -0.3, 0.3)
        middle = (begin + stop) / 2 + sideways * moved
        refined = np.empty((len(path) * 2 - 1, 2))
        refined[0::2], refined[1::2] = path, middle
        path = refined
    return path


def _inside(path: Path, size: tuple[int, int], region: Mask | None) -> Mask:
    """Which points lie in the photo and in the region, bool [N]."""
    inside = np.asarray(((path >= 0) & (path <= (size[1] - 1, size[0] - 1))).all(axis=1), np.bool_)
    if region is not None:
        x, y = _indices(path, size)
        inside &= region[y, x]
    return inside


def _indices(path: Path, size: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    whole = np.clip(path.round(), 0, (size[1] - 1, size[0] - 1)).astype(np.intp)
    return whole[:, 0], whole[:, 1]


def _add(canvas: Canvas, width: int, course: Path, region: Mask | None) -> PhoneCrack | None:
    """Draw one course; None where nothing of it lies in the photo."""
    size = canvas.size
    margin = 4 * width + 8
    low = np.maximum(np.floor(course.min(0)) - margin, 0).astype(int)
    high = np.minimum(np.ceil(course.max(0)) + margin + 1, (size[1], size[0])).astype(int)
    line = _every_px(course)
    line = line[_inside(line, size, region)]
    if (high - low < 8).any() or not len(line):
        return None
    box = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    shape = (int(high[1] - low[1]), int(high[0] - low[0]))
    cover = _cover(course - low, width, shape, canvas.generator)
    if region is not None:
        cover *= region[box]
    _lay(canvas, cover, width, box)
    return PhoneCrack(width, line, box, cover >= 0.5)


def _every_px(course: Path) -> Path:
    """Points of a course one px apart."""
    steps = np.hypot(*np.diff(course, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(0, along[-1])
    return np.stack([np.interp(wanted, along, course[:, axis]) for axis in range(2)], 1)


def _cover(course: Path, width: int, shape: tuple[int, int], generator: Generator) -> Float:
    """Share of each pixel of the box that the crack covers: slowly swelling, ragged, chipped where wide."""
    count = len(course)
    swelling = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, 9), generator.uniform(0.75, 1.25, 9))
    ragged = generator.uniform(0.85, 1.15, count)
    taper = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / max(1, 0.04 * count), 0.5, 1)
    widths = width * swelling * ragged * taper
    cover = np.zeros(shape, np.float32)
    for first in range(0, count - 1, _PIECES):
        piece = [(float(x), float(y)) for x, y in course[first : first + _PIECES + 1]]
        _draw(cover, Stroke(piece, widths[first : first + _PIECES + 1].tolist()), 2 * width + 4)
    return _broken(cover, width, generator) if width >= _BROAD else cover


def _broken(cover: Float, width: int, generator: Generator) -> Float:
    """Break the edges of a broad crack: the outline moves where noise is added to its blurred copy."""
    radius = 0.2 * width
    soft = blurred(cover, radius)
    lumps = octaves(cover.shape, (0.6 * width, max(1.5, 0.2 * width)), (0.16, 0.09), generator)
    broken = (soft - 0.5 + lumps) * np.float32(2.5 * radius) + 0.5
    result: Float = np.clip(broken, 0, 1).astype(np.float32) * (soft > 0.05)
    return result


def _draw(cover: Float, stroke: Stroke, margin: int) -> None:
    """Draw a stroke finely into the box that it needs; overlapping ones do not add up."""
    points = np.asarray(stroke.points)
    left, top = np.maximum(np.floor(points.min(0)).astype(int) - margin, 0)
    right, bottom = np.minimum(np.ceil(points.max(0)).astype(int) + margin, cover.shape[::-1])
    if right <= left or bottom <= top:
        return
    part = cover[top:bottom, left:right]
    moved = Stroke([(x - left, y - top) for x, y in stroke.points], stroke.widths)
    np.maximum(part, coverage([moved], part.shape, _FINE), out=part)


def _lay(canvas: Canvas, cover: Float, width: int, box: tuple[slice, slice]) -> None:
    """Darken the crack, more in its middle where it is wide; brighten a lip; lower the relief."""
    generator = canvas.generator
    depth = generator.uniform(0.55 if width < _BROAD else 0.8, 0.97)
    least = 0.35 if width < _BROAD else 0.75  # hairlines fade in places; dust lies in broad cracks
    patchy = 0.85 + 0.3 * noise(cover.shape, max(6.0, 1.5 * width), generator)
    opacity = cover * np.clip(patchy, least, 1).astype(np.float32) * np.float32(depth)
    wall = canvas.colour[:, box[0], box[1]].mean((1, 2))
    shadow = wall * np.float32(generator.uniform(0.08, 0.3)) + np.float32(0.01)
    halo = blurred(cover, max(0.8, 0.35 * width))
    if generator.random() < 0.5:
        lip = np.clip(halo * 2 - cover, 0, 1) * np.clip(noise(cover.shape, 4 + width, generator), 0, 1)
        canvas.darken(-np.float32(generator.uniform(0.03, 0.2)) * lip, box)
    part = canvas.colour[:, box[0], box[1]]
    part += opacity * (shadow[:, None, None] - part)
    canvas.height[box] -= halo * np.float32(generator.uniform(0.2, 0.6) * min(width, 8))
