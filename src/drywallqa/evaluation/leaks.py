"""Photos that a model was trained on, found among those that it is measured on, however they were saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drywallqa import hashing
from drywallqa.errors import LeakError


def find_leaks(
    hashes: Mapping[str, int], training_hashes: Sequence[int], most_bits: int = hashing.SAME_PHOTO_BITS
) -> dict[str, int]:
    """Find the photos whose hash lies within `most_bits` of a training photo's, in any orientation.

    Returns:
        Photo → bits between it and the nearest training photo.
    """
    if not hashes or not training_hashes:
        return {}
    nearest = hashing.closest_distances(list(hashes.values()), list(training_hashes)).min(axis=1)
    return {name: int(bits) for name, bits in zip(hashes, nearest, strict=True) if bits <= most_bits}


def refuse(leaks: Mapping[str, int], measured: int, name: str) -> None:
    """Refuse to measure on training photos.

    Raises:
        LeakError: There are any; the message counts and names them.
    """
    if leaks:
        few = ", ".join(sorted(leaks, key=lambda photo: leaks[photo])[:3])
        raise LeakError(
            f"{len(leaks)} of {measured} photos show photographs that {name} was trained on ({few}"
            f"{', …' if len(leaks) > 3 else ''}); measure on other photos, or give --allow-leak, "
            "which every output then says"
        )


def sentence(leaks: Mapping[str, int], measured: int) -> str:
    """Say what a reader must know about figures that were measured all the same."""
    return (
        f"LEAK: {len(leaks)} of {measured} photos show photographs that the model was trained on; "
        "these figures flatter it"
    )


def clusters(hashes: Mapping[str, int], photographs: Mapping[str, str], most_bits: int) -> dict[str, int]:
    """Number the groups of photos that show one photograph, by name or by hash.

    Args:
        hashes: Photo → perceptual hash.
        photographs: Photo → photograph, as the file's name says.
        most_bits: Two hashes at most this far apart, in any orientation, count as one photograph.
    """
    names = list(hashes)
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for name in names:
        parent[root(name)] = root(first.setdefault(photographs[name], name))
    values = list(hashes.values())
    near = hashing.closest_distances(values, values) <= most_bits
    for row, column in np.argwhere(np.triu(near, 1)).tolist():
        parent[root(names[column])] = root(names[row])
    numbers: dict[str, int] = {}
    return {name: numbers.setdefault(root(name), len(numbers)) for name in names}
