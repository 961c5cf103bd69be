"""The canvas for drawing a wall, with functions for strokes, noise and blur.

Most lengths in the drawing code are in px of a photo whose longer side is 640 px. They are multiplied by
`Canvas.scale`, so that a wall looks the same at every size. Colours are roughly linear reflectances in 0–1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Float = NDArray[np.float32]
Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Path = NDArray[np.float64]  # [N,2] of x, y in px
Point = tuple[float, float]  # x, y in px
Size = tuple[int, int]  # height, width in px
Box = tuple[slice, slice]  # rows, columns
Generator = np.random.Generator

REFERENCE_SIDE = 640
_INVISIBLE = 0.004  # opacity; lower values change a colour by less than one grey level


@dataclass
class Canvas:
    """An unfinished picture of a wall.

    Attributes:
        colour: Reflectance, float32 [3,H,W] in 0–1. The first axis contains the channels, because NumPy is
            slow if the last axis is short.
        height: Relief of the wall in px towards the camera, float32 [H,W]. `camera.light` shades the relief.
        generator: Random generator for all choices.
        zoom: Scale of the objects on the wall. A value below 1 makes them smaller, as in a photo from further
            away.
    """

    colour: Float
    height: Float
    generator: Generator
    zoom: float = 1.0

    @classmethod
    def plain(cls, size: Size, colour: ArrayLike, generator: Generator) -> Canvas:
        """Create a canvas of `size` (height, width) px with a uniform colour (red, green, blue)."""
        surface = np.full((3, *size), np.asarray(colour, np.float32)[:, None, None])
        return cls(surface, np.zeros(size, np.float32), generator)

    @property
    def size(self) -> Size:
        """Height and width in px."""
        return self.height.shape[0], self.height.shape[1]

    @property
    def scale(self) -> float:
        """Factor that converts px at a photo size of 640 px to px of this canvas, including the zoom."""
        return self.zoom * max(self.size) / REFERENCE_SIDE

    def somewhere(self, margin: float = 0.1) -> Point:
        """Choose a random point. `margin` is its smallest distance to a border, as a share of the side."""
        y, x = self.generator.uniform(margin, 1 - margin, 2) * self.size
        return float(x), float(y)

    def fill(self, colour: ArrayLike) -> None:
        """Cover the whole canvas with one colour (red, green, blue)."""
        self.colour[:] = np.asarray(colour, np.float32)[:, None, None]

    def blend(self, cover: Float, colour: ArrayLike) -> None:
        """Blend a colour over the canvas with an opacity [H,W] in 0–1."""
        rgb = np.asarray(colour, np.float32)[:, None]
        index = np.flatnonzero(cover > _INVISIBLE)
        flat = self.colour.reshape(3, -1)
        part = flat[:, index]
        flat[:, index] = part + cover.reshape(-1)[index] * (rgb - part)

    def darken(self, cover: Float, box: Box | None = None) -> None:
        """Multiply the canvas, or a box in it, by 1 − `cover` [h,w]. Negative values make it brighter."""
        part = self.colour[:, box[0], box[1]] if box else self.colour
        part *= 1 - cover

    def stamp(self, patch: Image.Image, centre: Point, shadow: float = 0.0) -> None:
        """Paste an RGBA image onto the canvas, with a shadow that is offset by `shadow` px."""
        planes = np.asarray(patch, np.float32).transpose(2, 0, 1) / np.float32(255)
        top, left = round(centre[1] - patch.height / 2), round(centre[0] - patch.width / 2)
        if shadow > 0:
            box, inner = self._overlap(top + round(shadow), left + round(shadow), patch)
            self.darken(planes[3][inner] * 0.45, box)
        box, inner = self._overlap(top, left, patch)
        cover, part = planes[3][inner], self.colour[:, box[0], box[1]]
        part += cover * (planes[:3, inner[0], inner[1]] - part)
        self.height[box] *= 1 - cover  # an object hides the wall's relief

    def _overlap(self, top: int, left: int, patch: Image.Image) -> tuple[Box, Box]:
        """Return the box where a patch and the canvas overlap, in canvas and in patch coordinates."""
        first, start = max(0, top), max(0, left)
        last = max(first, min(self.size[0], top + patch.height))
        stop = max(start, min(self.size[1], left + patch.width))
        inner = (slice(first - top, last - top), slice(start - left, stop - left))
        return (slice(first, last), slice(start, stop)), inner

    @contextmanager
    def sheet(self) -> Iterator[ImageDraw.ImageDraw]:
        """Yield a Pillow `ImageDraw` for a transparent layer, and paste the layer onto the canvas on exit."""
        image = Image.new("RGBA", self.size[::-1])
        yield ImageDraw.Draw(image)
        self.stamp(image, (self.size[1] / 2, self.size[0] / 2))


Draw = Callable[[Canvas, Generator, float], None]
"""A function that draws on a canvas. The other arguments are the canvas's random generator and scale."""


@dataclass(frozen=True)
class Stroke:
    """A line through `points` (x, y in px). `widths` contains the width in px of each segment."""

    points: Sequence[Point] | Path
    widths: Sequence[float] | NDArray[np.float64]


def coverage(strokes: Iterable[Stroke], size: Size, oversampling: int = 3) -> Float:
    """Compute how much of each pixel the strokes cover, float32 [H,W] in 0–1."""
    image = Image.new("L", (size[1] * oversampling, size[0] * oversampling))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        points = (np.asarray(stroke.points, np.float64) * oversampling).tolist()
        for begin, end, thickness in zip(points, points[1:], stroke.widths, strict=False):
            width = max(1, round(thickness * oversampling))
            pen.line((*begin, *end), fill=255, width=width)
            if width > 3:
                (x, y), radius = end, width / 2
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image.reduce(oversampling), np.float32) / np.float32(255)


def boxed_coverage(stroke: Stroke, size: Size, margin: int, oversampling: int = 3) -> tuple[Float, Box]:
    """Compute the coverage of one stroke within its bounding box, enlarged by a margin in px.

    Returns:
        The coverage [h,w] and the rows and columns of the box. Both are empty if the stroke lies outside
        `size`.
    """
    points = np.asarray(stroke.points)
    left, top = np.maximum(np.floor(points.min(0)).astype(int) - margin, 0).tolist()
    right, bottom = np.minimum(np.ceil(points.max(0)).astype(int) + margin, size[::-1]).tolist()
    bottom, right = max(top, bottom), max(left, right)
    box, shape = (slice(top, bottom), slice(left, right)), (bottom - top, right - left)
    if not all(shape):
        return np.zeros(shape, np.float32), box
    return coverage([Stroke(points - (left, top), stroke.widths)], shape, oversampling), box


def noise(size: Size, cell: float | tuple[float, float], generator: Generator) -> Float:
    """Create smooth noise [H,W] with mean 0 and standard deviation of about 1.

    `cell` is the size of the lumps in px: one number, or a height and a width.
    """
    rows, columns = cell if isinstance(cell, tuple) else (cell, cell)
    knots = (max(2, round(size[0] / rows) + 1), max(2, round(size[1] / columns) + 1))
    if knots[0] >= size[0] and knots[1] >= size[1]:
        # Uniform noise looks like normal noise and takes a third of the time.
        return (generator.random(size, dtype=np.float32) - np.float32(0.5)) * np.float32(3.46)
    coarse = Image.fromarray(generator.standard_normal(knots, dtype=np.float32))
    image = coarse.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) * np.float32(1.35)


def octaves(
    size: Size,
    cells: Sequence[float | tuple[float, float]],
    weights: Sequence[float],
    generator: Generator,
) -> Float:
    """Compute a weighted sum of `noise` with several cell sizes, float32 [H,W]."""
    total = np.zeros(size, np.float32)
    for cell, weight in zip(cells, weights, strict=True):
        total += np.float32(weight) * noise(size, cell, generator)
    return total


def blurred(values: Float, radius: float) -> Float:
    """Blur values [H,W] in 0–1 with an approximate Gaussian. To save time, they are rounded to 8 bits."""
    image = Image.fromarray((values * np.float32(255)).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(255)


def grid(size: Size) -> tuple[Float, Float]:
    """Return the row indices [H,1] and column indices [1,W], which can be broadcast."""
    return np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)[None, :]


def distance_along(size: Size, start: ArrayLike, direction: ArrayLike) -> Float:
    """Compute each pixel's distance from a point (x, y) along a unit vector, float32 [H,W] in px."""
    rows, columns = grid(size)
    (x, y), (dx, dy) = np.asarray(start, np.float32), np.asarray(direction, np.float32)
    return np.asarray((columns - x) * dx + (rows - y) * dy)
