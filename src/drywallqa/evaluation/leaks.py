"""Find photos that a model was trained on, even if they have been recompressed or resized.

For each training photo, a bundle stores the signs of the photo's 63 lowest frequencies. Different photos of
plain boards in front of a dark backdrop share most of these signs, so counting the differing bits would
report false leaks. Saving a photo again flips only the signs of very weak frequencies. Two photos therefore
count as the same only if every differing sign belongs to a weak frequency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.morphology import group_links

WEAK = 75.0
"""Largest frequency (a cosine sum of grey levels 0–255) whose sign may change when a photo is saved again.

When the training photos of two public sets were saved as JPEG 60 at 0.35 to 1.3 times their size, all
changed frequencies stayed below this value. With a limit of 130 or more, different plain boards on a dark
backdrop would match.
"""

# A hash with fewer positive or negative signs belongs to a blank or evenly shaded photo and is not compared.
LEAST_SIGNS = 6

Thumbnail = NDArray[np.float32]


def find_training_leaks(photos: Mapping[str, Thumbnail], training_hashes: Sequence[int]) -> dict[str, int]:
    """Find photos that are re-encoded, resized, rotated or mirrored copies of training photos.

    Args:
        photos: Photo → grey thumbnail [32,32] from `perceptual_hash.thumbnail`.
        training_hashes: Perceptual hashes of the training photos.

    Returns:
        Copied photo → number of hash bits that differ between it and the nearest training photo.
    """
    found: dict[str, int] = {}
    for name, _, bits in _matches(photos, training_hashes):
        found[name] = min(bits, found.get(name, bits))
    return found


def _matches(photos: Mapping[str, Thumbnail], hashes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return (photo, index of a hash, number of differing bits) for all matches."""
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
    """For each hash, count the differing bits in the best orientation. Return 64 if the photos differ."""
    others = np.array([perceptual_hash.hash_signs(value) for value in hashes]).reshape(len(hashes), -1)
    best = np.full(len(hashes), 64, np.int64)
    for turns, flip in perceptual_hash.ORIENTATIONS:
        frequencies = perceptual_hash.frequencies(perceptual_hash.orient(thumbnail, turns, flip)).ravel()
        flips = others != (frequencies > 0)[None]
        flips[:, 0] = False  # the first frequency is the mean brightness
        count = flips.sum(axis=1)
        same = ((flips * np.abs(frequencies)).max(axis=1) <= WEAK) & (
            count <= perceptual_hash.SAME_PHOTO_BITS
        )
        best = np.minimum(best, np.where(same, count, 64))
    return best


def photograph_clusters(photos: Mapping[str, Thumbnail], photographs: Mapping[str, str]) -> dict[str, int]:
    """Group photos by source photo, using names and perceptual hashes. Return photo → number of its group.

    Args:
        photos: Photo → grey thumbnail [32,32]. Unreadable photos are missing.
        photographs: Photo → name of its source photo, according to the file name.
    """
    order = {name: number for number, name in enumerate(photographs)}
    first: dict[str, str] = {}
    links = [(order[name], order[first.setdefault(group, name)]) for name, group in photographs.items()]
    names = list(photos)
    hashes = [perceptual_hash.hash_thumbnail(photos[name]) for name in names]
    links += [(order[name], order[names[place]]) for name, place, _ in _matches(photos, hashes)]
    numbers = np.unique(group_links(len(order), links), return_inverse=True)[1]
    return dict(zip(order, numbers.tolist(), strict=True))
