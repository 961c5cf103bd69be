"""A perceptual hash of a photo that can be compared under all eight rotations and reflections.

The hash consists of the signs of the 8×8 lowest frequencies (DCT-II) of a 32×32 greyscale thumbnail. It
follows Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), but compares the
frequencies with zero instead of their median. Mirroring an image only negates its odd frequencies, and
transposing it only transposes the frequencies. The exact hashes of all orientations can therefore be computed
from one stored hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Value = TypeVar("Value", bound=np.generic)

# Side length of the hashed thumbnail in px.
THUMBNAIL_SIDE = 32

# Two images may come from the same source photo if their hashes differ in at most this number of the 63 bits.
SAME_PHOTO_BITS = 11

# Number of counter-clockwise quarter turns, and whether to mirror left to right afterwards. The first entry
# is the identity.
ORIENTATIONS: tuple[tuple[int, bool], ...] = tuple(
    (turns, flip) for turns in range(4) for flip in (False, True)
)

_SIDE = 8
_POPULATION = np.array([bin(value).count("1") for value in range(256)], np.uint8)


_COSINES = np.cos(
    np.pi * np.arange(_SIDE)[:, None] * (np.arange(THUMBNAIL_SIDE)[None] + 0.5) / THUMBNAIL_SIDE
).astype(np.float32)


def thumbnail(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average a photo [H,W,3] uint8 into a grey thumbnail [32,32] (0–255), ignoring its aspect ratio."""
    grey = Image.fromarray(photo).convert("L")
    small = grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def perceptual_hash(photo: NDArray[np.uint8]) -> int:
    """Hash a photo [H,W,3] uint8 to an integer below 2**64. Hashes of similar photos differ in few bits."""
    return hash_thumbnail(thumbnail(photo))


def frequencies(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 8×8 lowest frequencies of a thumbnail; their signs form its hash."""
    return np.asarray(_COSINES @ grey @ _COSINES.T, np.float32)


def hash_signs(value: int) -> NDArray[np.bool_]:
    """Unpack a hash into the signs [8,8] of its frequencies; the sign of the mean is always False."""
    octets = np.frombuffer(value.to_bytes(8, "big"), np.uint8)
    return np.unpackbits(octets).reshape(_SIDE, _SIDE).astype(np.bool_)


def hash_thumbnail(grey: NDArray[np.float32]) -> int:
    """Compute the hash of a thumbnail that `thumbnail` returned."""
    signs = frequencies(grey) > 0
    signs[0, 0] = False  # the mean brightness carries no information about the photo
    return _pack(signs)


def orient(picture: NDArray[Value], turns: int, flip: bool) -> NDArray[Value]:
    """Rotate an image [H,W,...] by counter-clockwise quarter turns, then mirror it if `flip` is set."""
    turned = np.rot90(picture, turns)
    return turned[:, ::-1] if flip else turned


def orientations(value: int) -> tuple[int, ...]:
    """Return the hash of the photo in each of the `ORIENTATIONS`, in the same order."""
    odd = np.arange(_SIDE) % 2 == 1
    signs = hash_signs(value)
    hashes = []
    for _ in range(4):
        hashes += [_pack(signs), _pack(signs ^ odd)]  # mirroring negates the odd frequencies
        signs = signs.T ^ odd[:, None]  # a quarter turn is a transposition followed by a vertical flip
    return tuple(hashes)


def closest_hash_distances(hashes: Sequence[int], others: Sequence[int]) -> NDArray[np.uint8]:
    """Return the number of bits [N,M] in which N hashes differ from M others in the closest orientation."""
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


def _pack(signs: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(signs).tobytes(), "big")
