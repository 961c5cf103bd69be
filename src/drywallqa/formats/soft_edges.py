"""Find the main values of mask files whose other values are soft edges or artefacts of lossy compression."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, pairwise, permutations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.formats.pixel_values import NEAR, Pixels, Value, distance, map_values

CLEAR_SHARE = 0.995
"""Minimum fraction of pixels near one of two values in a file whose other pixels are soft edges."""
CLASS_NUMBERS = 32
"""Largest grey value that can be the number of a class."""

_APART = 3 * NEAR  # minimum difference of two values with soft edges between them
_CRISP = 4  # a file with at most this number of values was not blurred
_SPOT = 25  # px; a value between the levels with more pixels, and more than all others, is a class
_AREA = 5  # px; an even square of this side is an area of a class, not an edge
_REACH = 7  # px; the square around a pixel of an edge has pixels of both sides of the edge


def check_lossy(counts: Mapping[Value, int], table: Collection[Value] | None) -> None:
    """Check that lossy compression cannot have changed the value of one class into that of another.

    Args:
        counts: Value → number of pixels.
        table: The values in a class table, or None if there is none.

    Raises:
        ValueError: The values of two classes, or of a class and the background, are too similar.
    """
    values = {0, *table} if table else {0, max(distance(value, 0) for value in counts)}
    if any(distance(one, other) <= 2 * NEAR for one, other in combinations(values, 2)):
        raise ValueError(
            "its lossy compression can change values as similar as these into each other; save the original "
            "mask as PNG"
        )


def main_values(
    pixels: Pixels, counts: Mapping[Value, int], known: Collection[Value], lossy: bool
) -> tuple[Value, ...]:
    """Return the values to which all others are rounded. Return () if no value may be rounded.

    Args:
        pixels: The pixels of a mask file.
        counts: Value → number of pixels.
        known: Values for which the user gave a meaning.
        lossy: Whether the file's compression changes values.
    """
    candidates = [tuple(dict.fromkeys((0, *known)))] if known else []
    for levels in (*candidates, _two_levels(counts)):
        unit = 257 if max((value for value in counts if isinstance(value, int)), default=0) > 255 else 1
        pairs = ((one, two) for one in levels for two in levels if one != two)
        if len(levels) < 2 or any(distance(one, two) <= _APART * unit for one, two in pairs):
            continue
        if any(value in counts and value not in levels for value in known):
            continue
        given = levels in candidates
        if given and _has_only_edges(pixels, counts, levels):
            return levels
        if not lossy and not _looks_blurred(counts, levels, unit):
            continue
        clear = sum(n for value, n in counts.items() if _off(value, levels) <= NEAR * unit)
        if given and _is_gradual(counts, levels, _APART * unit, lossy):
            return levels
        if clear >= CLEAR_SHARE * sum(counts.values()):
            return levels if given or not _has_area_between(pixels, counts, levels) else ()
    return ()


def _has_only_edges(pixels: Pixels, counts: Mapping[Value, int], levels: Sequence[Value]) -> bool:
    """Check whether almost all pixels have the value of a level or lie on an edge between two levels."""
    if not isinstance(pixels, Image.Image):
        return False
    clear = map_values(pixels, {value: levels.index(value) + 1 if value in levels else 0 for value in counts})
    found = clear > 0
    for (first, one), (second, other) in combinations(enumerate(levels, 1), 2):
        mixed = map_values(pixels, {value: int(_lies_between(value, one, other)) for value in counts})
        found |= (mixed > 0) & _spread(clear == first) & _spread(clear == second)
    return bool(found.mean() >= CLEAR_SHARE)


def nearest_level(value: Value, levels: Sequence[Value]) -> int:
    """Return the position of the level that is nearest to a value."""
    return min(range(len(levels)), key=lambda place: distance(value, levels[place]))


def edges_between(nearest: NDArray[np.uint8], levels: Sequence[Value]) -> NDArray[np.bool_]:
    """Mark pixels [H,W] that may be the edge between two levels, although their values are near a third one.

    Args:
        nearest: Position of each pixel's nearest level [H,W].
        levels: The values to which all others are rounded.
    """
    found = np.zeros(nearest.shape, np.bool_)
    for middle, low, high in permutations(range(len(levels)), 3):
        if low < high and _lies_between(levels[middle], levels[low], levels[high]):
            areas = [_spread(nearest == place) for place in (low, high)]
            own = Image.fromarray(nearest == middle).convert("L")
            wide = own.filter(ImageFilter.MinFilter(_AREA)).filter(ImageFilter.MaxFilter(_AREA))
            found |= (nearest == middle) & (np.asarray(wide) == 0) & areas[0] & areas[1]
    return found


def _spread(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(_REACH))) > 0


def _lies_between(value: Value, one: Value, other: Value) -> bool:
    start, end, point = (np.broadcast_to(each, 3).astype(np.float64) for each in (one, other, value))
    share = (point - start) @ (end - start) / ((end - start) @ (end - start))
    return bool(0 < share < 1 and np.abs(start + share * (end - start) - point).max() <= NEAR)


def _has_area_between(pixels: Pixels, counts: Mapping[Value, int], levels: Sequence[Value]) -> bool:
    """Check whether an even area differs from all levels. It is a class, as edges are thin or uneven."""
    off = {value: int(_off(value, levels) > NEAR) for value in counts}
    if not isinstance(pixels, Image.Image) or not any(off.values()):
        return False  # with more than 8 bits, only `_looks_blurred` decides
    lowest, highest = (
        np.asarray(pixels.filter(find(_AREA))).reshape(pixels.height, pixels.width, -1)
        for find in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    even = (highest - lowest).max(axis=-1) <= 2 * NEAR
    return bool((even & (map_values(pixels, off) > 0)).any())


def _is_gradual(counts: Mapping[Value, int], levels: Sequence[Value], step: int, lossy: bool) -> bool:
    """Check whether adjacent greys differ by less than `step`, or colours are mixtures of two levels."""
    greys = sorted(value for value in counts if isinstance(value, int))
    if len(greys) == len(counts):
        return max((high - low for low, high in pairwise(greys)), default=0) < step
    colours = np.array([np.broadcast_to(value, 3) for value in counts], np.float64)
    off = np.full(len(colours), np.inf)
    for one, two in combinations(levels, 2):
        start = np.broadcast_to(one, 3)
        way = np.subtract(np.broadcast_to(two, 3), start)
        share = np.clip((colours - start) @ way / (way @ way), 0, 1)
        off = np.minimum(off, np.abs(colours - start - share[:, None] * way).max(axis=1))
    mixed = sum(count for count, near in zip(counts.values(), off <= NEAR, strict=True) if near)
    return mixed >= (CLEAR_SHARE if lossy else 1) * sum(counts.values())


def _off(value: Value, levels: Sequence[Value]) -> int:
    return min(distance(value, level) for level in levels)


def _two_levels(counts: Mapping[Value, int]) -> tuple[Value, ...]:
    """Return the darkest and lightest grey, or the two most frequent colours. Values near black become 0."""
    greys = [value for value in counts if isinstance(value, int)]
    if len(greys) == len(counts):
        unit = 257 if max(greys) > 255 else 1
        lowest: Value = 0 if min(greys) <= NEAR * unit else min(greys)
        return tuple(dict.fromkeys((lowest, max(greys))))
    often = sorted(counts, key=lambda value: -counts[value])
    second = next((value for value in often if distance(value, often[0]) > _APART), often[0])
    pair = dict.fromkeys((often[0], second))
    return tuple(0 if distance(value, 0) <= NEAR else value for value in pair)


def _looks_blurred(counts: Mapping[Value, int], levels: Sequence[Value], unit: int) -> bool:
    """Check whether values other than the levels are caused by soft edges, and not by further classes."""
    others = {value: n for value, n in counts.items() if value not in levels}
    low = [value for value in others if distance(value, 0) <= NEAR * unit]
    if len(counts) <= _CRISP and (low or any(_off(value, levels) > NEAR * unit for value in others)):
        return False
    if all(isinstance(value, int) and value <= CLASS_NUMBERS * unit for value in others):
        return not others  # small numbers beside large values are classes, not edges
    between = {value: n for value, n in others.items() if _off(value, levels) > NEAR * unit}
    most = max(between.values(), default=0)
    return most <= _SPOT or 2 * most <= sum(between.values())
