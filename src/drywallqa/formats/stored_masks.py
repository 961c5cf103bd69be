"""Read masks that are stored inside an annotation file, as run lengths or as a small picture."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.formats import problems
from drywallqa.formats.geometry import GeometryError, Runs
from drywallqa.formats.rle import encode_runs
from drywallqa.imaging.photos import MAX_PIXELS

Mask = NDArray[np.bool_]


def runs_of(decode: Callable[[int, int], Mask], size: tuple[int, int] | None) -> Runs:
    """Decode a mask of a declared size and convert it to COCO run lengths, which need little memory.

    Args:
        decode: Returns the mask [H,W] for a height and width in px.
        size: The declared height and width in px, or None.

    Raises:
        GeometryError: The size is missing, or the mask is damaged.
    """
    if size is None:
        raise GeometryError(problems.MALFORMED, "a mask needs the photo's width and height; dropped")
    if size[0] * size[1] > MAX_PIXELS:
        text = f"the declared size {size[1]}×{size[0]} px is larger than any photo; dropped"
        raise GeometryError(problems.SIZE, text)
    try:
        return Runs(tuple(encode_runs(decode(*size))), *size)
    except GeometryError:
        raise
    except (ValueError, OverflowError, MemoryError) as error:
        raise GeometryError(problems.MALFORMED, f"{error}; dropped") from error


def decode_picture(text: object, *, compressed: bool = False) -> Mask:
    """Decode a base64 picture to a mask [H,W].

    Marked pixels have a nonzero alpha value or, if the picture has no alpha channel, a nonzero grey value.

    Args:
        text: The picture file, encoded as base64.
        compressed: Whether the file is also compressed with zlib.

    Raises:
        GeometryError: The text is not a picture.
    """
    try:
        content = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        if compressed:
            content = zlib.decompressobj().decompress(content, MAX_PIXELS)
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError("it is larger than any photo")
            shown = picture.getchannel("A") if picture.mode in {"RGBA", "LA"} else picture.convert("L")
            return np.asarray(shown) > 0
    except (OSError, ValueError, SyntaxError, zlib.error, Image.DecompressionBombError) as error:
        text = f"the mask is not a picture in base64 ({error}); dropped"
        raise GeometryError(problems.UNREADABLE, text) from error


def paste_mask(part: Mask, left: int, top: int, height: int, width: int) -> Mask:
    """Place a mask [h,w] into an empty mask [height,width].

    Raises:
        ValueError: The mask extends outside the photo.
    """
    rows, columns = part.shape
    if min(left, top) < 0 or left + columns > width or top + rows > height:
        box = f"{columns}×{rows} px at column {left} and row {top}"
        raise ValueError(f"the mask of {box} leaves the {width}×{height} px photo")
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + rows, left : left + columns] = part
    return mask
