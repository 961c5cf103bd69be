"""Find photos that a model was trained on among those that it is measured on, however they were saved.

A bundle holds 63 signs of each training photo's lowest frequencies. Plain boards before a dark backdrop share
most of them, so that the number of differing bits alone would find leaks where there are none. But saving a
photo anew turns only the signs of frequencies that are nearly absent. A photo therefore counts as the same
only where every sign that differs is of a weak frequency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.morphology import group_links

WEAK = 75.0
"""Frequencies up to this (cosine sums of grey levels 0–255) may change sign in a photo saved anew.

Measured on training photos of two public sets, saved as JPEG 60 at 0.35 to 1.3 times their size: all stay
below it. From 130 on, plain boards before a dark backdrop would be taken for each other.
"""

# A hash with fewer signs of either kind comes from a blank or evenly shaded photo, and is not compared.
LEAST_SIGNS = 6

Thumbnail = NDArray[np.float32]


def find_training_leaks(photos: Mapping[str, Thumbnail], training_hashes: Sequence[int]) -> dict[str, int]:
    """Find the photos that show a training photo: re-encoded, resized, turned or mirrored.

    Args:
        photos: Photo → grey thumbnail [32,32] as `perceptual_hash.thumbnail` makes it.
        training_hashes: Of the training photos.

    Returns:
        Photo → bits between it and the nearest training photo.
    """
    found: dict[str, int] = {}
    for name, _, bits in _matches(photos, training_hashes):
        found[name] = min(bits, found.get(name, bits))
    return found


def _matches(photos: Mapping[str, Thumbnail], hashes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return (photo, index of a hash, bits apart) for all that show the same."""
    if not photos or not hashes:
        return []
    names = list(photos)
    own = [perceptual_hash.hash_thumbnail(photos[name]) for name in names]
    near = perceptual_hash.closest_hash_distances(own, hashes) <= perceptual_hash.SAME_PHOTO_BITS
    telling = [LEAST_SIGNS <= value.bit_count() <= 63 - LEAST_SIGNS for value in hashes]
    near &= np.array(telling)[None]
    matches = []
    for row in np.flatnonzero(near.any(axis=1)).tolist():
        places = np.flatnonzero(near[row])
        bits = _bits_where_weak(photos[names[row]], [hashes[place] for place in places.tolist()])
        matches += [(names[row], int(p), int(b)) for p, b in zip(places, bits, strict=True) if b < 64]
    return matches


def _bits_where_weak(thumbnail: Thumbnail, hashes: Sequence[int]) -> NDArray[np.int64]:
    """Bits between a photo and each hash in the best orientation; 64 where the photographs differ."""
    others = np.array([perceptual_hash.hash_signs(value) for value in hashes]).reshape(len(hashes), -1)
    best = np.full(len(hashes), 64, np.int64)
    for turns, flip in perceptual_hash.ORIENTATIONS:
        frequencies = perceptual_hash.frequencies(perceptual_hash.orient(thumbnail, turns, flip)).ravel()
        flips = others != (frequencies > 0)[None]
        flips[:, 0] = False  # the mean brightness
        count = flips.sum(axis=1)
        same = ((flips * np.abs(frequencies)).max(axis=1) <= WEAK) & (
            count <= perceptual_hash.SAME_PHOTO_BITS
        )
        best = np.minimum(best, np.where(same, count, 64))
    return best


def photograph_clusters(photos: Mapping[str, Thumbnail], photographs: Mapping[str, str]) -> dict[str, int]:
    """Number the groups of photos that show one photograph, by its name or by its looks.

    Args:
        photos: Photo → grey thumbnail [32,32]; photos that cannot be read have none.
        photographs: Photo → photograph, as the file's name says.
    """
    order = {name: number for number, name in enumerate(photographs)}
    first: dict[str, str] = {}
    links = [(order[name], order[first.setdefault(group, name)]) for name, group in photographs.items()]
    names = list(photos)
    hashes = [perceptual_hash.hash_thumbnail(photos[name]) for name in names]
    links += [(order[name], order[names[place]]) for name, place, _ in _matches(photos, hashes)]
    numbers = np.unique(group_links(len(order), links), return_inverse=True)[1]
    return dict(zip(order, numbers.tolist(), strict=True))
