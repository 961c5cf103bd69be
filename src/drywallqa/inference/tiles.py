"""Plan the views of a photo (the whole photo, then tiles of increasing scale), and lay out the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.imaging.letterbox import Letterbox

Scale = float | Literal["auto", "fit", "native"]

LARGEST_FACTOR = 4.0
_LARGE = 2.0  # a photo is large if its longer side is more than this times the window
_LONG = 2.0  # a photo is a panorama if its longer side is more than this times the shorter side
_CLOSER = 2.0  # ratio of the scales of consecutive views
_LAST_STEP = 4 / 3  # minimum ratio of scales before the last view
_COARSE = 8  # maximum size of intermediate views in windows per side, because they are kept in memory
_OVERLAP = 64  # minimum overlap of tiles in px of the scaled photo; a multiple of the window's `multiple`
_BLIND = 16  # px with weight 0 at a tile's inner edges, because the model cannot see beyond the edge


class ViewPlan(NamedTuple):
    """The views of a photo.

    Attributes:
        whole: Whether the model first sees the whole photo.
        factors: The scale factor of each tiled view, coarsest first.
    """

    whole: bool
    factors: tuple[float, ...]


WHOLE = ViewPlan(True, ())


def plan_views(scale: Scale, native: bool, height: int, width: int, window: Letterbox) -> ViewPlan:
    """Plan the views of a photo of height×width px.

    With "auto", the model sees the whole photo if the photo is not much larger than the window, as in
    training. For thin concepts, larger photos also get tiled views of increasing scale, up to full
    resolution. A panorama would lose its joints if it were scaled down to the window, so only its shorter
    side is scaled to the window, and the panorama is split into tiles.

    Args:
        scale: The requested scale.
        native: Whether the concept is too thin for the model to find it on a large photo that is scaled down.
        height: Height of the photo in px.
        width: Width of the photo in px.
        window: The letterbox that fits photos to the model's input.
    """
    longer, shorter = max(height, width), min(height, width)
    last = float(scale) if isinstance(scale, float) else 1.0
    if scale == "fit" or longer * last <= window.size or (scale == "auto" and longer <= _LARGE * window.size):
        return WHOLE
    whole = longer <= _LONG * shorter
    first = window.size / longer if whole else min(last, window.size / shorter)
    if scale == "auto" and not native:
        return WHOLE if whole else ViewPlan(False, (first,))
    factors = [] if whole else [first]
    most = (_COARSE * window.size) ** 2 * (1 + 1e-9)  # tolerates rounding of the factor
    closer = first * _CLOSER
    while closer * _LAST_STEP <= last and closer * closer * height * width <= most:
        factors.append(closer)
        closer *= _CLOSER
    if not factors or factors[-1] * _LAST_STEP <= last:
        factors.append(last)
    return ViewPlan(whole, tuple(factors))


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of a photo.

    Attributes:
        length: Length of this side of the photo in px.
        scaled: Length of this side in px after the photo is scaled.
        tile: Length of a tile along this side, in px of the scaled photo. The last tile may extend beyond the
            photo.
        starts: Start of each tile in px of the scaled photo. Every start is a multiple of the window's
            `multiple`.
    """

    length: int
    scaled: int
    tile: int
    starts: tuple[int, ...]

    @classmethod
    def cover(cls, length: int, factor: float, window: Letterbox) -> Axis:
        """Cover a side evenly with as few tiles as the minimum overlap allows."""
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
        """End of the last tile in px of the scaled photo."""
        return self.starts[-1] + self.tile

    def weights(self, stride: int) -> NDArray[np.float32]:
        """Return the weight of each tile along the side, on a grid with one value every `stride` px.

        Neighbouring tiles are blended with a raised cosine. The weights sum to 1 at every position.

        Returns:
            [tiles, tile/stride].
        """
        cells = self.tile // stride
        middles = (np.arange(cells) + 0.5) * stride
        weights = np.ones((len(self.starts), cells))
        for number, (start, following) in enumerate(zip(self.starts, self.starts[1:], strict=False)):
            shared = start + self.tile - following
            blind = min(_BLIND, shared / 4)
            weights[number + 1] *= _raised_cosine((middles - blind) / (shared - 2 * blind))
            weights[number] *= _raised_cosine((self.tile - middles - blind) / (shared - 2 * blind))
        total = np.zeros(self.end // stride)
        for start, row in zip(self.starts, weights, strict=True):
            total[start // stride : start // stride + cells] += row
        for start, row in zip(self.starts, weights, strict=True):
            row /= total[start // stride : start // stride + cells]
        return weights.astype(np.float32)

    def cells(
        self, start: int, stride: int, length: int | None = None
    ) -> tuple[tuple[float, float], tuple[int, int]]:
        """Locate a section of a grid that has one cell every `stride` px of the scaled photo.

        Args:
            start: Start of the section in px of the scaled photo.
            stride: Size of a cell in px of the scaled photo.
            length: Length of the section in px of the scaled photo. None means the length of a tile.

        Returns:
            The start and end of the section in px of the photo, and the number of its cells inside and
            outside the photo.
        """
        cells = (length or self.tile) // stride
        shown = min(cells, -(-self.scaled // stride) - start // stride)
        ratio = self.length / self.scaled
        return (start * ratio, (start + shown * stride) * ratio), (shown, cells - shown)


def _raised_cosine(position: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(position, 0, 1)), np.float64)


@dataclass(frozen=True)
class TileGrid:
    """A grid of tiles that covers a photo."""

    rows: Axis
    columns: Axis
    window: Letterbox

    @classmethod
    def over(cls, height: int, width: int, factor: float, window: Letterbox) -> TileGrid:
        """Create the grid for a photo of height×width px, scaled by a factor."""
        return cls(Axis.cover(height, factor, window), Axis.cover(width, factor, window), window)

    def cut(self, photo: NDArray[np.uint8], top: int, lefts: Sequence[int]) -> NDArray[np.float32]:
        """Crop the tiles at row `top` and columns `lefts` from a photo, as the model's input [B,3,h,w]."""
        canvases = np.zeros((len(lefts), 3, self.rows.tile, self.columns.tile), np.float32)
        (y0, y1), (height, _) = self.rows.cells(top, 1)
        for canvas, left in zip(canvases, lefts, strict=True):
            (x0, x1), (width, _) = self.columns.cells(left, 1)
            part = _scaled_part(photo, (x0, y0, x1, y1), height, width)
            self.window.normalise(part, canvas[:, :height, :width])
        return canvases


def _scaled_part(
    photo: NDArray[np.uint8], box: tuple[float, float, float, float], height: int, width: int
) -> NDArray[np.uint8]:
    """Scale a part of a photo to height×width px. Only the part and a margin are copied."""
    x0, y0, x1, y1 = box
    if (x1 - x0, y1 - y0) == (width, height) and x0.is_integer() and y0.is_integer():
        return photo[int(y0) : int(y1), int(x0) : int(x1)]
    margin_x, margin_y = (1 + int(max(1.0, ratio)) for ratio in ((x1 - x0) / width, (y1 - y0) / height))
    left, top = max(0, int(x0) - margin_x), max(0, int(y0) - margin_y)
    part = np.ascontiguousarray(photo[top : int(y1) + 1 + margin_y, left : int(x1) + 1 + margin_x])
    inside = (x0 - left, y0 - top, min(x1 - left, part.shape[1]), min(y1 - top, part.shape[0]))
    scaled = Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR, box=inside)
    return np.asarray(scaled)
