"""Detect the format, the page and the bit depth of a photo file from its content.

Most camera raw files are TIFF files whose first image is a thumbnail. Camera raw files are rejected.
"""

from __future__ import annotations

import importlib
import struct
import threading
import warnings
from pathlib import PurePath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from drywallqa.errors import PhotoError

# Each plug-in is imported when it is needed. Otherwise, Pillow would import all its plug-ins.
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
_SENSOR = frozenset((32803, 34892))  # colour filter array, and linear raw
_MOST_PICTURES = 100  # pages read per file

_RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_RAW_HEADS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")

_warnings_lock = threading.Lock()


def format_of_head(head: bytes) -> str | None:
    """Detect the format of a photo from its first bytes, because file names can have a wrong suffix."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return next((kind for start, kind in _HEADS.items() if head.startswith(start)), None)


def open_as(stream: IO[bytes], kind: str) -> Image.Image:
    """Open an image of a known format with Pillow's reader, without the warning about large images.

    Raises:
        UnidentifiedImageError: The file does not have that format.
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
    ) as error:  # the exceptions that `Image.open` expects
        raise UnidentifiedImageError("its header is damaged") from error


def load_large(image: Image.Image) -> None:
    """Decode an image without the warning about large images, which the TIFF reader emits while decoding."""
    if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or float("inf")):
        image.load()
        return
    with _warnings_lock, warnings.catch_warnings():  # warning filters are shared by all threads
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()


def page_of_photo(stream: IO[bytes], name: str) -> int:
    """Return the page of a TIFF file that contains the photo.

    The photo is on the first page. If that page is a reduced copy, the photo is on the largest page.

    Args:
        stream: The file, in any format. Its position changes.
        name: The file name for error messages. A raw suffix such as ".nef" counts only if the file also names
            a camera.

    Raises:
        PhotoError: The file is a camera raw file, or its photo cannot be read.
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
                raise PhotoError(
                    name,
                    "its first image is a reduced copy, and the full photo cannot be read",
                    "save it as JPEG",
                )
            is_raw = True
    if is_raw:
        raise PhotoError(
            name,
            "this is a camera raw file, and only its small preview could be read",
            "develop it to JPEG or TIFF first",
        )
    return largest


def _area(tags: Any) -> int:
    return int(tags.get(_WIDTH, 0)) * int(tags.get(_HEIGHT, 0))


def _read_directories(stream: IO[bytes], head: bytes) -> tuple[list[Any], list[Any]]:
    """Return the tags of each readable page and the tags of each readable sub-image."""
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
    """Read the tags at an offset; None means the first page."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        big = b"\x2b" in (head[2:3], head[3:4])
        directory = ImageFileDirectory_v2(head if big else head[:8])
        stream.seek(directory.next if offset is None else offset)
        directory.load(stream)
        for tag in _TAGS:  # values are decoded only now
            directory.get(tag)
    except Exception:  # decoders raise nearly any exception on damaged bytes; decoding reports the error
        return None
    return directory


_BITS_PER_SAMPLE, _MAX_SAMPLE = 258, 281  # TIFF tags
_USUAL_BITS = (8, 10, 12, 14, 16)
_HIGH = 2**14 >> 8  # minimum high byte of a sample that needs more than 14 bits
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B"}  # Pillow's names for byte orders; N is the native order


def deep_colour(image: Image.Image) -> bool:
    """Check whether an undecoded image has 16 bits per channel, of which Pillow keeps only 8."""
    tiles: Any = getattr(image, "tile", None) if image.mode in ("RGB", "RGBA") else None
    return bool(tiles) and _raw_mode(tiles[0][3]).endswith((";16B", ";16L", ";16N"))


def eight_bits(image: Image.Image, deep: bool, stream: IO[bytes] | None) -> tuple[Image.Image, str | None]:
    """Return a decoded image with 8 bits per sample, scaled by the range that its samples use.

    Args:
        image: The decoded image.
        deep: The result of `deep_colour` before decoding.
        stream: The image file, which decoding may have closed. Its position changes.

    Returns:
        The image (unchanged if it has 8 bits), and a note if its samples use only part of their range.
    """
    stream = None if stream is None or stream.closed else stream
    if image.mode.startswith(("I", "F")):
        samples = np.asarray(image)
        if image.format == "PNG":  # PNG has at most 16 unsigned bits; older Pillow versions widen them
            samples = samples.astype(np.uint16)
        grey, note = _scale(samples, _declared_maximum(image, stream))
        return Image.fromarray(grey), note
    if not deep or stream is None or np.asarray(image)[:, :, :3].max() >= _HIGH:
        return image, None
    # Pillow keeps the high bytes. With the byte order swapped, it keeps the low bytes.
    declared, page = _declared_maximum(image, stream), image.tell()
    stream.seek(0)
    with Image.open(stream, formats=(image.format or "",)) as low:
        low.seek(page)
        low.tile = [_other_byte_order(tile) for tile in low.tile]
        samples = np.asarray(image).astype(np.uint16) * np.uint16(256) + np.asarray(low)
    colours, note = _scale(samples[:, :, :3], declared)
    alpha = [_scale(samples[:, :, 3:], declared)[0]] if samples.shape[2] > 3 else []
    return Image.fromarray(np.concatenate([colours, *alpha], axis=2)), note


def _raw_mode(arguments: Any) -> str:
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _other_byte_order(tile: Any) -> Any:
    arguments = tile[3]
    raw = _raw_mode(arguments)
    other = raw[:-1] + _OTHER_BYTE[raw[-1]]
    whole = (other, *arguments[1:]) if isinstance(arguments, tuple) else other
    # Pillow 11 replaced the plain tuple with a named tuple.
    return tile._replace(args=whole) if hasattr(tile, "_replace") else (*tile[:3], whole)


def _declared_maximum(image: Image.Image, stream: IO[bytes] | None) -> float | None:
    """Return the maximum sample value that a file declares, or None."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        values = [tags.get(tag) for tag in (_BITS_PER_SAMPLE, _MAX_SAMPLE)]
        bits, most = (int(value[0] if isinstance(value, tuple) else value or 0) for value in values)
        full = 2 ** min(max(bits or 16, 1), 16) - 1
        # 65535 is the default of the maximum sample tag, so it carries no information.
        return float(most) if most and most < full else float(full) if full < 65535 else None
    bits = _significant_bits(stream) if image.format == "PNG" and stream is not None else 0
    return float(2**bits - 1) if bits else None


def _significant_bits(stream: IO[bytes]) -> int:
    """Return the largest number in a PNG file's sBIT chunk, or 0 if it has no such chunk."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"sBIT":
            return max(stream.read(length)[:3], default=0)
        if kind == b"IDAT":
            break
        stream.seek(length + 4, 1)
    return 0


def _scale(samples: NDArray[Any], declared: float | None) -> tuple[NDArray[np.uint8], str | None]:
    """Scale samples of more than 8 bits to 0–255 by the declared range or the smallest usual range that fits.

    Returns:
        The samples, and a note if the range is neither declared nor the full range of the type.
    """
    values = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    kind = samples.dtype.kind
    low, largest = 0.0 if kind == "u" else min(0.0, float(values.min())), float(values.max())
    usual = [*([1.0] if kind == "f" else []), *(float(2**bits - 1) for bits in _USUAL_BITS)]
    if declared and largest <= declared:
        high = declared
    else:
        high = next((scale for scale in usual if largest <= scale), largest)
    scaled: NDArray[np.float32] = (values - low) * np.float32(255.0 / (high - low))
    eight = np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)
    if high in ((65535.0, declared) if kind == "u" else (1.0, 255.0, 65535.0, declared)) or largest <= 0:
        return eight, None
    bits = int(high).bit_length()
    found = f"{bits}-bit samples in a wider type" if high == 2**bits - 1 else "an unusual range"
    return eight, (
        f"{found}: the largest sample is {largest:.6g}, so {high:.6g} was taken as white; if this is "
        "wrong, save the photo with 8 bits"
    )
