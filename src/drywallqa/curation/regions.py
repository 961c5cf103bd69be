"""The connected pieces of a mask, by the runs of its rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.curation.near_duplicates import unite

Frame = tuple[int, int, int, int]


def frames(mask: NDArray[np.bool_]) -> list[Frame]:
    """Return the bounding box (left, top, right, bottom; right and bottom excluded) of each connected piece.

    Pieces that touch at a corner are connected.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    roots = unite(len(rows), _touching(rows, starts, ends))
    boxes: dict[int, Frame] = {}
    for root, row, start, end in zip(roots, rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        left, top, right, bottom = boxes.get(root, (start, row, end, row + 1))
        boxes[root] = min(left, start), min(top, row), max(right, end), max(bottom, row + 1)
    return list(boxes.values())


def _touching(
    rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Pair each run with the runs of the row above that it touches, diagonally too."""
    links = []
    above = 0
    for run in range(len(rows)):
        while above < run and (rows[above] < rows[run] - 1 or _passed(above, run, rows, starts, ends)):
            above += 1
        other = above
        while other < run and rows[other] == rows[run] - 1 and starts[other] <= ends[run]:
            links.append((other, run))
            other += 1
    return links


def _passed(
    above: int, run: int, rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> bool:
    """Say whether a run of the row above ends before this one begins, so that no later one can touch it."""
    return bool(rows[above] == rows[run] - 1 and ends[above] < starts[run])
