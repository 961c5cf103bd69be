"""A closer view of a large photo: in tiles, without a step where they meet, in bounded memory.

The tiles of one row are encoded in batches, decoded under every prompt, and their logits added up, weighted
so that neighbours fade into each other. As soon as no further tile reaches a row, what the coarser views say
is mixed in. No more than one row of tiles is held.

A view counts for half, and all coarser ones together for the other half, so that what no coarser view
supports needs far more evidence than one tile's. Where the coarser views leave no room for anything, no tile
is looked at, and their word stands.

Shapes: P prompts, h×w a grid over the whole photo, H×W the photo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Features, Float
from drywallqa.background import prefetch
from drywallqa.errors import BackendError
from drywallqa.imaging.letterbox import Placement, resample
from drywallqa.inference.tiles import Axis, TileGrid

BATCH = 2  # tiles that are encoded together
SHARE = np.float32(0.5)
"""How much a view counts beside all coarser ones."""
ROOM = -4.0
"""Mask logits of the coarser views below which there is no room for anything."""


@dataclass(frozen=True, eq=False)
class PhotoLogits:
    """What the model says about a photo, as far as it has looked.

    Attributes:
        logits: Of the mask, float32 [P,h,w]; the grid may reach over the photo's end.
        down: Rows of the grid a row of the photo.
        across: Columns of the grid a column of the photo.
        stride: Px of the model's input a cell of its own logits.
    """

    logits: Float
    down: float
    across: float
    stride: float

    @classmethod
    def whole(cls, logits: Float, placement: Placement) -> PhotoLogits:
        """Take what the model says of a photo that it was shown whole."""
        rows, columns = placement.window_height / logits.shape[1], placement.window_width / logits.shape[2]
        down = placement.scaled_height / rows / placement.height
        across = placement.scaled_width / columns / placement.width
        return cls(logits, down, across, rows if rows == columns else 1)


def checked_decode(
    backend: Backend, features: Features, embeddings: Float, image_id: str
) -> tuple[Float, Float]:
    """Decode features under prompts, as `Backend.decode`, and make sure that numbers come out.

    Raises:
        BackendError: Some are NaN or infinite.
    """
    logits, presence = backend.decode(features, embeddings)
    if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
        raise BackendError(
            f"{image_id}: the model returned NaN or infinite logits; "
            "the bundle is damaged or the device computes wrongly: try --device cpu"
        )
    return logits, presence


class TiledView:
    """A photo in tiles under P prompts, on top of the coarser views.

    Args:
        backend: The model.
        grid: Where the tiles lie.
        photo: uint8 [H,W,3].
        embeddings: The prompts' [P,D].
        before: What the coarser views say; None where there is none.
        wanted: Bool [P]: the prompts for which tiles are looked at, where there is room; None looks at all
            tiles.
        image_id: What errors call the photo.

    Attributes:
        presence: The largest presence logit [P] of any tile that was looked at so far.
        stride: Px of the scaled photo a cell of the grid; 0 until it is known.
    """

    def __init__(
        self,
        backend: Backend,
        grid: TileGrid,
        photo: NDArray[np.uint8],
        embeddings: Float,
        before: PhotoLogits | None = None,
        wanted: NDArray[np.bool_] | None = None,
        image_id: str = "photo",
    ) -> None:
        self.backend, self.grid, self.photo, self.image_id = backend, grid, photo, image_id
        self.embeddings, self.before, self.wanted = embeddings, before, wanted
        self.presence: Float = np.full(len(embeddings), -np.inf, np.float32)
        self.stride = _stride(grid, before.stride) if before else 0

    def look(self) -> PhotoLogits:
        """Look at all of it."""
        rows = np.concatenate(list(self.rows()), axis=1)
        return PhotoLogits(rows, self.down, self.across, self.stride)

    @property
    def down(self) -> float:
        """Rows of the grid a row of the photo, once the first rows are there."""
        return self.grid.rows.scaled / self.stride / self.grid.rows.length

    @property
    def across(self) -> float:
        """Columns of the grid a column of the photo, once the first rows are there."""
        return self.grid.columns.scaled / self.stride / self.grid.columns.length

    def rows(self) -> Iterator[Float]:
        """Yield the rows of the grid [P,n,w] from top to bottom, the coarser views mixed in."""
        starts, sums = self.grid.rows.starts, None
        for number, top in enumerate(starts):
            coarse = self._coarse(top)
            room = self._room(coarse)
            for column, logits in self._tiles(top, np.flatnonzero(room.any(axis=0)).tolist()):
                self.stride = self.stride or _stride(self.grid, self.grid.rows.tile / logits.shape[1])
                sums = sums or _Sums(self.grid, len(logits), self.stride)
                sums.add(number, column, logits, room[:, column])
            if coarse is not None:
                sums = sums or _Sums(self.grid, len(coarse), self.stride)
                sums.fill(number, ~room, coarse)
            if sums is not None:
                done = sums.finish(number)
                yield done if coarse is None else SHARE * done + (1 - SHARE) * coarse[:, : done.shape[1]]

    def _coarse(self, top: int) -> Float | None:
        """Bring the coarser views onto the grid where a row of tiles lies: [P,rows,w]."""
        if self.before is None:
            return None
        down, height = _cells(self.grid.rows, top, self.stride)
        across, width = _cells(self.grid.columns, 0, self.stride, self.grid.columns.end)
        box = (
            across[0] * self.before.across, down[0] * self.before.down,
            across[1] * self.before.across, down[1] * self.before.down,
        )  # fmt: skip
        inside = [resample(one, box, height[0], width[0]) for one in self.before.logits]
        return np.pad(np.stack(inside), ((0, 0), (0, height[1]), (0, width[1])), mode="edge")

    def _room(self, coarse: Float | None) -> NDArray[np.bool_]:
        """Say for which prompts there is room in which tiles of a row: bool [P,tiles].

        Each prompt by itself, so that its mask does not depend on what else is asked.
        """
        columns = self.grid.columns
        room = np.ones((len(self.embeddings), len(columns.starts)), np.bool_)
        if coarse is None or self.wanted is None:
            return room
        best, cells = coarse.max(axis=1), columns.tile // self.stride
        for column, start in enumerate(columns.starts):
            left = start // self.stride
            room[:, column] = self.wanted & (best[:, left : left + cells].max(axis=1) > ROOM)
        return room

    def _tiles(self, top: int, chosen: Sequence[int]) -> Iterator[tuple[int, Float]]:
        """Yield chosen tiles of a row: the column of each, and its logits [P,h,w]."""
        for columns, tiles in prefetch(self._batches(top, chosen)):
            features = self.backend.encode_image(tiles)
            for place, column in enumerate(columns):
                # One at a time: under many prompts the decoder needs more memory than the encoder.
                own = tuple(part[place : place + 1] for part in features)
                logits, presence = checked_decode(self.backend, own, self.embeddings, self.image_id)
                self.presence = np.maximum(self.presence, presence[0])
                yield column, logits[0]

    def _batches(self, top: int, chosen: Sequence[int]) -> Iterator[tuple[Sequence[int], Float]]:
        """Cut chosen tiles of a row, some at a time: their columns, and the model's input [B,3,h,w]."""
        starts = self.grid.columns.starts
        for first in range(0, len(chosen), BATCH):
            columns = chosen[first : first + BATCH]
            yield columns, self.grid.cut(self.photo, top, [starts[column] for column in columns])


def _stride(grid: TileGrid, stride: float) -> int:
    """Choose the grid on which tiles are added up: the logits' own where starts of tiles fall on it."""
    whole = stride == int(stride) and grid.window.multiple % int(stride) == 0
    return int(stride) if whole else 1


def _cells(
    axis: Axis, start: int, stride: int, length: int | None = None
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Say what a stretch of a grid shows.

    Args:
        axis: Along which side.
        start: Where the stretch begins, in px of the scaled photo.
        stride: Px of the scaled photo a cell.
        length: Of the stretch, in the same; a tile's where None.

    Returns:
        From where to where in px of the photo; cells on the photo, and cells beyond its end.
    """
    cells = (length or axis.tile) // stride
    shown = min(cells, -(-axis.scaled // stride) - start // stride)
    ratio = axis.length / axis.scaled
    return (start * ratio, (start + shown * stride) * ratio), (shown, cells - shown)


class _Sums:
    """Weighted logits of one row of tiles, on a grid of a value every `stride` px of the scaled photo."""

    def __init__(self, grid: TileGrid, prompts: int, stride: int) -> None:
        self.grid, self.stride = grid, stride
        self.down, self.across = grid.rows.weights(stride), grid.columns.weights(stride)
        self.sums = np.zeros((prompts, self.down.shape[1], grid.columns.end // stride), np.float32)

    def add(self, row: int, column: int, logits: Float, prompts: NDArray[np.bool_]) -> None:
        """Add a tile's logits [P,h,w] for the prompts [P] that they count for."""
        left = self.grid.columns.starts[column] // self.stride
        weight = self.down[row][:, None] * self.across[column]
        weighted = _on_grid(logits[prompts], weight.shape) * weight
        self.sums[prompts, :, left : left + weight.shape[1]] += weighted

    def fill(self, row: int, tiles: NDArray[np.bool_], coarse: Float) -> None:
        """Add what coarser views say [P,rows,w] in the place of tiles [P,tiles] that do not count."""
        weight = np.zeros((len(coarse), coarse.shape[2]), np.float32)
        for column, start in enumerate(self.grid.columns.starts):
            left = start // self.stride
            weight[tiles[:, column], left : left + self.across.shape[1]] += self.across[column]
        if tiles.any():
            self.sums += coarse * (self.down[row][:, None] * weight[:, None])

    def finish(self, row: int) -> Float:
        """Return what no further tile reaches once a row of tiles is complete, and make room for the next."""
        starts = self.grid.rows.starts
        last = row + 1 == len(starts)
        done = self.sums.shape[1] if last else (starts[row + 1] - starts[row]) // self.stride
        finished = self.sums[:, :done].copy()
        rest = self.sums.shape[1] - done
        self.sums[:, :rest] = self.sums[:, done:].copy()
        self.sums[:, rest:] = 0
        return finished


def _on_grid(logits: Float, shape: tuple[int, ...]) -> Float:
    if logits.shape[1:] == shape:
        return logits
    rows, columns = logits.shape[1:]
    resampled = [resample(one, (0.0, 0.0, columns, rows), *shape) for one in logits]
    return np.stack(resampled) if resampled else np.zeros((0, *shape), np.float32)
