"""A tiled view of a large photo, with seamless tiles and bounded memory.

The tiles of one row are encoded in batches and decoded for every prompt. Their logits are summed with
weights that blend neighbouring tiles. The logits of complete rows are then mixed with those of the coarser
views. Only one row of tiles is in memory at a time.

In this mix, the tiled view has half of the weight, and all coarser views together have the other half. An
object that is found only in the tiled view therefore needs much higher logits there. If the coarser logits
are very low in the area of a tile, the tile is not decoded and the coarser logits are kept.

Shapes: P prompts, h×w a grid over the whole photo, H×W the photo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Features, Float
from drywallqa.background import prefetch
from drywallqa.errors import BackendError
from drywallqa.imaging.letterbox import Placement, resample, touched_span
from drywallqa.inference.tiles import TileGrid

BATCH = 2  # tiles that are encoded together
_BAND = 1_000_000  # px of the photo that are upsampled at a time
SHARE = np.float32(0.5)  # weight of a view; all coarser views together have the remaining weight
ROOM = -4.0  # a tile is skipped if the coarser views' mask logits in its area are lower


@dataclass(frozen=True, eq=False)
class PhotoLogits:
    """The mask logits of a photo, combined from one or more views.

    Attributes:
        logits: float32 [P,h,w]; the grid may extend beyond the photo.
        down: Rows of the grid per row of the photo.
        across: Columns of the grid per column of the photo.
        stride: Input pixels per logit cell.
    """

    logits: Float
    down: float
    across: float
    stride: float

    @classmethod
    def whole(cls, logits: Float, placement: Placement) -> PhotoLogits:
        """Create an instance from the logits [P,h,w] of the whole photo."""
        rows, columns = placement.window_height / logits.shape[1], placement.window_width / logits.shape[2]
        down = placement.scaled_height / rows / placement.height
        across = placement.scaled_width / columns / placement.width
        return cls(logits, down, across, rows if rows == columns else 1)


def checked_decode(
    backend: Backend, features: Features, embeddings: Float, image_id: str
) -> tuple[Float, Float]:
    """Decode features for prompts with `Backend.decode`, and check that all logits are finite.

    Raises:
        BackendError: Some logits are NaN or infinite.
    """
    logits, presence = backend.decode(features, embeddings)
    if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
        raise BackendError(
            f"{image_id}: the model returned NaN or infinite logits; "
            "the bundle may be damaged, or the device may compute wrong results; try --device cpu"
        )
    return logits, presence


class TiledView:
    """A tiled view of a photo for P prompts, combined with the coarser views.

    Args:
        backend: The running model.
        grid: The layout of the tiles.
        photo: uint8 [H,W,3].
        embeddings: The embeddings of the prompts [P,D].
        before: The logits of the coarser views, or None.
        wanted: Bool [P]: whether each prompt uses tiles. Tiles with very low coarser logits are skipped. If
            None, all prompts use all tiles.
        image_id: The photo's name in errors.

    Attributes:
        presence: The maximum presence logit [P] of the tiles decoded so far.
        stride: Px of the scaled photo per cell of the grid; 0 before the first tile is decoded.
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

    def decode(self) -> PhotoLogits:
        """Decode all tiles, and return the logits of the whole photo."""
        rows = np.concatenate(list(self.rows()), axis=1)
        return PhotoLogits(rows, self.down, self.across, self.stride)

    @property
    def down(self) -> float:
        """Rows of the grid per row of the photo; available after the first rows."""
        return self.grid.rows.scaled / self.stride / self.grid.rows.length

    @property
    def across(self) -> float:
        """Columns of the grid per column of the photo; available after the first rows."""
        return self.grid.columns.scaled / self.stride / self.grid.columns.length

    def rows(self) -> Iterator[Float]:
        """Yield the rows of the grid [P,n,w] from top to bottom, combined with the coarser views."""
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
        """Resample the logits of the coarser views to the grid of one row of tiles: [P,rows,w]."""
        if self.before is None:
            return None
        down, height = self.grid.rows.cells(top, self.stride)
        across, width = self.grid.columns.cells(0, self.stride, self.grid.columns.end)
        box = (
            across[0] * self.before.across, down[0] * self.before.down,
            across[1] * self.before.across, down[1] * self.before.down,
        )  # fmt: skip
        inside = [resample(one, box, height[0], width[0]) for one in self.before.logits]
        return np.pad(np.stack(inside), ((0, 0), (0, height[1]), (0, width[1])), mode="edge")

    def _room(self, coarse: Float | None) -> NDArray[np.bool_]:
        """Find the tiles of a row that each prompt uses: bool [P,tiles].

        The tiles are chosen separately for each prompt, so a mask does not depend on the other prompts.
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
        """Decode the chosen tiles of a row; yield the column and the logits [P,h,w] of each tile."""
        starts = self.grid.columns.starts
        batches = (chosen[first : first + BATCH] for first in range(0, len(chosen), BATCH))
        cut = (
            (batch, self.grid.cut(self.photo, top, [starts[column] for column in batch])) for batch in batches
        )
        for columns, tiles in prefetch(cut):
            features = self.backend.encode_image(tiles)
            for place, column in enumerate(columns):
                # Tiles are decoded one at a time, because with many prompts the decoder needs more memory
                # than the encoder.
                own = tuple(part[place : place + 1] for part in features)
                logits, presence = checked_decode(self.backend, own, self.embeddings, self.image_id)
                self.presence = np.maximum(self.presence, presence[0])
                yield column, logits[0]


def _stride(grid: TileGrid, stride: float) -> int:
    """Return the stride of the grid on which tiles are summed: that of the logits if it fits, else 1."""
    whole = stride == int(stride) and grid.window.multiple % int(stride) == 0
    return int(stride) if whole else 1


class _Sums:
    """Weighted logits of one row of tiles, on a grid with one value every `stride` px of the scaled photo."""

    def __init__(self, grid: TileGrid, prompts: int, stride: int) -> None:
        self.grid, self.stride = grid, stride
        self.down, self.across = grid.rows.weights(stride), grid.columns.weights(stride)
        self.sums = np.zeros((prompts, self.down.shape[1], grid.columns.end // stride), np.float32)

    def add(self, row: int, column: int, logits: Float, prompts: NDArray[np.bool_]) -> None:
        """Add a tile's logits [P,h,w] for the selected prompts [P]."""
        left = self.grid.columns.starts[column] // self.stride
        weight = self.down[row][:, None] * self.across[column]
        own = logits[prompts]
        if own.shape[1:] != weight.shape:
            box = (0.0, 0.0, own.shape[2], own.shape[1])
            resampled = [resample(one, box, *weight.shape) for one in own]
            own = np.stack(resampled) if resampled else np.zeros((0, *weight.shape), np.float32)
        self.sums[prompts, :, left : left + weight.shape[1]] += own * weight

    def fill(self, row: int, tiles: NDArray[np.bool_], coarse: Float) -> None:
        """For skipped tiles, bool [P,tiles], add the logits of the coarser views [P,rows,w] instead."""
        weight = np.zeros((len(coarse), coarse.shape[2]), np.float32)
        for column, start in enumerate(self.grid.columns.starts):
            left = start // self.stride
            weight[tiles[:, column], left : left + self.across.shape[1]] += self.across[column]
        if tiles.any():
            self.sums += coarse * (self.down[row][:, None] * weight[:, None])

    def finish(self, row: int) -> Float:
        """Return the complete rows, and shift the buffer for the next row of tiles."""
        starts = self.grid.rows.starts
        last = row + 1 == len(starts)
        done = self.sums.shape[1] if last else (starts[row + 1] - starts[row]) // self.stride
        finished = self.sums[:, :done].copy()
        rest = self.sums.shape[1] - done
        self.sums[:, :rest] = self.sums[:, done:].copy()
        self.sums[:, rest:] = 0
        return finished


# Finished rows of a photo, and for each prompt a range of columns with their mask logits [rows,columns].
# Logits outside the range are below the prompt's level of interest. None: all logits are below the level.
RowBand = tuple[slice, tuple[tuple[slice, Float] | None, ...]]


def upsample(
    rows: Iterable[Float], grid: PhotoLogits | TiledView, size: tuple[int, int], levels: Float
) -> Iterator[RowBand]:
    """Upsample rows of a grid to the photo's size (bilinear) as soon as they are complete.

    Args:
        rows: Rows [P,n,w] of the grid from top to bottom.
        grid: The object that describes the grid to which the rows belong.
        size: Height and width of the photo in px.
        levels: Smallest relevant mask logit [P] of each prompt. Areas with lower logits need not be
            upsampled.
    """
    height, width = size
    kept: Float | None = None
    first, top = 0, 0  # the first row of the grid in `kept`, and the next row of the photo
    for coming, following in pairwise(chain(rows, [None])):
        assert coming is not None, "only the last of the pairs has no following"
        kept = coming if kept is None else np.concatenate([kept, coming], axis=1)
        reach = max(1.0, grid.down)  # reach of the bilinear filter in rows of the grid
        end = first + kept.shape[1]
        ready = height if following is None else min(height, int((end - reach) / grid.down + 0.5))
        while top < ready:
            bottom = min(ready, top + max(1, _BAND // width))
            parts = (
                _upsample_columns(own, level, grid, first, slice(top, bottom), width)
                for own, level in zip(kept, levels, strict=True)
            )
            yield slice(top, bottom), tuple(parts)
            top = bottom
        needless = max(0, int((top + 0.5) * grid.down - reach) - 1 - first)
        first, kept = first + needless, kept[:, needless:].copy()


def _upsample_columns(
    kept: Float, level: float, grid: PhotoLogits | TiledView, offset: int, rows: slice, width: int
) -> tuple[slice, Float] | None:
    """Upsample the columns that can exceed a level, in a grid [n,w] that starts at row `offset`."""
    reach = max(1.0, grid.down)
    first, last = max(0.0, rows.start * grid.down - offset), rows.stop * grid.down - offset
    near = slice(max(0, int(first - reach) - 1), int(last + reach) + 2)
    chosen = np.flatnonzero(kept[near].max(axis=0) > level)
    columns = touched_span(chosen, grid.across, width) if len(chosen) else slice(0, 0)
    if columns.stop <= columns.start:
        return None
    box = (columns.start * grid.across, first, columns.stop * grid.across, last)
    return columns, resample(kept, box, rows.stop - rows.start, columns.stop - columns.start)
