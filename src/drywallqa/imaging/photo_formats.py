"""The format of a photo file, read from its content: which one, which page; camera raws are refused.

Most camera raws are TIFF files whose first picture is a thumbnail.
"""

from __future__ import annotations

import importlib
import struct
import threading
import warnings
from pathlib import PurePath
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from drywallqa.errors import PhotoError

# Imported one by one: left to itself, Pillow imports every plug-in that it has.
FORMATS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
}
_HEADS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))

# Tags and values of TIFF 6.0, TIFF/EP and the DNG specification.
_SUBFILE_TYPE, _WIDTH, _HEIGHT, _COLOURS, _MAKE, _SUB_PICTURES = _TAGS = (254, 256, 257, 262, 271, 330)
_DNG_VERSION, _CR2_SLICES = 50706, 50752
_REDUCED = 1
_SENSOR = frozenset((32803, 34892))  # a colour filter array, and its values in linear form
_MOST_PICTURES = 100  # of one file

_RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_RAW_HEADS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")

_warnings_lock = threading.Lock()


def format_of_head(head: bytes) -> str | None:
    """Return the format of a photo from its first bytes, since names may be wrong."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return next((kind for start, kind in _HEADS.items() if head.startswith(start)), None)


def open_as(stream: IO[bytes], kind: str) -> Image.Image:
    """Open a picture of a known format with Pillow's reader, without the warning about large pictures.

    Raises:
        UnidentifiedImageError: It is not of that format.
    """
    importlib.import_module(FORMATS[kind])
    factory, _ = Image.OPEN[kind]
    try:
        return factory(stream, "")
    except (
        SyntaxError,
        IndexError,
        TypeError,
        struct.error,
    ) as error:  # as `Image.open` expects
        raise UnidentifiedImageError("its head is broken") from error


def load_large(image: Image.Image) -> None:
    """Decode a picture without the warning about large pictures, which the TIFF reader gives only here."""
    if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or float("inf")):
        image.load()
        return
    with _warnings_lock, warnings.catch_warnings():  # threads share the filters of warnings
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()


def page_of_photo(stream: IO[bytes], name: str) -> int:
    """Return which page of a TIFF file holds the photo: the first, unless that is a reduced copy of another.

    Args:
        stream: The file, of any format. Its position changes.
        name: The file's name for errors; its suffix counts only if the file also names a camera.

    Raises:
        PhotoError: The file is a camera raw, or its photo cannot be read.
    """
    stream.seek(0)
    head = stream.read(16)
    is_raw = head.startswith(_RAW_HEADS) or head[4:12] == b"ftypcrx "
    is_raw |= head[:2] in (b"II", b"MM") and head[8:10] == b"CR"
    pages, inner = _read_directories(stream, head)
    camera = pages[0].get(_MAKE) if pages else None
    is_raw |= bool(camera) and PurePath(name).suffix.lower() in _RAW_SUFFIXES
    for tags in (*pages, *inner):
        is_raw |= _DNG_VERSION in tags or _CR2_SLICES in tags or tags.get(_COLOURS) in _SENSOR
    largest = 0
    if pages and pages[0].get(_SUBFILE_TYPE, 0) & _REDUCED:
        areas = [_area(tags) for tags in pages]
        largest = areas.index(max(areas))
        if not is_raw and max(map(_area, inner), default=0) > areas[largest]:
            if not camera:
                problem = "its first picture is a reduced copy, and the photo itself cannot be read"
                raise PhotoError(name, problem, "save it as JPEG")
            is_raw = True
    if is_raw:
        problem = "this is a camera raw, of which only its small preview could be read"
        raise PhotoError(name, problem, "develop it to JPEG or TIFF first")
    return largest


def _area(tags: Any) -> int:
    return int(tags.get(_WIDTH, 0)) * int(tags.get(_HEIGHT, 0))


def _read_directories(stream: IO[bytes], head: bytes) -> tuple[list[Any], list[Any]]:
    """Return the tags of each page and of each picture inside a page, as far as a file can be read."""
    pages, inner = list[Any](), list[Any]()
    tags = _read_directory(stream, head, None)
    while tags is not None:
        pages.append(tags)
        more = tags.next and len(pages) < _MOST_PICTURES
        tags = _read_directory(stream, head, tags.next) if more else None
    for page in pages:
        offsets = page.get(_SUB_PICTURES, ())
        for offset in (offsets if isinstance(offsets, tuple) else (offsets,))[:_MOST_PICTURES]:
            if isinstance(offset, int) and (tags := _read_directory(stream, head, offset)) is not None:
                inner.append(tags)
    return pages, inner


def _read_directory(stream: IO[bytes], head: bytes, offset: int | None) -> Any | None:
    """Read the tags at an offset; None stands for the first page."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        big = b"\x2b" in (head[2:3], head[3:4])
        directory = ImageFileDirectory_v2(head if big else head[:8])
        stream.seek(directory.next if offset is None else offset)
        directory.load(stream)
        for tag in _TAGS:  # values are decoded only now
            directory.get(tag)
    except Exception:  # decoders raise nearly any error on damaged bytes; reading the picture will report it
        return None
    return directory
