"""Where tiles lie on a large photo, and how their edges fade into each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.imaging.letterbox import Letterbox

_OVERLAP = 64  # px of the scaled photo that neighbours share at least; a whole number of window multiples
_BLIND = 16  # px at a tile's inner edges that count for nothing: there the model sees the tile's end


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of a photo.

    Attributes:
        length: The photo's side in px.
        scaled: The same of the scaled photo.
        tile: A tile's side in px of the scaled photo; the last one may reach over its end.
        starts: Where the tiles begin, in px of the scaled photo, multiples of the window's `multiple`.
    """

    length: int
    scaled: int
    tile: int
    starts: tuple[int, ...]

    @classmethod
    def cover(cls, length: int, factor: float, window: Letterbox) -> Axis:
        """Cover a side with as few tiles as will overlap enough, evenly."""
        unit = window.multiple
        scaled = max(1, round(length * factor))
        padded, tile = -(-scaled // unit), window.size // unit
        if padded <= tile:
            return cls(length, scaled, window.size if window.square else padded * unit, (0,))
        step = max(1, tile - max(1, _OVERLAP // unit))
        gaps = -(-(padded - tile) // step)
        starts = tuple(number * (padded - tile) // gaps * unit for number in range(gaps + 1))
        return cls(length, scaled, tile * unit, starts)

    @property
    def end(self) -> int:
        """Where the last tile ends, in px of the scaled photo."""
        return self.starts[-1] + self.tile

    def weights(self, stride: int) -> NDArray[np.float32]:
        """How much each tile counts along the side, on a grid of one value every `stride` px.

        Neighbours fade into each other along a raised cosine. At every place the weights sum to 1.

        Returns:
            [tiles, tile/stride].
        """
        cells = self.tile // stride
        middles = (np.arange(cells) + 0.5) * stride
        weights = np.ones((len(self.starts), cells))
        for number, (start, following) in enumerate(zip(self.starts, self.starts[1:], strict=False)):
            shared = start + self.tile - following
            blind = min(_BLIND, shared / 4)
            weights[number + 1] *= _rise((middles - blind) / (shared - 2 * blind))
            weights[number] *= _rise((self.tile - middles - blind) / (shared - 2 * blind))
        total = np.zeros(self.end // stride)
        for start, row in zip(self.starts, weights, strict=True):
            total[start // stride : start // stride + cells] += row
        for start, row in zip(self.starts, weights, strict=True):
            row /= total[start // stride : start // stride + cells]
        return weights.astype(np.float32)

    def source(self, start: int) -> tuple[float, float, int]:
        """Say what a tile shows: from where to where in px of the photo, as how many px of the tile."""
        shown = min(self.tile, self.scaled - start)
        ratio = self.length / self.scaled
        return start * ratio, min((start + shown) * ratio, float(self.length)), shown


def _rise(position: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(position, 0, 1)), np.float64)


@dataclass(frozen=True)
class TileGrid:
    """Tiles over a photo, in rows."""

    rows: Axis
    columns: Axis
    window: Letterbox

    @classmethod
    def over(cls, height: int, width: int, factor: float, window: Letterbox) -> TileGrid:
        """Lay tiles over a photo of height×width px that is scaled by a factor."""
        return cls(Axis.cover(height, factor, window), Axis.cover(width, factor, window), window)

    @property
    def count(self) -> int:
        """The number of tiles."""
        return len(self.rows.starts) * len(self.columns.starts)

    def cut(self, photo: NDArray[np.uint8], top: int, lefts: Sequence[int]) -> NDArray[np.float32]:
        """Cut tiles that begin at `top` and at `lefts` out of a photo, as the model's input [B,3,h,w]."""
        canvases = np.zeros((len(lefts), 3, self.rows.tile, self.columns.tile), np.float32)
        for canvas, left in zip(canvases, lefts, strict=True):
            self._draw(photo, top, left, canvas)
        return canvases

    def _draw(self, photo: NDArray[np.uint8], top: int, left: int, canvas: NDArray[np.float32]) -> None:
        y0, y1, height = self.rows.source(top)
        x0, x1, width = self.columns.source(left)
        piece = _piece(photo, (x0, y0, x1, y1), height, width)
        self.window.normalise(piece, canvas[:, :height, :width])


def _piece(
    photo: NDArray[np.uint8], box: tuple[float, float, float, float], height: int, width: int
) -> NDArray[np.uint8]:
    """Scale a part of a photo to height×width px; only the part and what touches it is copied."""
    x0, y0, x1, y1 = box
    if (x1 - x0, y1 - y0) == (width, height) and x0.is_integer() and y0.is_integer():
        return photo[int(y0) : int(y1), int(x0) : int(x1)]
    margin_x, margin_y = (1 + int(max(1.0, ratio)) for ratio in ((x1 - x0) / width, (y1 - y0) / height))
    left, top = max(0, int(x0) - margin_x), max(0, int(y0) - margin_y)
    part = np.ascontiguousarray(photo[top : int(y1) + 1 + margin_y, left : int(x1) + 1 + margin_x])
    inside = (x0 - left, y0 - top, min(x1 - left, part.shape[1]), min(y1 - top, part.shape[0]))
    scaled = Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR, box=inside)
    return np.asarray(scaled)
