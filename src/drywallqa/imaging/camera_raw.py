"""Camera raw files, told by their content: most are TIFF files whose first picture is a thumbnail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import IO, Any

from drywallqa.errors import PhotoError

# Tags and values of TIFF 6.0, TIFF/EP and the DNG specification.
_SUBFILE_TYPE, _WIDTH, _HEIGHT, _COLOURS, _MAKE, _SUB_PICTURES = 254, 256, 257, 262, 271, 330
_DNG_VERSION, _CR2_SLICES = 50706, 50752
_REDUCED = 1
_SENSOR = frozenset((32803, 34892))  # a colour filter array, and what was made of one without developing it
_MOST = 100  # pictures of one file that are looked at

_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_HEADS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")  # of other raw files


def page_of_photo(stream: IO[bytes], name: str) -> int:
    """Return which page of a TIFF file holds the photo: the first, unless that is a reduced copy of another.

    Args:
        stream: The file, of whatever kind; left anywhere.
        name: What errors call it; its suffix counts only beside the camera's name inside.

    Raises:
        PhotoError: It is a camera raw, or its photo lies where it cannot be read.
    """
    stream.seek(0)
    if _is_raw_head(stream.read(16)):
        raise _refusal(name)
    pages = list(_directories(stream))
    if not pages:
        return 0
    first = pages[0]
    inner = [sub for page in pages for sub in _inner(stream, page)]
    if any(
        _DNG_VERSION in one or _CR2_SLICES in one or one.get(_COLOURS) in _SENSOR for one in [*pages, *inner]
    ):
        raise _refusal(name)
    if first.get(_MAKE) and PurePath(name).suffix.lower() in _SUFFIXES:
        raise _refusal(name)
    if not first.get(_SUBFILE_TYPE, 0) & _REDUCED:
        return 0
    largest = max(range(len(pages)), key=lambda number: _area(pages[number]))
    if any(_area(one) > _area(pages[largest]) for one in inner):
        if first.get(_MAKE):
            raise _refusal(name)
        problem = "its first picture is a reduced copy, and the photo itself cannot be read"
        raise PhotoError(name, problem, "save it as JPEG")
    return largest


def _is_raw_head(head: bytes) -> bool:
    """Tell from its first bytes whether a file is a camera raw that is no TIFF file, or a Canon one."""
    canon = head[:2] in (b"II", b"MM") and head[8:10] == b"CR"
    return canon or head.startswith(_HEADS) or head[4:12] == b"ftypcrx "


def _refusal(name: str) -> PhotoError:
    return PhotoError(
        name,
        "this is a camera raw, of which only its small preview could be read",
        "develop it to JPEG or TIFF first",
    )


def _area(directory: Any) -> int:
    return int(directory.get(_WIDTH, 0)) * int(directory.get(_HEIGHT, 0))


def _directories(stream: IO[bytes]) -> Iterator[Any]:
    """Yield the tags of each page; a damaged file yields what could be read of it."""
    stream.seek(0)
    head = stream.read(16)
    at: int | None = None
    for _ in range(_MOST):
        directory = _directory(stream, head, at)
        if directory is None:
            return
        yield directory
        at = directory.next
        if not at:
            return


def _inner(stream: IO[bytes], page: Any) -> Iterator[Any]:
    """Yield the tags of the pictures inside a page."""
    stream.seek(0)
    head = stream.read(16)
    places = page.get(_SUB_PICTURES, ())
    for at in (places if isinstance(places, tuple) else (places,))[:_MOST]:
        if isinstance(at, int) and (directory := _directory(stream, head, at)) is not None:
            yield directory


def _directory(stream: IO[bytes], head: bytes, at: int | None) -> Any | None:
    """Read the tags at an offset; those of the first page where it is None."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        big = head[2:3] == b"\x2b" or head[3:4] == b"\x2b"
        directory = ImageFileDirectory_v2(head if big else head[:8])
        stream.seek(directory.next if at is None else at)
        directory.load(stream)
        len([directory.get(tag) for tag in (_SUBFILE_TYPE, _WIDTH, _HEIGHT, _COLOURS, _MAKE, _SUB_PICTURES)])
    except Exception:  # damaged in nearly any way: reading the picture will say how
        return None
    return directory
