"""Draw cracks whose width is given in px of the final photo, and return their exact paths and masks.

In this module, a crack with a width of 2 px is 2 px wide in a photo of any size. In `cracks.py`, widths are
proportional to the size of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drywallqa.synthetic.canvas import (
    Box,
    Canvas,
    Float,
    Generator,
    Mask,
    Path,
    Size,
    Stroke,
    blurred,
    boxed_coverage,
    noise,
    octaves,
)
from drywallqa.synthetic.cracks import branch_direction, inside, midpoint_displacement, pixels_of

WIDTHS = (1, 2, 3, 5, 8, 12, 20, 30)
"""Available widths of cracks in px."""
_PIECES = 48  # segments of a path that are drawn together; more would need larger oversampled boxes
_FINE = 4  # oversampling factor
_ATTEMPTS = 30  # attempts to place a crack away from the other cracks
_BROAD = 5  # px; cracks of at least this width have chipped edges


@dataclass(frozen=True, eq=False)
class PhoneCrack:
    """One path of a crack. A branch of a crack is a separate `PhoneCrack`.

    Attributes:
        width: Nominal width in px.
        centreline: Visible points (x, y) on the path, [N,2] in px, about one per px of length.
        box: Rows and columns of the photo that contain the crack.
        mask: Visible pixels in the box that the crack covers by at least half, bool [h,w].
    """

    width: int
    centreline: Path
    box: Box
    mask: Mask

    def without(self, hidden: Mask) -> PhoneCrack:
        """Return the crack without the pixels in `hidden`, bool [H,W]."""
        visible = ~hidden[pixels_of(self.centreline, (hidden.shape[0], hidden.shape[1]))]
        return replace(self, centreline=self.centreline[visible], mask=self.mask & ~hidden[self.box])


def add_phone_cracks(canvas: Canvas, widths: Sequence[int], region: Mask | None = None) -> list[PhoneCrack]:
    """Draw cracks, some of them with branches, and keep the cracks apart if possible.

    Args:
        canvas: The canvas to draw on.
        widths: Nominal width of each crack in px.
        region: Area that the cracks must not leave, bool [H,W]. If None, the whole photo.

    Returns:
        The cracks in the order of `widths`, followed by the branches. Cracks outside the photo are left out.
    """
    generator, size = canvas.generator, canvas.size
    courses: list[tuple[int, Path]] = []
    for width in widths:
        mains = [course for _, course in courses]
        courses.append((width, _apart(size, width, mains, generator, region)))
    for width, main in list(courses):
        for _ in range(int(generator.choice([0, 1, 2], p=[0.55, 0.3, 0.15]))):
            narrower = [other for other in WIDTHS if other <= max(1, 0.75 * width)]
            thickness = int(generator.choice(narrower[-3:]))
            index = int(generator.uniform(0.15, 0.85) * len(main))
            direction = branch_direction(main, index, max(1, len(main) // 20), 0.5, generator)
            tip = main[index] + generator.uniform(0.06, 0.3) * max(size) * direction
            courses.append((thickness, _course(main[index], tip, thickness, generator)))
    cracks = [_add(canvas, width, course, region) for width, course in courses]
    return [crack for crack in cracks if crack is not None]


def _apart(size: Size, width: int, others: Sequence[Path], generator: Generator, region: Mask | None) -> Path:
    """Create a path that lies mostly inside the region and away from the other paths."""
    best, best_score = np.empty((0, 2)), -np.inf
    for _ in range(_ATTEMPTS):
        course = _course(*_ends(size, generator), width, generator)
        score = float(inside(course, size, region).mean())
        for other in others:
            near = np.hypot(*(course[::8, None] - other[None, ::8]).transpose(2, 0, 1)).min(axis=1)
            score -= float((near < 0.06 * max(size)).mean())
        if score > best_score:
            best, best_score = course, score
        if score > 0.9:
            break
    return best


def _ends(size: Size, generator: Generator) -> tuple[Path, Path]:
    """Choose two end points with a distance of 0.2 to 0.9 times the longer side of the photo."""
    start = generator.uniform(0.05, 0.95, 2) * size[::-1]
    if generator.random() < 0.5:
        axis = int(generator.integers(2))
        start[axis] = generator.choice([0, 1]) * (size[1 - axis] - 1)
    towards = generator.uniform(0.15, 0.85, 2) * size[::-1] - start
    length = max(float(np.hypot(*towards)), 1.0)
    return start, start + towards / length * generator.uniform(0.2, 0.9) * max(size)


def _course(start: Path, end: Path, width: int, generator: Generator) -> Path:
    """Turn a straight line into a jagged path with segments of about 4 px, or longer if the crack is wide."""
    length = max(float(np.hypot(*(end - start))), 8.0)
    levels = max(2, int(np.ceil(np.log2(length / max(4.0, width)))))
    jagged, roughness = range(levels - 5, levels - 1), generator.uniform(0.04, 0.11)
    steps = [roughness * (1.5 if level in jagged else 1.0) for level in range(levels)]
    return midpoint_displacement(start, end, steps, generator, limit=0.3)


def _add(canvas: Canvas, width: int, course: Path, region: Mask | None) -> PhoneCrack | None:
    """Draw one path of a crack. Return None if the path lies outside the photo."""
    size, margin = canvas.size, 4 * width + 8
    low = np.maximum(np.floor(course.min(0)) - margin, 0).astype(int)
    high = np.minimum(np.ceil(course.max(0)) + margin + 1, size[::-1]).astype(int)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(course, axis=0).T))])
    every_px = np.arange(0, along[-1])
    line = np.stack([np.interp(every_px, along, course[:, axis]) for axis in range(2)], 1)
    line = line[inside(line, size, region)]
    if (high - low < 8).any() or not len(line):
        return None
    box = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    cover = _cover(course - low, width, (int(high[1] - low[1]), int(high[0] - low[0])), canvas.generator)
    if region is not None:
        cover *= region[box]
    _lay(canvas, cover, width, box)
    return PhoneCrack(width, line, box, cover >= 0.5)


def _cover(course: Path, width: int, size: Size, generator: Generator) -> Float:
    """Compute how much of each pixel in the box is covered by a crack with ragged or chipped edges."""
    count = len(course)
    swelling = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, 9), generator.uniform(0.75, 1.25, 9))
    ragged = generator.uniform(0.85, 1.15, count)
    taper = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / max(1, 0.04 * count), 0.5, 1)
    widths = width * swelling * ragged * taper
    cover = np.zeros(size, np.float32)
    for first in range(0, count - 1, _PIECES):
        points = slice(first, first + _PIECES + 1)
        drawn, box = boxed_coverage(Stroke(course[points], widths[points]), size, 2 * width + 4, _FINE)
        np.maximum(cover[box], drawn, out=cover[box])  # the coverage of overlapping pieces must not be added
    if width < _BROAD:
        return cover
    # Broad cracks have chipped edges. Adding noise to a blurred copy moves the outline.
    radius = 0.2 * width
    soft = blurred(cover, radius)
    lumps = octaves(size, (0.6 * width, max(1.5, radius)), (0.16, 0.09), generator)
    broken = np.clip((soft - 0.5 + lumps) * np.float32(2.5 * radius) + 0.5, 0, 1)
    return np.asarray(broken.astype(np.float32) * (soft > 0.05))


def _lay(canvas: Canvas, cover: Float, width: int, box: Box) -> None:
    """Draw a crack in its box, sometimes with a bright edge, and lower the wall's relief there."""
    generator, part = canvas.generator, canvas.colour[:, box[0], box[1]]
    depth = generator.uniform(0.55 if width < _BROAD else 0.8, 0.97)
    least = 0.35 if width < _BROAD else 0.75  # minimum opacity of the fainter parts of a crack
    patchy = 0.85 + 0.3 * noise(cover.shape, max(6.0, 1.5 * width), generator)
    opacity = cover * np.clip(patchy, least, 1).astype(np.float32) * np.float32(depth)
    shadow = part.mean((1, 2)) * np.float32(generator.uniform(0.08, 0.3)) + np.float32(0.01)
    halo = blurred(cover, max(0.8, 0.35 * width))
    if generator.random() < 0.5:
        lip = np.clip(halo * 2 - cover, 0, 1) * np.clip(noise(cover.shape, 4 + width, generator), 0, 1)
        canvas.darken(-np.float32(generator.uniform(0.03, 0.2)) * lip, box)
    part += opacity * (shadow[:, None, None] - part)
    canvas.height[box] -= halo * np.float32(generator.uniform(0.2, 0.6) * min(width, 8))
