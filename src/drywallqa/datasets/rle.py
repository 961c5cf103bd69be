"""Run-length encoded masks as COCO writes them: columns first, runs of zeros and ones in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decode_runs(counts: str | Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Decode runs to a mask [height,width].

    Args:
        counts: A list of run lengths, or COCO's compressed string of them.
        height: Height in px.
        width: Width in px.

    Raises:
        ValueError: The runs are damaged or do not fill the mask exactly.
    """
    runs = decompress(counts) if isinstance(counts, str) else list(counts)
    if any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs):
        raise ValueError("a run is negative or no whole number")
    if sum(runs) != height * width:
        raise ValueError(f"the runs cover {sum(runs)} px, the photo has {height * width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def decompress(text: str) -> list[int]:
    """Read COCO's compressed runs: five bits a character, the sixth says that more follow.

    From the third run on, a number is the difference to the run two before (pycocotools, `rleFrString`).

    Raises:
        ValueError: The string has other characters or stops within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"the character {character!r} is no part of compressed runs")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the compressed runs stop within a number")
    return runs
