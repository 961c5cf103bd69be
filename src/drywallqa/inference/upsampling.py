"""From logits on a grid to the photo's own size, rows at a time, where something can pass a level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from drywallqa.backend import Float
from drywallqa.imaging.letterbox import resample, touched_span
from drywallqa.inference.tiling import PhotoLogits, TiledView

_BAND = 1_000_000  # px of the photo that are upsampled at a time


class RowBand(NamedTuple):
    """Finished rows of a photo.

    Attributes:
        rows: The rows.
        parts: For each prompt, columns and their mask logits [rows,columns]; None where none can pass the
            level that was asked for. Beside the columns none can either.
    """

    rows: slice
    parts: tuple[tuple[slice, Float] | None, ...]


def upsample(
    rows: Iterable[Float], grid: PhotoLogits | TiledView, size: tuple[int, int], levels: Float
) -> Iterator[RowBand]:
    """Bring rows of a grid to the photo's size (bilinear) as they are finished.

    Args:
        rows: Rows [P,n,w] of the grid from top to bottom.
        grid: The grid that they belong to.
        size: Height and width of the photo in px.
        levels: Mask logits [P] of interest: smaller ones need not be upsampled.
    """
    height, width = size
    kept: Float | None = None
    first, top = 0, 0  # the row of the grid that `kept` begins with, and the row of the photo that comes next
    source = iter(rows)
    coming = next(source, None)
    while coming is not None:
        following = next(source, None)
        kept = coming if kept is None else np.concatenate([kept, coming], axis=1)
        reach = max(1.0, grid.down)  # of the bilinear filter, in rows of the grid
        end = first + kept.shape[1]
        ready = height if following is None else min(height, int((end - reach) / grid.down + 0.5))
        while top < ready:
            bottom = min(ready, top + max(1, _BAND // width))
            parts = (
                _upsample_columns(own, level, grid, first, slice(top, bottom), width)
                for own, level in zip(kept, levels, strict=True)
            )
            yield RowBand(slice(top, bottom), tuple(parts))
            top = bottom
        needless = max(0, int((top + 0.5) * grid.down - reach) - 1 - first)
        first, kept = first + needless, kept[:, needless:].copy()
        coming = following


def _upsample_columns(
    kept: Float, level: float, grid: PhotoLogits | TiledView, offset: int, rows: slice, width: int
) -> tuple[slice, Float] | None:
    """Bring a grid [n,w] that begins at row `offset` to rows of the photo, where it can pass a level."""
    reach = max(1.0, grid.down)
    first, last = max(0.0, rows.start * grid.down - offset), rows.stop * grid.down - offset
    near = slice(max(0, int(first - reach) - 1), int(last + reach) + 2)
    chosen = np.flatnonzero(kept[near].max(axis=0) > level)
    columns = touched_span(chosen, grid.across, width) if len(chosen) else slice(0, 0)
    if columns.stop <= columns.start:
        return None
    box = (columns.start * grid.across, first, columns.stop * grid.across, last)
    return columns, resample(kept, box, rows.stop - rows.start, columns.stop - columns.start)
