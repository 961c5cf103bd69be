"""Draw the surfaces of walls: board paper, plaster, paint, concrete, brick, tiles and wood."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drywallqa.synthetic.canvas import Canvas, Draw, Float, Generator, Size, grid, noise, octaves

BOARDS = ("grey board", "green board", "brown board", "pink board")
WALLS = ("plaster", "paint", "rough plaster", "concrete")
JOINTED = ("brick", "tiles", "wood")

_PAINTS = (
    (0.88, 0.87, 0.84),
    (0.82, 0.76, 0.62),
    (0.78, 0.66, 0.50),
    (0.70, 0.74, 0.78),
    (0.73, 0.78, 0.70),
    (0.86, 0.80, 0.78),
    (0.55, 0.53, 0.52),
    (0.90, 0.84, 0.60),
)


def surface(name: str, size: Size, generator: Generator) -> Canvas:
    """Draw a surface of `size` (height, width) px. `name` is in `BOARDS`, `WALLS` or `JOINTED`."""
    draw, colours, weights, spread = _SURFACES[name]
    colour = colours[generator.choice(len(colours), p=weights)]
    canvas = Canvas.plain(size, _shade(colour, generator, spread), generator)
    draw(canvas, generator, canvas.scale)
    return canvas


def _shade(colour: ArrayLike, generator: Generator, spread: float) -> NDArray[np.float64]:
    """Vary the brightness of a colour, and slightly vary its hue."""
    values = np.asarray(colour) * (1 + generator.normal(0, spread)) + generator.normal(0, 0.012, 3)
    return np.clip(values, 0.05, 0.97)


def _board(canvas: Canvas, generator: Generator, scale: float) -> None:
    fibres = octaves(canvas.size, (1, 2.5 * scale), (0.010, 0.008), generator)
    stretch = (180 * scale, 3 * scale) if generator.random() < 0.5 else (3 * scale, 180 * scale)
    streaks = noise(canvas.size, stretch, generator) * np.float32(generator.uniform(0, 0.008))
    mottle = noise(canvas.size, 90 * scale, generator) * np.float32(generator.uniform(0, 0.02))
    canvas.darken(fibres + streaks + mottle)
    if generator.random() < 0.6:  # fibres, specks of paint or pores in the paper
        count, depth = int(generator.integers(10, 120)), generator.uniform(0.1, 0.35)
        rows, columns = (generator.integers(0, side - 1, count) for side in canvas.size)
        factor = 1 - depth * generator.uniform(-0.5, 1, count).astype(np.float32)
        canvas.colour[:, rows, columns] *= factor
        canvas.colour[:, rows + 1, columns] *= (1 + factor) / 2
    canvas.height += fibres * np.float32(2)


def _paint(canvas: Canvas, generator: Generator, scale: float) -> None:
    roller = octaves(canvas.size, (2 * scale, 5 * scale), (0.5, 0.6), generator)
    canvas.height += roller * np.float32(generator.uniform(0.02, 0.5))
    canvas.darken(noise(canvas.size, 120 * scale, generator) * np.float32(generator.uniform(0.005, 0.03)))


def _plaster(canvas: Canvas, generator: Generator, scale: float) -> None:
    # grains of sand and trowel strokes
    sand = (1.5 * scale, 4 * scale, 14 * scale)
    relief = octaves(canvas.size, (*sand, (25 * scale, 110 * scale)), (0.4, 0.5, 0.5, 1.0), generator)
    canvas.height += relief * np.float32(generator.uniform(0.1, 0.7))
    canvas.darken(octaves(canvas.size, (20 * scale, 140 * scale), (0.012, 0.03), generator))


def _rough_plaster(canvas: Canvas, generator: Generator, scale: float) -> None:
    _plaster(canvas, generator, scale)
    lumps = octaves(canvas.size, (5 * scale, 10 * scale), (1.0, 1.2), generator)
    canvas.height += np.maximum(lumps, -0.3) * np.float32(generator.uniform(0.5, 1.3))


def _concrete(canvas: Canvas, generator: Generator, scale: float) -> None:
    canvas.darken(
        octaves(canvas.size, (1, 3 * scale, 22 * scale, 130 * scale), (0.035, 0.03, 0.04, 0.06), generator)
    )
    canvas.height += octaves(canvas.size, (1.5 * scale, 6 * scale), (0.25, 0.3), generator)
    pores = noise(canvas.size, 5 * scale, generator) - np.float32(generator.uniform(2.2, 3.4))
    canvas.darken(np.clip(pores * 1.5, 0, 0.6))
    if generator.random() < 0.4:
        stains = np.clip(noise(canvas.size, 70 * scale, generator) - 0.6, 0, 1)
        canvas.darken(stains * np.float32(generator.uniform(0.1, 0.4)))


def _joints(size: Size, cell: tuple[float, float], joint: float, offset: bool) -> tuple[Float, Float]:
    """For each pixel, compute its stone's number and its distance to the nearest joint in joint widths."""
    rows, columns = grid(size)
    course = np.floor(rows / cell[0])
    moved = columns + (course % 2) * (cell[1] / 2) if offset else columns + 0 * rows
    across = np.floor(moved / cell[1])
    near_row = np.minimum(rows % cell[0], cell[0] - rows % cell[0])
    near_column = np.minimum(moved % cell[1], cell[1] - moved % cell[1])
    return np.minimum(near_row, near_column) / joint, (course * 57 + across * 131).astype(np.float32)


def _brick(canvas: Canvas, generator: Generator, scale: float) -> None:
    high = generator.uniform(35, 80) * scale
    distance, number = _joints(
        canvas.size, (high, high * generator.uniform(1.8, 3.2)), 3.2 * scale, offset=True
    )
    distance = distance + 0.25 * noise(canvas.size, 6 * scale, generator)
    mortar = np.clip(1.6 - distance, 0, 1).astype(np.float32)
    canvas.darken(np.sin(number * 12.9898) * np.float32(0.12))
    canvas.darken(octaves(canvas.size, (1.5, 6 * scale, 40 * scale), (0.05, 0.05, 0.05), generator))
    canvas.blend(mortar, _shade((0.62, 0.60, 0.56), generator, 0.12))
    canvas.height += octaves(canvas.size, (2, 5 * scale), (0.3, 0.4), generator) - 2 * mortar


def _tiles(canvas: Canvas, generator: Generator, scale: float) -> None:
    high = generator.uniform(60, 170) * scale
    wide = high * generator.choice([1.0, 1.0, 1.6])
    distance, number = _joints(canvas.size, (high, wide), generator.uniform(1.2, 2.6) * scale, offset=False)
    canvas.darken(np.sin(number * 12.9898) * np.float32(0.03))
    canvas.darken(octaves(canvas.size, (2, 60 * scale), (0.004, 0.02), generator))
    joint = np.clip(1.5 - distance, 0, 1).astype(np.float32)
    canvas.blend(joint, _shade((0.55, 0.54, 0.52), generator, 0.25))
    canvas.height -= 1.5 * joint


def _wood(canvas: Canvas, generator: Generator, scale: float) -> None:
    rows, columns = grid(canvas.size)
    bend = noise(canvas.size, (160 * scale, 30 * scale), generator)
    rings = np.sin((columns + 0 * rows) / (3.5 * scale) + 4 * bend)
    canvas.darken((0.06 * rings + 0.04 * noise(canvas.size, (60 * scale, 1.5), generator)).astype(np.float32))
    plank = generator.uniform(60, 160) * scale
    near = np.minimum(columns % plank, plank - columns % plank) / (1.2 * scale)
    canvas.darken(np.clip(1.3 - near, 0, 0.75) + np.zeros_like(rows))


_Colours = tuple[tuple[float, float, float], ...]
# Each value contains a drawing function, the colours, the shares of the colours (None: equal shares), and the
# standard deviation of the relative brightness.
_SURFACES: dict[str, tuple[Draw, _Colours, tuple[float, ...] | None, float]] = {
    "grey board": (_board, ((0.68, 0.67, 0.66),), None, 0.07),
    "green board": (_board, ((0.38, 0.66, 0.57),), None, 0.07),
    "brown board": (_board, ((0.66, 0.59, 0.50),), None, 0.07),
    "pink board": (_board, ((0.80, 0.60, 0.63),), None, 0.07),
    "paint": (_paint, _PAINTS, None, 0.05),
    "plaster": (_plaster, _PAINTS, None, 0.05),
    "rough plaster": (_rough_plaster, _PAINTS, None, 0.05),
    "concrete": (_concrete, ((0.55, 0.54, 0.50),), None, 0.18),
    "brick": (_brick, ((0.55, 0.30, 0.22), (0.62, 0.60, 0.56)), (0.6, 0.4), 0.12),
    "tiles": (_tiles, ((0.82, 0.83, 0.82),), None, 0.1),
    "wood": (_wood, ((0.60, 0.44, 0.28),), None, 0.15),
}
