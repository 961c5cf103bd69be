"""Find copies of the same source photo that were re-encoded, resized, rotated, mirrored or slightly changed.

First, the perceptual hash selects pairs that are similar in any orientation. Two correlations between the
32×32 thumbnails then verify each pair. The first correlation compares fine detail (the thumbnail minus its
local mean), and the second compares coarse gradients. Both correlations take square roots of the values to
limit the effect of a single strong line. Both correlations ignore shading, which is similar on many walls.
The last test checks the median correlation over a grid of 7×7 cells. Different boards in front of the same
background can have similar outlines, but only copies of the same source photo agree in most cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.curation.inventory import AuditedPhoto
from drywallqa.imaging import perceptual_hash

SAME_PHOTO_AGREEMENT = 0.62
"""A pair with similar hashes counts as copies of one source photo if its mean correlation is at least this.

We chose this value and `SAME_PHOTO_CELLS` after inspecting pairs from a crack data set and a board data set.
"""

SAME_PHOTO_CELLS = 0.42
"""A pair counts as copies of one source photo only if its median cell correlation is at least this."""

_BLOCK = 512
_RADIUS = 2
_BORDER = 3
_CELL = 4

Thumbnails = NDArray[np.float32]


@dataclass(frozen=True)
class DuplicatePair:
    """Two photos that are copies of the same source photo.

    Attributes:
        first: Index of the first photo.
        second: Index of the second photo, always larger than `first`.
        bits: Number of bits in which the hashes differ.
        agreement: Mean of the detail correlation and the gradient correlation, at most 1.
        turns: Number of counter-clockwise rotations by 90° that map the second photo to the first.
        flip: Whether the rotated second photo must also be mirrored left to right.
    """

    first: int
    second: int
    bits: int
    agreement: float
    turns: int
    flip: bool


@dataclass(frozen=True)
class NearDuplicate:
    """Two duplicate source photos with different names, and their most similar pair of photos."""

    first: AuditedPhoto
    second: AuditedPhoto
    pair: DuplicatePair
    across: bool

    def to_json(self) -> dict[str, Any]:
        """Return the pair as JSON data."""
        return {
            "first": self.first.name,
            "second": self.second.name,
            "photographs": [self.first.photograph, self.second.photograph],
            "splits": [self.first.split, self.second.split],
            "across_splits": self.across,
            "bits": self.pair.bits,
            "agreement": self.pair.agreement,
            "quarter_turns": self.pair.turns,
            "mirrored": self.pair.flip,
        }


def find_pairs(thumbnails: Thumbnails, groups: Sequence[object]) -> list[DuplicatePair]:
    """Find pairs of photos that are copies of the same source photo, with the highest agreement first.

    Args:
        thumbnails: Grey thumbnails [N,32,32] from `perceptual_hash.thumbnail`.
        groups: A key for each photo. Pairs with equal keys are skipped, because they are known copies.
    """
    candidates = np.array(list(_sieve(thumbnails, groups)), np.int64).reshape(-1, 3)
    if not len(candidates):
        return []
    agreement, orientation = _verify(thumbnails, candidates)
    pairs = []
    for (first, second, bits), value, index in zip(candidates, agreement, orientation, strict=True):
        turns, flip = perceptual_hash.ORIENTATIONS[int(index)]
        if value < SAME_PHOTO_AGREEMENT:
            continue
        cells = cell_agreement(thumbnails[first], perceptual_hash.orient(thumbnails[second], turns, flip))
        if cells >= SAME_PHOTO_CELLS:
            agreed = round(float(value), 4)
            pairs.append(DuplicatePair(int(first), int(second), int(bits), agreed, turns, flip))
    return sorted(pairs, key=lambda pair: (-pair.agreement, pair.first, pair.second))


def _sieve(thumbnails: Thumbnails, groups: Sequence[object]) -> Iterator[tuple[int, int, int]]:
    """Yield (index, index, number of differing bits) for pairs with similar hashes and different groups."""
    hashes = [perceptual_hash.hash_thumbnail(thumbnail) for thumbnail in thumbnails]
    numbers: dict[object, int] = {}
    keys = np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64)
    for start in range(0, len(hashes), _BLOCK):
        rows = hashes[start : start + _BLOCK]
        bits = perceptual_hash.closest_hash_distances(rows, hashes[start:])
        near = bits <= perceptual_hash.SAME_PHOTO_BITS
        near &= keys[start : start + len(rows), None] != keys[None, start:]
        for row, column in np.argwhere(np.triu(near, 1)).tolist():
            yield start + row, start + column, int(bits[row, column])


def _verify(
    thumbnails: Thumbnails, candidates: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return each candidate pair's best agreement, and the index of the orientation that gives it."""
    best = np.full(len(candidates), -1, np.float32)
    orientation = np.zeros(len(candidates), np.int64)
    involved, places = np.unique(candidates[:, :2], return_inverse=True)
    places = places.reshape(-1, 2)
    upright = _features(thumbnails[involved])
    for index, (turns, flip) in enumerate(perceptual_hash.ORIENTATIONS):
        turned = np.rot90(thumbnails[involved], turns, (1, 2))
        other = _features(turned[:, :, ::-1] if flip else turned)
        for start in range(0, len(candidates), _BLOCK):
            part = slice(start, start + _BLOCK)
            first, second = upright[places[part, 0]], other[places[part, 1]]
            agreement = np.einsum("nd,nd->n", first, second)
            better = agreement > best[part]
            best[part][better] = agreement[better]
            orientation[part][better] = index
    return best, orientation


def _features(thumbnails: Thumbnails) -> NDArray[np.float32]:
    """Convert thumbnails [N,32,32] to vectors [N,D] whose pairwise dot products are the agreements."""
    detail = thumbnails - _local_mean(thumbnails)
    detail = detail[:, _BORDER:-_BORDER, _BORDER:-_BORDER].reshape(len(thumbnails), -1)
    side = thumbnails.shape[1] // 2
    coarse = thumbnails.reshape(-1, side, 2, side, 2).mean((2, 4))
    down = np.diff(coarse, axis=1)[:, :, :-1]
    across = np.diff(coarse, axis=2)[:, :-1]
    gradients = np.stack([down, across], axis=1).reshape(len(thumbnails), -1)
    parts = [_unit(detail, centred=True), _unit(gradients, centred=False)]
    return np.asarray(np.concatenate(parts, axis=1) * np.sqrt(0.5), np.float32)


def cell_agreement(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Correlate the detail of two thumbnails [32,32] in cells of 4×4 px, and return the median."""
    pictures = np.stack([first, second])
    detail = (pictures - _local_mean(pictures))[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    count = detail.shape[1] // _CELL
    cells = detail.reshape(2, count, _CELL, count, _CELL).transpose(0, 1, 3, 2, 4).reshape(2, count**2, -1)
    cells = cells - cells.mean(axis=-1, keepdims=True)
    cells = cells / np.maximum(np.linalg.norm(cells, axis=-1, keepdims=True), 1e-3)
    return float(np.median((cells[0] * cells[1]).sum(axis=-1)))


def _unit(values: NDArray[np.float32], *, centred: bool) -> NDArray[np.float32]:
    rooted = np.sign(values) * np.sqrt(np.abs(values))
    if centred:
        rooted = rooted - rooted.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rooted, axis=1, keepdims=True)
    return np.asarray(rooted / np.maximum(length, 1e-6), np.float32)


def _local_mean(pictures: Thumbnails) -> NDArray[np.float32]:
    """Return the mean of the 5×5 neighbourhood of each pixel. Edge pixels are repeated."""
    side = 2 * _RADIUS + 1
    padded = np.pad(pictures, ((0, 0), (_RADIUS, _RADIUS), (_RADIUS, _RADIUS)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    return np.asarray(windows.mean((-2, -1)), np.float32)
