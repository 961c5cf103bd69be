"""Read the pixels of a mask file as grey values and colours, regardless of how the file stores them.

Palette indices are converted to colours, and alpha is used if it varies. If almost all pixels are close to
one of two values, each pixel is rounded to the nearer value, because the others are soft edges or JPEG
artefacts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.errors import reason_of
from drywallqa.formats.pixel_values import NEAR, Value, distance, grey_or_colour
from drywallqa.imaging.photos import open_picture

CLEAR_SHARE = 0.995
"""Minimum fraction of pixels near one of two values in a file whose other pixels are soft edges."""
CLASS_NUMBERS = 32
"""Largest grey value that can be the number of a class."""

VIEWS = ("meaning", "colour", "index")
"""Ways to read pixels: as a mask in alpha or in the colours, only as colours, or as palette indices."""

_APART = 3 * NEAR  # minimum difference of two values with soft edges between them
_CRISP = 4  # a file with at most this number of values was not blurred
_SPOT = 25  # px; a value between the levels with more pixels, and more than all others, is a class
_FULL = 255
_MOST_COLOURS = 1 << 16
_WEIGHTS = np.array([1 << 16, 1 << 8, 1], np.uint32)


@dataclass(frozen=True)
class MaskFile:
    """The values in a mask file, and how often they occur.

    Attributes:
        path: Path of the file.
        size: Height and width in px.
        counts: Value → number of pixels.
        levels: The values to which all others were rounded. Empty if no pixel was rounded.
        rounded: Number of pixels that were rounded.
        view: How the pixels were read, one of `VIEWS`.
    """

    path: Path
    size: tuple[int, int]
    counts: Mapping[Value, int]
    levels: tuple[Value, ...] = ()
    rounded: int = 0
    view: str = VIEWS[0]


def survey_mask(
    path: Path, known: Collection[Value] = (), table: Collection[Value] | None = None
) -> MaskFile:
    """Count the pixels of each value in a mask file.

    Args:
        path: The mask file.
        known: Values for which the user gave a meaning. In a file with soft edges of any width, all other
            values are rounded to the nearest of these values and black.
        table: The values in a class table, or None if there is none. With a table, no value is rounded.
            Palette indices are used if the table has only numbers and does not list all colours of the
            palette.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file does not contain a valid mask.
    """
    with _opened(path) as image:
        lossy = image.format in {"JPEG", "MPO"}
        view = _view(image, table)
        deep = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
        pixels = _simplified(image, view)
        size = image.height, image.width
    counts = _count(pixels)
    if deep and not isinstance(pixels, np.ndarray) and max(distance(value, 0) for value in counts) < _FULL:
        raise ValueError("of its 16-bit colours, only the upper 8 bits can be read")
    levels = _levels(counts, known, lossy) if table is None else ()
    nearest = {value: _nearest(value, levels) for value in counts} if levels else {}
    united: Counter[Value] = Counter()
    for value, count in counts.items():
        united[nearest.get(value, value)] += count
    rounded = sum(counts[value] for value, level in nearest.items() if level != value)
    return MaskFile(path, size, dict(united), levels if rounded else (), rounded, view)


def read_marked(
    path: Path, values: Collection[Value], levels: Sequence[Value] = (), view: str = VIEWS[0]
) -> NDArray[np.bool_]:
    """Return a mask [H,W] of the pixels in a mask file that have one of the given values.

    Args:
        path: The mask file.
        values: The values to mark.
        levels: See `MaskFile`.
        view: See `MaskFile`.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file does not contain a valid mask.
    """
    with _opened(path) as image:
        pixels = _simplified(image, view)
    chosen = set(values)
    wanted = [value for value in _count(pixels) if (_nearest(value, levels) if levels else value) in chosen]
    if isinstance(pixels, np.ndarray):
        return np.asarray(np.isin(pixels, [value for value in wanted if isinstance(value, int)]))
    array = np.asarray(pixels)
    if pixels.mode == "L":
        grey = np.zeros(256, np.bool_)
        grey[[value for value in wanted if isinstance(value, int)]] = True
        return np.asarray(grey[array])
    codes = array[..., 0] * _WEIGHTS[0] + array[..., 1] * _WEIGHTS[1] + array[..., 2]
    table = np.zeros(1 << 24, np.bool_)
    table[[int(np.dot(np.broadcast_to(value, 3), _WEIGHTS)) for value in wanted]] = True
    return np.asarray(table[codes])


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with open_picture(path) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise ValueError("it has several pages")
            yield image
    except (OSError, ValueError):
        raise
    except Exception as error:  # decoders raise nearly any exception on damaged bytes
        raise OSError(reason_of(error)) from error


def _nearest(value: Value, levels: Sequence[Value]) -> Value:
    return min(levels, key=lambda level: distance(value, level))


def _view(image: Image.Image, table: Collection[Value] | None) -> str:
    plain, colour, index = VIEWS
    if image.mode != "P":
        return plain if table is None else colour
    colours = {_colour_at(image, index) for index, count in enumerate(image.histogram()) if count}
    if table is None:
        return (
            index if len(colours) == 1 else plain
        )  # the colours of a palette that was never filled have no meaning
    numbered = all(isinstance(value, int) for value in table)
    return index if numbered and not colours <= {0, *table} else colour


def _colour_at(image: Image.Image, index: int) -> Value:
    palette = image.getpalette() or []
    return grey_or_colour(palette[3 * index : 3 * index + 3] or (index,) * 3)


def _simplified(image: Image.Image, view: str) -> Image.Image | NDArray[np.int64]:
    """Convert an image to mode L or RGB, or to an array [H,W] of grey values with more than 8 bits."""
    if image.mode == "P" and view == VIEWS[2]:
        return Image.frombytes("L", image.size, image.tobytes())
    if image.mode == "F" or image.mode.startswith("I"):
        return _deep_values(np.asarray(image))
    if image.has_transparency_data:
        return _without_alpha(image.convert("RGBA"), view)
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def _deep_values(array: NDArray[np.generic]) -> NDArray[np.int64]:
    if np.issubdtype(array.dtype, np.unsignedinteger):
        return array.astype(np.int64)
    values = array.astype(np.float64)
    if not np.isfinite(values).all() or values.min(initial=0) < 0:
        raise ValueError("it has values that are negative or not finite")
    if (values != np.rint(values)).any():
        if values.max(initial=0) > 1:
            raise ValueError("its values are neither whole numbers nor shares from 0 to 1")
        values = values * 255
    return np.rint(values).astype(np.int64)


def _without_alpha(image: Image.Image, view: str) -> Image.Image:
    """Return either the alpha channel or the colours of an RGBA image, whichever is the mask.

    Alpha is the mask if it varies and all visible pixels have about the same colour. In other images with
    varying alpha, transparent pixels become black.
    """
    alpha = image.getchannel("A")
    colours = image.convert("RGB")
    lowest, highest = alpha.getextrema()
    if lowest == highest:
        plain = np.ptp(np.asarray(colours), axis=(0, 1)).max() == 0
        return alpha if highest == 0 and plain else colours  # all transparent: an empty mask
    visible = np.asarray(colours)[np.asarray(alpha) > NEAR]
    if view == VIEWS[0] and (not len(visible) or np.ptp(visible, axis=0).max() <= 2 * NEAR):
        return alpha
    half = int(np.asarray(alpha).max()) // 2
    black = Image.new("RGB", image.size)
    return Image.composite(colours, black, alpha.point(lambda level: 255 if level > half else 0))


def _count(pixels: Image.Image | NDArray[np.int64]) -> dict[Value, int]:
    if isinstance(pixels, np.ndarray):
        if pixels.max(initial=0) >= 1 << 16:
            values, counts = np.unique(pixels, return_counts=True)
            return dict(zip(values.tolist(), counts.tolist(), strict=True))
        return {value: n for value, n in enumerate(np.bincount(pixels.ravel()).tolist()) if n}
    if pixels.mode == "L":
        return {value: count for value, count in enumerate(pixels.histogram()) if count}
    found = pixels.getcolors(_MOST_COLOURS)
    if found is None:
        raise ValueError(f"it has more than {_MOST_COLOURS} colours, so it is a picture and not a mask")
    return {grey_or_colour(colour): count for count, colour in found if isinstance(colour, tuple)}


def _levels(counts: Mapping[Value, int], known: Collection[Value], lossy: bool) -> tuple[Value, ...]:
    """Return the values to which all others are rounded. Return () if no value may be rounded."""
    candidates = [tuple(dict.fromkeys((0, *known)))] if known else []
    for levels in (*candidates, _two_levels(counts)):
        unit = 257 if max((value for value in counts if isinstance(value, int)), default=0) > 255 else 1
        pairs = ((one, two) for one in levels for two in levels if one != two)
        if len(levels) < 2 or any(distance(one, two) <= _APART * unit for one, two in pairs):
            continue
        if any(value in counts and value not in levels for value in known):
            continue
        if not lossy and not _looks_blurred(counts, levels, unit):
            continue
        clear = sum(n for value, n in counts.items() if _off(value, levels) <= NEAR * unit)
        gradual = levels in candidates and _is_gradual(counts, levels, _APART * unit, lossy)
        if gradual or clear >= CLEAR_SHARE * sum(counts.values()):
            return levels
    return ()


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
