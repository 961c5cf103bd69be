"""What a wall is drawn on: colours and heights, and the few ways of laying something onto them.

Lengths are given in px of a photo whose longer side is 640 px and scaled by `Canvas.scale`, so that a wall
looks alike at every size. Colours are linear-ish reflectances within 0–1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Float = NDArray[np.float32]
Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Point = tuple[float, float]  # x, y in px
Colour = tuple[float, float, float]

REFERENCE_SIDE = 640
_INVISIBLE = 0.004  # less opacity than one grey level


@dataclass
class Canvas:
    """A wall in the making.

    Attributes:
        colour: Reflectance, float32 [3,H,W] within 0–1; planes, because numpy is slow over short last axes.
        height: Relief in px towards the camera, float32 [H,W]; light shades it at the end.
        generator: Source of every random choice.
    """

    colour: Float
    height: Float
    generator: np.random.Generator

    @classmethod
    def plain(cls, size: tuple[int, int], colour: Colour, generator: np.random.Generator) -> Canvas:
        """Start with one even colour on `size` (height, width) px."""
        surface = np.empty((3, *size), np.float32)
        surface[:] = np.asarray(colour, np.float32)[:, None, None]
        return cls(surface, np.zeros(size, np.float32), generator)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        return self.height.shape[0], self.height.shape[1]

    @property
    def scale(self) -> float:
        """Px of this canvas for one px of a photo of 640 px."""
        return max(self.size) / REFERENCE_SIDE

    def blend(self, cover: Float, colour: ArrayLike) -> None:
        """Lay a colour over the canvas with an opacity [H,W] within 0–1."""
        rgb = np.asarray(colour, np.float32)[:, None]
        index = np.flatnonzero(cover > _INVISIBLE)
        flat = self.colour.reshape(3, -1)
        part = flat[:, index]
        flat[:, index] = part + cover.reshape(-1)[index] * (rgb - part)

    def darken(self, cover: Float, box: tuple[slice, slice] | None = None) -> None:
        """Multiply the canvas by 1 − cover [h,w]; negative values brighten."""
        part = self.colour[:, box[0], box[1]] if box else self.colour
        part *= 1 - cover

    def stamp(self, patch: Image.Image, centre: Point, shadow: float = 0.0) -> None:
        """Put an RGBA picture onto the canvas, with a soft shadow of that depth (px) below it."""
        rows, columns = patch.height, patch.width
        top, left = round(centre[1] - rows / 2), round(centre[0] - columns / 2)
        if shadow > 0:
            move = round(shadow)
            alpha = np.asarray(patch.getchannel("A"), np.float32) / np.float32(255)
            self._at(top + move, left + move, alpha, None, 0.45)
        planes = np.asarray(patch, np.float32).transpose(2, 0, 1) / np.float32(255)
        self._at(top, left, planes[3], planes[:3], 1.0)

    def _at(self, top: int, left: int, cover: Float, colours: Float | None, strength: float) -> None:
        rows, columns = cover.shape
        first, start = max(0, top), max(0, left)
        last, stop = min(self.size[0], top + rows), min(self.size[1], left + columns)
        if last <= first or stop <= start:
            return
        box = (slice(first, last), slice(start, stop))
        inner = (slice(first - top, last - top), slice(start - left, stop - left))
        if colours is None:
            self.darken(cover[inner] * strength, box)
        else:
            part = self.colour[:, box[0], box[1]]
            part += cover[inner] * strength * (colours[:, inner[0], inner[1]] - part)
            self.height[box] *= 1 - cover[inner]  # an object hides the wall's relief


@dataclass(frozen=True)
class Stroke:
    """A line through `points`, each piece with its own width in px, drawn with round joints."""

    points: Sequence[Point]
    widths: Sequence[float]


def coverage(strokes: Iterable[Stroke], size: tuple[int, int], oversampling: int = 3) -> Float:
    """Draw strokes as the share of each pixel that they cover, float32 [H,W] within 0–1."""
    height, width = size
    image = Image.new("L", (width * oversampling, height * oversampling))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        points = [(x * oversampling, y * oversampling) for x, y in stroke.points]
        for begin, end, thickness in zip(points, points[1:], stroke.widths, strict=False):
            wide = max(1, round(thickness * oversampling))
            pen.line((begin, end), fill=255, width=wide)
            if wide > 3:
                radius = wide / 2
                pen.ellipse((end[0] - radius, end[1] - radius, end[0] + radius, end[1] + radius), fill=255)
    return np.asarray(image.reduce(oversampling), np.float32) / np.float32(255)


def noise(
    size: tuple[int, int],
    cell: float | tuple[float, float],
    generator: np.random.Generator,
) -> Float:
    """Smooth noise [H,W] of mean 0 and deviation about 1 whose lumps measure `cell` (or rows, columns) px."""
    rows, columns = cell if isinstance(cell, tuple) else (cell, cell)
    grid = (max(2, round(size[0] / rows) + 1), max(2, round(size[1] / columns) + 1))
    if grid[0] >= size[0] and grid[1] >= size[1]:
        # Evenly distributed instead of normal: it looks the same and takes a third of the time.
        return (generator.random(size, dtype=np.float32) - np.float32(0.5)) * np.float32(3.46)
    coarse = generator.standard_normal(grid, dtype=np.float32)
    image = Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) * np.float32(1.35)


def blurred(values: Float, radius: float) -> Float:
    """Blur values [H,W] within 0–1 by about a Gaussian; PIL does it in 8 bits, quick and exact enough."""
    image = Image.fromarray((values * np.float32(255)).astype(np.uint8))
    result: Float = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    return result / np.float32(255)


def octaves(
    size: tuple[int, int],
    cells: Sequence[float | tuple[float, float]],
    weights: Sequence[float],
    generator: np.random.Generator,
) -> Float:
    """Noise of several sizes (see `noise`) added up, float32 [H,W]."""
    total = np.zeros(size, np.float32)
    for cell, weight in zip(cells, weights, strict=True):
        total += np.float32(weight) * noise(size, cell, generator)
    return total


def grid(size: tuple[int, int]) -> tuple[Float, Float]:
    """Row and column numbers, shaped [H,1] and [1,W] so that they broadcast."""
    rows = np.arange(size[0], dtype=np.float32)[:, None]
    columns = np.arange(size[1], dtype=np.float32)[None, :]
    return rows, columns
