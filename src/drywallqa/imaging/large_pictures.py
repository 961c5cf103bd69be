"""Pillow without its warnings of large pictures: they are legitimate here, up to a limit of our own."""

from __future__ import annotations

import importlib
import struct
import threading
import warnings
from typing import IO

from PIL import Image, UnidentifiedImageError

# Imported one by one: left to itself, Pillow imports every plug-in that it has.
FORMATS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
}
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
_quiet = threading.Lock()


def open_as(stream: IO[bytes], kind: str) -> Image.Image:
    """Open a picture of a known format with Pillow's reader of that format.

    `Image.open` would do so, and warn of large ones.

    Raises:
        UnidentifiedImageError: It is not of that format.
    """
    importlib.import_module(FORMATS[kind])
    factory, _ = Image.OPEN[kind]
    try:
        return factory(stream, "")
    except (SyntaxError, IndexError, TypeError, struct.error) as error:  # as `Image.open` takes them
        raise UnidentifiedImageError("its head is broken") from error


def load_large(image: Image.Image) -> None:
    """Decode a picture without Pillow's warning of large ones, which its reader of TIFF gives only here."""
    if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or float("inf")):
        image.load()
        return
    with _quiet, warnings.catch_warnings():  # one at a time: threads share the filters of warnings
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()


def format_of_head(head: bytes) -> str | None:
    """Tell a photo's format from its first bytes, since names lie."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM":
        return "BMP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return None
