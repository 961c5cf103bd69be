"""A perceptual hash of a photo, comparable under all eight turnings and mirrorings.

The hash holds the signs of the 8×8 lowest frequencies (cosine transform, type II) of a 32×32 grey thumbnail,
after Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), with zero in place
of the median. Zero makes turning exact: mirroring a picture negates every odd frequency and transposing it
transposes the frequencies, so the hashes of all orientations follow from one stored hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Value = TypeVar("Value", bound=np.generic)

THUMBNAIL_SIDE = 32
"""Side of the thumbnail in px that a hash is made of."""

SAME_PHOTO_BITS = 11
"""Two hashes at most this many bits apart (of 63) may show the same photograph; verify where it matters."""

ORIENTATIONS: tuple[tuple[int, bool], ...] = tuple(
    (turns, flip) for turns in range(4) for flip in (False, True)
)
"""Quarter turns counter-clockwise, then whether mirrored left to right. The first leaves a photo as it is."""

_SIDE = 8
_POPULATION = np.array([bin(value).count("1") for value in range(256)], np.uint8)


def _cosines() -> NDArray[np.float32]:
    frequency = np.arange(_SIDE)[:, None]
    position = np.arange(THUMBNAIL_SIDE)[None] + 0.5
    return np.cos(np.pi * frequency * position / THUMBNAIL_SIDE).astype(np.float32)


_COSINES = _cosines()


def thumbnail(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average a photo [H,W,3] uint8 into a grey thumbnail [32,32] (0–255), whatever its aspect."""
    grey = Image.fromarray(photo).convert("L")
    small = grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def perceptual_hash(photo: NDArray[np.uint8]) -> int:
    """Hash a photo [H,W,3] uint8 to an integer below 2**64; alike photos have hashes few bits apart."""
    return hash_thumbnail(thumbnail(photo))


def frequencies(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 8×8 lowest frequencies of a thumbnail, whose signs make its hash."""
    return np.asarray(_COSINES @ grey @ _COSINES.T, np.float32)


def hash_signs(value: int) -> NDArray[np.bool_]:
    """Return the signs [8,8] that a hash holds; that of the mean brightness is always False."""
    return _unpack(value)


def hash_thumbnail(grey: NDArray[np.float32]) -> int:
    """Hash what `thumbnail` returned."""
    bits = frequencies(grey) > 0
    bits[0, 0] = False  # the mean brightness says nothing about the photo
    return _pack(bits)


def orient(picture: NDArray[Value], turns: int, flip: bool) -> NDArray[Value]:
    """Turn a picture [H,W,...] by quarter turns counter-clockwise, then mirror it left to right if asked."""
    turned = np.rot90(picture, turns)
    return turned[:, ::-1] if flip else turned


def orientations(value: int) -> tuple[int, ...]:
    """Return the hashes that the photo would have in each of `ORIENTATIONS`, in that order."""
    bits = _unpack(value)
    hashes = []
    for turns, flip in ORIENTATIONS:
        turned = bits
        for _ in range(turns):  # a quarter turn is a transposition, then upside down
            turned = _negate_odd(turned.T, rows=True)
        hashes.append(_pack(_negate_odd(turned, rows=False) if flip else turned))
    return tuple(hashes)


def hash_distance(first: int, second: int) -> int:
    """Count the bits in which two hashes differ (0–63)."""
    return (first ^ second).bit_count()


def closest_hash_distance(first: int, second: int) -> int:
    """Count the bits in which two hashes differ in the orientation that brings them closest."""
    return min(hash_distance(first, turned) for turned in orientations(second))


def closest_hash_distances(hashes: Sequence[int], others: Sequence[int]) -> NDArray[np.uint8]:
    """Compare N hashes with M others over all orientations of the others: bits apart, [N,M]."""
    left = np.array(hashes, np.uint64)[:, None]
    turned = np.array([orientations(value) for value in others], np.uint64).reshape(
        len(others), len(ORIENTATIONS)
    )
    best = np.full((len(hashes), len(others)), 64, np.uint8)
    for column in range(len(ORIENTATIONS)):
        np.minimum(best, _count_bits(left ^ turned[None, :, column]), out=best)
    return best


def _count_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.asarray(np.bitwise_count(values), np.uint8)
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(*values.shape, 8)
    return np.asarray(_POPULATION[octets].sum(axis=-1), np.uint8)


def _negate_odd(bits: NDArray[np.bool_], *, rows: bool) -> NDArray[np.bool_]:
    changed = bits.copy()
    if rows:
        changed[1::2] ^= True
    else:
        changed[:, 1::2] ^= True
    return changed


def _pack(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _unpack(value: int) -> NDArray[np.bool_]:
    octets = np.frombuffer(value.to_bytes(8, "big"), np.uint8)
    return np.unpackbits(octets).reshape(_SIDE, _SIDE).astype(np.bool_)
