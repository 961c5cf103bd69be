"""From logits on a grid to the photo's own size, rows at a time, where something can pass a level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drywallqa.backend import Float
from drywallqa.imaging.letterbox import resample, touched_span

_BAND = 1_000_000  # px of the photo that are enlarged at a time


@dataclass(frozen=True)
class RowBand:
    """Finished rows of a photo.

    Attributes:
        rows: Which.
        parts: For each prompt, columns and their mask logits [rows,columns]; None where none can pass the
            level that was asked for. Beside the columns none can either.
    """

    rows: slice
    parts: tuple[tuple[slice, Float] | None, ...]


class LogitUpsampler:
    """Takes rows of a grid as they are finished and brings them to the photo's size (bilinear).

    Args:
        size: Height and width of the photo in px.
        down: Rows of the grid a row of the photo.
        across: Columns of the grid a column of the photo.
        levels: Mask logits [P] of interest: smaller ones need not be enlarged.
    """

    def __init__(self, size: tuple[int, int], down: float, across: float, levels: Float) -> None:
        self.height, self.width = size
        self.down, self.across, self.levels = down, across, levels
        self.reach = max(1.0, down)  # of the bilinear filter, in rows of the grid
        self.first = 0  # row of the grid that `kept` begins with
        self.next = 0  # row of the photo that comes next
        self.kept: Float | None = None

    def add(self, rows: Float, last: bool) -> Iterator[RowBand]:
        """Take finished rows [P,n,w] of the grid; yield what of the photo follows from them."""
        kept = rows if self.kept is None else np.concatenate([self.kept, rows], axis=1)
        end = self.first + kept.shape[1]
        ready = self.height if last else min(self.height, int((end - self.reach) / self.down + 0.5))
        step = max(1, _BAND // self.width)
        while self.next < ready:
            bottom = min(ready, self.next + step)
            parts = (self._enlarge(*each, self.next, bottom) for each in zip(kept, self.levels, strict=True))
            yield RowBand(slice(self.next, bottom), tuple(parts))
            self.next = bottom
        needless = max(0, int((self.next + 0.5) * self.down - self.reach) - 1 - self.first)
        self.first, self.kept = self.first + needless, kept[:, needless:].copy()

    def _enlarge(self, kept: Float, level: float, top: int, bottom: int) -> tuple[slice, Float] | None:
        """Bring rows [n,w] of the grid to the photo's rows, in those columns that can pass a level."""
        first, last = max(0.0, top * self.down - self.first), bottom * self.down - self.first
        near = slice(max(0, int(first - self.reach) - 1), int(last + self.reach) + 2)
        chosen = np.flatnonzero(kept[near].max(axis=0) > level)
        if not len(chosen):
            return None
        columns = touched_span(chosen, self.across, self.width)
        if columns.stop <= columns.start:
            return None
        box = (columns.start * self.across, first, columns.stop * self.across, last)
        return columns, resample(kept, box, bottom - top, columns.stop - columns.start)
