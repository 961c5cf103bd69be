"""Draw details that are visible only in large photos: fine grain of the wall and small objects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from drywallqa.synthetic.canvas import (
    Canvas,
    Draw,
    Generator,
    Path,
    Stroke,
    blurred,
    boxed_coverage,
    noise,
    octaves,
)
from drywallqa.synthetic.surfaces import BOARDS

_MARGIN = 0.04  # details start at least this far from the borders, as a share of each side


def _paper(canvas: Canvas, generator: Generator) -> None:
    """Add the texture of board paper: fibres in both directions and small flecks."""
    coarse = generator.uniform(0.8, 2.0)
    fibres = octaves(
        canvas.size,
        ((1.3 * coarse, 6 * coarse), (6 * coarse, 1.3 * coarse), 1.2, 9 * coarse),
        (0.6, 0.5, 0.5, 0.4),
        generator,
    )
    canvas.darken(fibres * np.float32(generator.uniform(0.008, 0.022)))
    canvas.height += fibres * np.float32(generator.uniform(0.05, 0.25))
    flecks = noise(canvas.size, 2.2 * coarse, generator) - np.float32(generator.uniform(3.0, 4.0))
    canvas.darken(np.clip(flecks, 0, 0.5) * np.float32(generator.uniform(0.1, 0.5)))


def _paint(canvas: Canvas, generator: Generator) -> None:
    """Add fine grain and the orange-peel texture that a paint roller leaves."""
    cell = generator.uniform(3.0, 9.0)
    peel = octaves(canvas.size, (1.5, cell, 2.2 * cell), (0.15, 0.6, 0.6), generator)
    canvas.height += peel * np.float32(generator.uniform(0.1, 0.7) * cell / 4)
    canvas.darken(noise(canvas.size, 1.4, generator) * np.float32(generator.uniform(0.002, 0.01)))


def _plaster(canvas: Canvas, generator: Generator) -> None:
    """Add the texture of plaster: grains of sand and pits."""
    cell = generator.uniform(1.6, 4.0)
    sand = octaves(canvas.size, (cell, 2.5 * cell, 7 * cell), (0.5, 0.6, 0.7), generator)
    canvas.height += sand * np.float32(generator.uniform(0.2, 1.0) * cell / 2)
    canvas.darken(noise(canvas.size, cell, generator) * np.float32(generator.uniform(0.005, 0.02)))
    pits = noise(canvas.size, 2 * cell, generator) - np.float32(generator.uniform(2.8, 3.8))
    canvas.darken(np.clip(pits, 0, 0.4) * np.float32(0.7))


def _concrete(canvas: Canvas, generator: Generator) -> None:
    """Add the texture of concrete: grains of sand and air holes of two sizes."""
    cell = generator.uniform(1.5, 3.5)
    sand = octaves(canvas.size, (cell, 3 * cell, 9 * cell), (0.6, 0.5, 0.6), generator)
    canvas.darken(sand * np.float32(generator.uniform(0.015, 0.04)))
    canvas.height += sand * np.float32(generator.uniform(0.1, 0.6))
    for hole in (4, 14):
        lumps = noise(canvas.size, hole * generator.uniform(0.8, 1.5), generator)
        depth = np.clip((lumps - np.float32(generator.uniform(2.5, 3.6))) * np.float32(2), 0, 1)
        canvas.darken(depth * np.float32(generator.uniform(0.2, 0.6)))
        canvas.height -= depth * np.float32(0.3 * hole)


GRAINS: dict[str, Callable[[Canvas, Generator], None]] = {
    **dict.fromkeys(BOARDS, _paper),
    "paint": _paint,
    "plaster": _plaster,
    "rough plaster": _plaster,
    "concrete": _concrete,
}
"""Name of a surface → function that adds its texture at the full resolution of the photo."""


def _ink(canvas: Canvas, points: Path, width: ArrayLike, colour: float, opacity: float) -> None:
    """Draw a thin, irregular line. `width` in px is a single value or one value per point."""
    widths = np.broadcast_to(width, len(points))
    for first in range(0, len(points) - 1, 12):
        piece = slice(first, first + 13)
        stroke = Stroke(points[piece], widths[piece])
        cover, box = boxed_coverage(stroke, canvas.size, 3 + int(widths[piece].max()))
        if min(cover.shape) < 2:
            continue
        broken = np.clip(0.75 + 0.4 * noise(cover.shape, 2.5, canvas.generator), 0.1, 1)
        part = canvas.colour[:, box[0], box[1]]
        part += cover * broken.astype(np.float32) * np.float32(opacity) * (np.float32(colour) - part)


def _fine_pencil(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw pencil lines with a width of 1 to 4 px."""
    for _ in range(int(generator.integers(1, 6))):
        start = np.array(canvas.somewhere(_MARGIN))
        angle = generator.choice([0, np.pi / 2]) + generator.normal(0, 0.03)
        length = generator.uniform(0.02, 0.6) * max(canvas.size)
        count = max(4, int(length / 20))
        along = np.linspace(0, 1, count)[:, None] * length * np.array([np.cos(angle), np.sin(angle)])
        sway = np.cumsum(generator.normal(0, 0.15, (count, 2)), axis=0)
        width, tone = generator.uniform(1.0, 4.0), generator.uniform(0.1, 0.35)
        _ink(canvas, start + along + sway, width, tone, generator.uniform(0.2, 0.65))


def _scratches(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw short, dark or bright scratches that are 1 to 3 px wide."""
    for _ in range(int(generator.integers(3, 20))):
        length, angle = generator.uniform(30, 500), generator.uniform(0, 2 * np.pi)
        bend = np.cumsum(generator.normal(0, 0.04, 12)) + angle
        steps = np.stack([np.cos(bend), np.sin(bend)], 1) * length / 12
        points = np.array(canvas.somewhere(_MARGIN)) + np.cumsum(steps, axis=0)
        widths = generator.uniform(1.0, 2.5) * np.linspace(1, 0.6, 12)
        tone = 0.9 if generator.random() < 0.6 else 0.2
        _ink(canvas, points, widths, tone, generator.uniform(0.1, 0.4))


def _screws(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw rows of cross-slot screws."""
    radius = generator.uniform(7, 24)
    spacing = generator.uniform(250, 900)
    metal = generator.uniform(0.15, 0.6)
    for _ in range(int(generator.integers(1, 4))):
        start, level = np.array(canvas.somewhere(_MARGIN)), generator.random() < 0.4
        for step in np.arange(-12, 13):
            centre = (
                start + step * spacing * np.array([1, 0] if level else [0, 1]) + generator.normal(0, 8, 2)
            )
            _screw(canvas, centre, radius, metal)


def _screw(canvas: Canvas, centre: np.ndarray, radius: float, metal: float) -> None:
    side, fine = int(3 * radius), 4
    if (centre < side).any() or (centre >= np.array(canvas.size[::-1]) - side).any():
        return
    image = Image.new("L", (2 * side * fine, 2 * side * fine))
    middle, reach = side * fine, radius * fine
    ImageDraw.Draw(image).ellipse((middle - reach, middle - reach, middle + reach, middle + reach), fill=255)
    head = np.asarray(image.reduce(fine), np.float32) / np.float32(255)
    slot = Image.new("L", image.size)
    pen = ImageDraw.Draw(slot)
    long, thin = 0.55 * reach, max(2.0, 0.13 * reach)
    pen.rectangle((middle - long, middle - thin, middle + long, middle + thin), fill=255)
    pen.rectangle((middle - thin, middle - long, middle + thin, middle + long), fill=255)
    turned = slot.rotate(canvas.generator.uniform(0, 90)).reduce(fine)
    x, y = centre.astype(int).tolist()
    box = (slice(y - side, y + side), slice(x - side, x + side))
    part = canvas.colour[:, box[0], box[1]]
    part += head * np.float32(0.9) * (np.float32(metal) - part)
    part *= 1 - np.asarray(turned, np.float32) / 255 * np.float32(0.8)
    canvas.height[box] -= blurred(head, 0.35 * radius) * np.float32(0.3 * radius)


def _fibres(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw hairs, threads and small splashes of paint."""
    for _ in range(int(generator.integers(2, 14))):
        bend = np.cumsum(generator.normal(0, 0.25, 16)) + generator.uniform(0, 2 * np.pi)
        steps = np.stack([np.cos(bend), np.sin(bend)], 1) * generator.uniform(2, 14)
        points = np.array(canvas.somewhere(_MARGIN)) + np.cumsum(steps, axis=0)
        tone = 0.95 if generator.random() < 0.5 else 0.15
        _ink(canvas, points, generator.uniform(1.0, 2.2), tone, generator.uniform(0.3, 0.8))
    for _ in range(int(generator.integers(0, 30))):
        x, y = canvas.somewhere(_MARGIN)
        size = float(np.exp(generator.uniform(np.log(2), np.log(14))))
        end = (x + generator.normal(0, 0.5 * size), y + generator.uniform(0, size))
        _ink(canvas, np.array([(x, y), end]), size, generator.choice([0.95, 0.3]), 0.7)


def _clamp(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a bar clamp with a shiny steel bar, a handle, and two jaws with pads."""
    length = int(generator.uniform(0.12, 0.35) * max(canvas.size))
    wide = int(length * 0.3)
    image = Image.new("RGBA", (length, wide), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    for row in range(int(wide * 0.10), int(wide * 0.22)):
        shine = int(110 + 110 * np.sin(np.pi * (row / wide - 0.10) / 0.12) ** 2)
        pen.line((0, row, length, row), fill=(shine, shine, min(255, shine + 6), 255))
    for notch in range(0, length, max(6, length // 60)):
        pen.line((notch, int(wide * 0.2), notch, int(wide * 0.22)), fill=(60, 60, 62, 255), width=3)
    strong = ((235, 110, 20), (30, 70, 160), (190, 30, 30), (35, 35, 38))
    colour = (*strong[generator.integers(len(strong))], 255)
    for start in (0.02, generator.uniform(0.4, 0.7)):
        left = int(start * length)
        pen.rounded_rectangle((left, wide * 0.05, left + 0.09 * length, wide * 0.75), wide // 12, colour)
        pen.rounded_rectangle(
            (left, wide * 0.7, left + 0.09 * length, wide * 0.95), wide // 14, (25, 25, 27, 255)
        )
    pen.rounded_rectangle((0.78 * length, wide * 0.02, 0.99 * length, wide * 0.32), wide // 8, colour)
    turned = image.rotate(float(generator.uniform(0, 360)), Image.Resampling.BICUBIC, expand=True)
    canvas.stamp(turned, canvas.somewhere(_MARGIN), shadow=0.06 * wide)


DETAILS: dict[str, Draw] = {
    "fine pencil": _fine_pencil,
    "scratches": _scratches,
    "screws": _screws,
    "fibres": _fibres,
    "clamp": _clamp,
}
"""Name of a small object → function that draws it. Most sizes are in px and do not depend on the scale."""
