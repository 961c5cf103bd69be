"""Name, write and read mask files.

A mask file is a PNG with one 8-bit channel and the values {0, 255}. It has the size of the photo after
its EXIF orientation is applied.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa import files
from drywallqa.errors import PhotoError, reason_of
from drywallqa.imaging import photos

LONGEST_NAME = 120  # bytes, suffix included

_RUNS = zlib.Z_RLE
_STRIP = 4_000_000  # px; larger masks are encoded in strips of this size, since Pillow copies the whole mask
_SUFFIX = ".png"
_BETWEEN = "__"
_SHORTEST_SLUG = 24  # minimum number of bytes that are kept of a shortened prompt
_NOT_IN_WINDOWS = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\s*(?:\.|$))")
_LIKE_A_DIGEST = re.compile(r"-[0-9a-f]{8}$")


def base_name(image_id: str, prompt: str) -> str:
    """Return the file name, without suffix, for the results of one photo and one prompt.

    The name is valid on every operating system and has at most 116 bytes. Different pairs of photo and prompt
    get different names. On a case-insensitive file system, this is true if the photos' names differ there.

    Example:
        >>> base_name("IMG_1", "segment crack")
        'IMG_1__segment_crack'
    """
    stem = safe_stem(image_id)
    slug = slug_of(prompt)
    room = LONGEST_NAME - len(_SUFFIX) - len(_BETWEEN)
    slug = _shorten(slug, max(_SHORTEST_SLUG, room - len(stem.encode())), prompt)
    return _shorten(stem, room - len(slug), image_id) + _BETWEEN + slug


def safe_stem(image_id: str) -> str:
    """Turn a photo's stem into a valid file name on every operating system.

    A stem that must change ends with `-` and the first 8 hex digits of its SHA-256.
    """
    stem = _NOT_IN_WINDOWS.sub("_", image_id.encode("utf-8", "replace").decode("utf-8"))
    stem = _DEVICES.sub(lambda match: match.group() + "_", stem) or "_"
    return stem if stem == image_id else f"{stem}-{name_digest(image_id)}"


def free_name(start: str, is_free: Callable[[str], bool]) -> str:
    """Return a name if it is free; otherwise the first free one of NAME--2, NAME--3 and so on."""
    numbered = (f"{start}--{number}" for number in count(2))
    return next(name for name in chain([start], numbered) if is_free(name))


def file_name(image_id: str, prompt: str) -> str:
    """Return the name of the mask file of one photo and one prompt: `{image_id}__{prompt}.png`."""
    return base_name(image_id, prompt) + _SUFFIX


def slug_of(prompt: str) -> str:
    """Turn a prompt into a part of a file name: keep `[A-Za-z0-9-]`, turn other characters into `_`.

    A run of other characters becomes one `_`. If the prompt contains capitals, or if anything except single
    spaces is replaced, the result ends with `-` and the first 8 hex digits of the prompt's SHA-256.

    Example:
        >>> slug_of("segment crack"), slug_of("segment joint/tape")
        ('segment_crack', 'segment_joint_tape-5ce757b6')
    """
    slug = re.sub(r"[^A-Za-z0-9-]+", "_", prompt)
    # A space at either end would add a `_` to the `__` between photo and prompt.
    lossless = slug.replace("_", " ") == prompt == prompt.lower().strip() != ""
    return slug if lossless and not _LIKE_A_DIGEST.search(slug) else f"{slug}-{name_digest(prompt)}"


def _shorten(text: str, limit: int, whole: str) -> str:
    """Cut a text to `limit` bytes. A shortened text ends with the digest of `whole`."""
    if len(text.encode()) <= limit:
        return text
    head = text.encode()[: limit - 9].decode("utf-8", "ignore")
    return f"{head}-{name_digest(whole)}"


def name_digest(text: str) -> str:
    """Return the first 8 hex digits of a text's SHA-256, which tell shortened names apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Encode a boolean mask [H,W] as a mask file. The same mask always gives the same bytes.

    Raises:
        ValueError: The mask is not a boolean array with two axes and at least one pixel.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"a mask must be boolean [H,W], not {mask.dtype} {mask.shape}")
    if mask.size > _STRIP:
        return _encode_in_strips(mask)
    # A mask consists of runs of equal pixels, so run-length matching is faster and gives smaller files.
    return encode_grey(mask.view(np.uint8) * np.uint8(255), strategy=_RUNS)


def _encode_in_strips(mask: NDArray[np.bool_]) -> bytes:
    """Build the PNG file without Pillow (W3C, "Portable Network Graphics", 2003), one strip at a time."""
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, _RUNS)
    height, width = mask.shape
    step = max(1, _STRIP // width)
    body = []
    for top in range(0, height, step):
        rows = mask[top : top + step].view(np.uint8)
        lines = np.zeros((len(rows), width + 1), np.uint8)  # each line begins with its filter type, 0: none
        np.multiply(rows, 255, out=lines[:, 1:])
        body.append(packer.compress(lines.data))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey, not interlaced
    chunks = ((b"IHDR", head), (b"IDAT", b"".join(body) + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def encode_grey(values: NDArray[np.uint8], *, strategy: int = -1) -> bytes:
    """Encode uint8 [H,W] as a greyscale PNG with a zlib strategy (-1: Pillow chooses)."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG", compress_level=1, compress_type=strategy)
    return stream.getvalue()


def write_mask_file(path: str | os.PathLike[str], mask: NDArray[np.bool_]) -> None:
    """Write a boolean mask [H,W] as a mask file atomically.

    Raises:
        OutputError: The file cannot be written.
        ValueError: The mask is not boolean [H,W].
    """
    files.write_whole(path, encode_mask(mask))


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a mask file as boolean [H,W]: True where the value is above 127.

    Raises:
        PhotoError: The file is missing, damaged or not an image.
    """
    try:
        with photos.open_picture(path) as image:
            return np.asarray(np.asarray(image.convert("L")) > 127)
    except Exception as error:  # decoders raise nearly any exception on damaged bytes
        problem = f"the mask cannot be read ({reason_of(error)})"
        raise PhotoError(os.fspath(path), problem, "create it again") from error
