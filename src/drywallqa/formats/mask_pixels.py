"""Read the pixels of a mask file as grey values and colours, regardless of how the file stores them.

Palette indices are converted to colours, and alpha is used if it varies. If almost all pixels are close to
one of two values, each pixel is rounded to the nearer value, because the others are soft edges or JPEG
artefacts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.errors import reason_of
from drywallqa.formats.pixel_values import NEAR, Pixels, Value, distance, grey_or_colour, map_values
from drywallqa.formats.soft_edges import check_lossy, edges_between, main_values, nearest_level
from drywallqa.imaging.photos import exif_orientation, open_picture

VIEWS = ("meaning", "colour", "index")
"""Ways to read pixels: as a mask in alpha or in the colours, only as colours, or as palette indices."""

UNCLEAR: Value = -1
"""Stands for pixels on an edge between two classes whose values are near the value of a third class."""

_FULL = 255
_MOST_COLOURS = 1 << 16
_LOSSY = frozenset({"JPEG", "MPO"})
_LOSSY_TIFF = frozenset({"jpeg", "tiff_jpeg", "webp"})


@dataclass(frozen=True)
class MaskFile:
    """The values in a mask file, and how often they occur.

    Attributes:
        path: Path of the file.
        size: Height and width in px.
        counts: Value → number of pixels. `UNCLEAR` may be among the values.
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
        lossy = _is_lossy(image, path)
        view = _view(image, table)
        deep = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
        if exif_orientation(image) != 1:
            raise ValueError(
                "it has an EXIF rotation, which may not apply to its photo; save it without EXIF"
            )
        pixels = _simplified(image, view)
        size = image.height, image.width
    counts = _count(pixels)
    if deep and not isinstance(pixels, np.ndarray) and max(distance(value, 0) for value in counts) < _FULL:
        raise ValueError("of its 16-bit colours, only the upper 8 bits can be read")
    if lossy:
        check_lossy(counts, table)
    levels = main_values(pixels, counts, known, lossy) if table is None else ()
    nearest = {value: levels[nearest_level(value, levels)] for value in counts} if levels else {}
    rounded = sum(counts[value] for value, level in nearest.items() if level != value)
    if not rounded:
        return MaskFile(path, size, counts, view=view)
    found = np.bincount(_nearest_levels(pixels, counts, levels).ravel(), minlength=len(levels) + 1).tolist()
    united = {value: count for value, count in zip((*levels, UNCLEAR), found, strict=True) if count}
    return MaskFile(path, size, united, levels, rounded, view)


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
    counts = _count(pixels)
    if not levels:
        return map_values(pixels, {value: int(value in values) for value in counts}).astype(np.bool_)
    wanted = [value in values for value in (*levels, UNCLEAR)]
    return np.array(wanted)[_nearest_levels(pixels, counts, levels)]


def _nearest_levels(
    pixels: Pixels, counts: Mapping[Value, int], levels: Sequence[Value]
) -> NDArray[np.uint8]:
    """Return the position of each pixel's level [H,W]. The position behind the last level means `UNCLEAR`."""
    nearest = map_values(pixels, {value: nearest_level(value, levels) for value in counts})
    return np.where(edges_between(nearest, levels), np.uint8(len(levels)), nearest)


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


def _is_lossy(image: Image.Image, path: Path) -> bool:
    """Check whether the compression of an image changes its values."""
    if image.format == "WEBP":
        return _has_lossy_part(path.read_bytes())
    return image.format in _LOSSY or image.info.get("compression") in _LOSSY_TIFF


def _has_lossy_part(content: bytes) -> bool:
    """Check whether a WebP file has a chunk "VP8 ". Each chunk has a name, a length and an even size."""
    start = 12
    while start + 8 <= len(content) and content[start : start + 4] != b"VP8 ":
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        start += 8 + length + length % 2
    return start + 8 <= len(content)


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


def _simplified(image: Image.Image, view: str) -> Pixels:
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


def _count(pixels: Pixels) -> dict[Value, int]:
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
