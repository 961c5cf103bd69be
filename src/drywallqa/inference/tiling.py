"""A large photo through the model in tiles, without a step where they meet, in bounded memory.

The tiles of one row are encoded in batches, decoded under every prompt, and their logits added up, weighted
so that neighbours fade into each other. As soon as no further tile reaches a row, the view of the whole photo
is mixed in and the row is brought to the photo's size. No more than one row of tiles is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Float
from drywallqa.inference.ahead import ahead
from drywallqa.inference.answers import answer, decode
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.questions import Questions
from drywallqa.inference.tiles import TileGrid
from drywallqa.window import Placement, resample, sigmoid, span

BATCH = 2  # tiles that are encoded together
_BAND = 4_000_000  # values that are brought to the photo's size at a time
_DEEPEST = 12.0  # logits that absence may take from a tile
_ROUNDING = 1e-3  # logits by which a value between two others may pass both


@dataclass(frozen=True)
class Band:
    """Finished rows of a photo.

    Attributes:
        rows: Which.
        parts: For each prompt, columns and their mask logits [rows,columns]; None where none can pass the
            level that was asked for. Beside the columns none can either.
    """

    rows: slice
    parts: tuple[tuple[slice, Float] | None, ...]


class TiledPhoto:
    """One photo in tiles under P prompts.

    Args:
        backend: The model.
        grid: Where the tiles lie.
        photo: uint8 [H,W,3].
        embeddings: The prompts' [P,D].
        gates: Presence logits [P] below which the concept is taken to be absent: a tile that falls short of
            one loses as much from its mask logits as it lacks.
        levels: Mask logits [P] of interest: smaller ones need not be brought to the photo's size.
        batch: Tiles that are encoded together.
        image_id: What errors call the photo.
    """

    def __init__(
        self,
        backend: Backend,
        grid: TileGrid,
        photo: NDArray[np.uint8],
        embeddings: Float,
        gates: Float,
        levels: Float,
        batch: int = BATCH,
        image_id: str = "photo",
    ) -> None:
        self.backend, self.grid, self.photo, self.image_id = backend, grid, photo, image_id
        self.embeddings, self.gates, self.levels, self.batch = embeddings, gates, levels, batch
        self.presence: Float = np.full(len(embeddings), -np.inf, np.float32)
        """The largest presence logit [P] so far, of any tile with its context or of the whole photo."""
        self._context: Float | None = None

    def bands(self) -> Iterator[Band]:
        """Yield the photo's rows from top to bottom, every row once."""
        overview = self._overview() if self.grid.count > 1 else None
        sums: _Sums | None = None
        for number, top in enumerate(self.grid.rows.starts):
            for column, logits in self._row(top):
                if sums is None:
                    sums = _Sums(self.grid, logits.shape, overview, self.levels)
                sums.add(number, column, logits)
            if sums is not None:
                yield from sums.finish(number)

    def _overview(self) -> tuple[Float, Placement]:
        """Look at the whole photo, scaled down into the window."""
        canvas, placement = self.grid.window.fit(self.photo)
        features = self.backend.encode_image(canvas[None])
        logits, presence = decode(self.backend, features, self.embeddings, self.image_id)
        self.presence = self._context = presence[0]
        return logits[0], placement

    def _row(self, top: int) -> Iterator[tuple[int, Float]]:
        """Yield each tile of a row: its column, and its logits [P,h,w] less what absence takes."""
        for columns, tiles in ahead(self._batches(top)):
            features = self.backend.encode_image(tiles)
            for place, column in enumerate(columns):
                # One at a time: under many prompts the decoder needs more memory than the encoder.
                own = tuple(part[place : place + 1] for part in features)
                logits, presence = decode(self.backend, own, self.embeddings, self.image_id)
                believed = self._in_context(presence[0])
                self.presence = np.maximum(self.presence, believed)
                lacking = np.clip(self.gates - believed, 0, _DEEPEST)
                yield column, logits[0] - lacking[:, None, None]

    def _batches(self, top: int) -> Iterator[tuple[range, Float]]:
        """Cut a row's tiles, some at a time: their columns, and the model's input [B,3,h,w]."""
        starts = self.grid.columns.starts
        for first in range(0, len(starts), self.batch):
            columns = range(first, min(first + self.batch, len(starts)))
            yield columns, self.grid.cut(self.photo, top, [starts[column] for column in columns])

    def _in_context(self, presence: Float) -> Float:
        """Mix a tile's presence logits [P] with those of the whole photo, as their masks are mixed."""
        if self._context is None:
            return presence
        share = np.float32(self.grid.context)
        return (1 - share) * presence + share * self._context


class _Sums:
    """Weighted logits of one row of tiles, on a grid of a value every `stride` px of the scaled photo."""

    def __init__(
        self,
        grid: TileGrid,
        shape: tuple[int, ...],
        overview: tuple[Float, Placement] | None,
        levels: Float,
    ) -> None:
        """Make room for logits [P,h,w] of a tile."""
        self.grid, self.stride = grid, _stride(grid, shape)
        self.down, self.across = grid.rows.weights(self.stride), grid.columns.weights(self.stride)
        self.sums = np.zeros((shape[0], self.down.shape[1], grid.columns.end // self.stride), np.float32)
        self.enlarger = _Enlarger(grid, self.stride, overview, levels)

    def add(self, row: int, column: int, logits: Float) -> None:
        """Add a tile."""
        left = self.grid.columns.starts[column] // self.stride
        weight = self.down[row][:, None] * self.across[column]
        self.sums[:, :, left : left + weight.shape[1]] += _on_grid(logits, weight.shape) * weight

    def finish(self, row: int) -> Iterator[Band]:
        """Yield what no further tile reaches once a row of tiles is complete, and make room for the next."""
        starts = self.grid.rows.starts
        last = row + 1 == len(starts)
        done = self.sums.shape[1] if last else (starts[row + 1] - starts[row]) // self.stride
        yield from self.enlarger.add(self.sums[:, :done], last=last)
        rest = self.sums.shape[1] - done
        self.sums[:, :rest] = self.sums[:, done:].copy()
        self.sums[:, rest:] = 0


def _stride(grid: TileGrid, shape: tuple[int, ...]) -> int:
    """Choose the grid on which tiles are added up: the logits' own where starts of tiles fall on it."""
    stride = grid.rows.tile / shape[1]
    whole = stride == int(stride) and stride == grid.columns.tile / shape[2]
    return int(stride) if whole and grid.window.multiple % int(stride) == 0 else 1


def _on_grid(logits: Float, shape: tuple[int, ...]) -> Float:
    if logits.shape[1:] == shape:
        return logits
    rows, columns = logits.shape[1:]
    return np.stack([resample(one, (0.0, 0.0, columns, rows), *shape) for one in logits])


class _Enlarger:
    """Takes rows of the grid as they are finished and brings them to the photo's size."""

    def __init__(
        self, grid: TileGrid, stride: int, overview: tuple[Float, Placement] | None, levels: Float
    ) -> None:
        self.grid, self.stride, self.overview, self.levels = grid, stride, overview, levels
        self.height, self.width = grid.rows.length, grid.columns.length
        self.share = grid.context
        self.a_row = grid.rows.scaled / stride / self.height  # rows of the grid a row of the photo
        self.a_column = grid.columns.scaled / stride / self.width
        self.reach = max(1.0, self.a_row)  # of the bilinear filter, in rows of the grid
        self.first = 0  # row of the grid that `kept` begins with
        self.next = 0  # row of the photo that comes next
        self.kept: Float | None = None

    def add(self, rows: Float, last: bool) -> Iterator[Band]:
        """Take finished rows [P,n,w] of the grid; yield what of the photo follows from them."""
        known = 0 if self.kept is None else self.kept.shape[1]
        mixed = self._mix(rows, self.first + known)
        kept = mixed if self.kept is None else np.concatenate([self.kept, mixed], axis=1)
        end = self.first + kept.shape[1]
        ready = self.height if last else int((end - self.reach) / self.a_row + 0.5)
        step = max(1, _BAND // (self.width * len(kept)))
        while self.next < ready:
            bottom = min(ready, self.next + step)
            parts = (self._enlarge(*each, self.next, bottom) for each in zip(kept, self.levels, strict=True))
            yield Band(slice(self.next, bottom), tuple(parts))
            self.next = bottom
        needless = max(0, int((self.next + 0.5) * self.a_row - self.reach) - 1 - self.first)
        self.first, self.kept = self.first + needless, kept[:, needless:].copy()

    def _mix(self, rows: Float, first: int) -> Float:
        """Mix the view of the whole photo into rows of the grid that begin with row `first`."""
        if self.overview is None:
            return rows.copy()
        logits, placement = self.overview
        axes = self.grid.rows, self.grid.columns
        cells = [-(-axis.scaled // self.stride) for axis in axes]  # without the padding, which it cannot see
        count = min(rows.shape[1], cells[0] - first)
        mixed = rows.copy()
        if count < 1:
            return mixed
        down = placement.scaled_height * logits.shape[1] / placement.window_height / axes[0].scaled
        across = placement.scaled_width * logits.shape[2] / placement.window_width / axes[1].scaled
        top, bottom = (row * self.stride * down for row in (first, first + count))
        box = (0.0, top, cells[1] * self.stride * across, bottom)
        for own, whole in zip(mixed[:, :count, : cells[1]], logits, strict=True):
            own *= 1 - self.share
            own += self.share * resample(whole, box, count, cells[1])
        return mixed

    def _enlarge(self, kept: Float, level: float, top: int, bottom: int) -> tuple[slice, Float] | None:
        """Bring rows [n,w] of the grid to the photo's rows, in those columns that can pass a level."""
        first, last = max(0.0, top * self.a_row - self.first), bottom * self.a_row - self.first
        near = slice(max(0, int(first - self.reach) - 1), int(last + self.reach) + 2)
        chosen = np.flatnonzero(kept[near].max(axis=0) > level)
        if not len(chosen):
            return None
        columns = span(chosen, self.a_column, self.width)
        box = (columns.start * self.a_column, first, columns.stop * self.a_column, last)
        return columns, resample(kept, box, bottom - top, columns.stop - columns.start)


def from_tiles(
    backend: Backend,
    grid: TileGrid,
    photo: NDArray[np.uint8],
    questions: Questions,
    keep: bool,
    image_id: str,
) -> Iterator[Prediction]:
    """Answer questions about a photo in tiles; each tile is encoded once, however many questions there are.

    Until they are asked for, masks are held as bits.

    Args:
        backend: The model.
        grid: Where the tiles lie.
        photo: uint8 [H,W,3].
        questions: What is asked.
        keep: Whether the probabilities are kept (float32 for each question).
        image_id: What the answers call the photo.

    Raises:
        BackendError: The model gave numbers that are none.
    """
    height, width = photo.shape[:2]
    gates = np.full(len(questions.embeddings), -np.inf, np.float32)
    levels = np.full_like(gates, -np.inf if keep else np.inf)
    for question in questions.each:
        gates[question.row] = max(gates[question.row], _logit(question.presence_threshold))
        levels[question.row] = min(levels[question.row], _logit(question.threshold) - _ROUNDING)
    run = TiledPhoto(backend, grid, photo, questions.embeddings, gates, levels, image_id=image_id)
    bits = [np.zeros((height, -(-width // 8)), np.uint8) for _ in questions.each]
    kept = [np.empty((height, width), np.float32) if keep else None for _ in questions.each]
    for band in ahead(run.bands()):
        for question, mask, probability in zip(questions.each, bits, kept, strict=True):
            part = band.parts[question.row]
            if part is None:
                continue
            columns, values = part[0], sigmoid(part[1])
            marked = np.zeros((len(values), width), np.bool_)
            marked[:, columns] = values > np.float32(question.threshold)
            mask[band.rows] = np.packbits(marked, axis=1)
            if probability is not None:
                probability[band.rows, columns] = values
    believed = sigmoid(run.presence)
    for question in questions.each:
        mask = np.unpackbits(bits.pop(0), axis=1, count=width).view(np.bool_)
        yield answer(question, mask, kept.pop(0), float(believed[question.row]), image_id)


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))
