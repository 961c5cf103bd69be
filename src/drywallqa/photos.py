"""Reading photos: any common format becomes RGB uint8 [H,W,3], turned as a viewer shows it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from drywallqa.errors import DrywallQAError, MissingExtraError, PhotoError
from drywallqa.large_pictures import FORMATS, load, open_as

Photo = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]

# The size from which Pillow itself refuses a file; it warns from half of it on.
MAX_PIXELS = 178_000_000
_STRIP = 4_000_000  # px that are copied at a time

_SUFFIXES = "jpg jpeg jpe jfif mpo png webp bmp dib tif tiff heic heif hif"
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())

_BITS_PER_SAMPLE = 258  # the TIFF tag
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
_READABLE = "JPEG, PNG, WebP, BMP, TIFF or HEIC"


def read(source: Photo, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a photo as RGB uint8 [H,W,3], as a viewer shows it.

    EXIF orientation is applied, transparency is laid over white, and deeper grey values are scaled to
    8 bits. Of a file with several pictures the first is read.

    Args:
        source: A path, a PIL image, or an RGB uint8 array [H,W,3] (returned as it is, never changed).
        max_pixels: The largest width × height that is decoded.

    Raises:
        PhotoError: The photo cannot be read; the message names the file and what to do.
        MissingExtraError: The photo is a HEIC file and the optional part `heic` is not installed.
    """
    if isinstance(source, np.ndarray):
        return _checked_array(source, max_pixels)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "PIL image")
        return _decode(source, name, max_pixels)
    return _read_file(Path(source), max_pixels)


def _checked_array(array: NDArray[Any], max_pixels: int) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise PhotoError(
            "array",
            f"shape {array.shape} and type {array.dtype} are not a photo",
            "give RGB uint8 of shape [height, width, 3]",
        )
    _check_size("array", array.shape[1], array.shape[0], max_pixels)
    return array


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise PhotoError(name, f"its size is {width}×{height} px", "give a photo with at least one pixel")
    if width * height > max_pixels:
        raise PhotoError(
            name,
            f"{width}×{height} px are more than the {max_pixels / 1e6:.0f} million that are read",
            "scale it down or cut it into parts",
        )


def _read_file(path: Path, max_pixels: int) -> NDArray[np.uint8]:
    check_file(path)
    try:
        with path.open("rb") as stream:
            return _read_stream(stream, str(path), max_pixels)
    except PermissionError as error:
        raise PhotoError(path, "it may not be read", "change its permissions, or leave it out") from error
    except OSError as error:
        raise _damaged(path, error) from error


def read_bytes(content: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a photo from a file's bytes, as `read` does.

    Args:
        content: The whole file.
        name: What errors call it.
        max_pixels: The largest width × height that is decoded.

    Raises:
        PhotoError: The photo cannot be read.
        MissingExtraError: The photo is a HEIC file and the optional part `heic` is not installed.
    """
    if not content:
        raise PhotoError(name, "the file is empty (zero bytes)", "copy it again from the camera")
    return _read_stream(io.BytesIO(content), name, max_pixels)


def _read_stream(stream: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    try:
        kind = _kind(stream.read(64))
        stream.seek(0)
        if kind is None:
            raise PhotoError(name, f"this is not a {_READABLE} photo", "convert it, or leave it out")
        if kind == "HEIF":
            return _decode(_open_heif(stream, name, max_pixels), name, max_pixels)
        with open_as(stream, kind) as image:
            return _decode(image, name, max_pixels)
    except (DrywallQAError, PermissionError):
        raise
    except UnidentifiedImageError as error:  # its own words name the stream, which says nothing
        raise _damaged(name, ValueError("its head is broken")) from error
    except Exception as error:  # decoders meet damaged bytes with nearly any exception
        raise _damaged(name, error) from error


@contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a picture that is no photo, such as a mask file, as it is.

    Raises:
        OSError: It is missing, no picture, or has more pixels than are read.
    """
    with Path(path).open("rb") as stream:
        kind = _kind(stream.read(64))
        stream.seek(0)
        with open_as(stream, kind) if kind in FORMATS else Image.open(stream) as image:
            if image.width * image.height > MAX_PIXELS:
                raise OSError(f"{image.width}×{image.height} px are more than are read")
            yield image


def check_file(path: Path) -> None:
    """Make sure that a path leads to a regular file with something in it.

    Raises:
        PhotoError: It does not; the message says what it is instead.
    """
    try:
        if path.is_dir():
            raise PhotoError(path, "this is a folder, not a photo", "name a photo in it")
        if not path.exists():
            raise PhotoError(path, "there is no such file", "check the path")
        if not path.is_file():
            raise PhotoError(path, "this is not a regular file", "name a photo")
        if path.stat().st_size == 0:
            raise PhotoError(path, "the file is empty (zero bytes)", "copy it again from the camera")
    except (OSError, ValueError) as error:  # a name that is too long, holds a zero byte, lies behind a lock
        raise PhotoError(path, f"it cannot be reached ({reason(error)})", "check the path") from error


def _damaged(path: str | Path, error: Exception) -> PhotoError:
    return PhotoError(
        path,
        f"the photo is damaged or cut short ({reason(error)})",
        "copy it again from the camera, or leave it out",
    )


def reason(error: Exception) -> str:
    """Say in a few words why reading failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 80 else words[:79] + "…"


def _kind(head: bytes) -> str | None:
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


def _open_heif(stream: IO[bytes], name: str, max_pixels: int) -> Image.Image:
    try:
        import pi_heif
    except ImportError as error:
        raise MissingExtraError(f"{name}: reading a HEIC photo", "heic") from error
    # Asked for directly rather than registered with Pillow, which would change it for everybody else.
    opened = pi_heif.open_heif(stream)
    width, height = opened.size
    _check_size(name, width, height, max_pixels)
    image: Image.Image = opened.to_pillow()
    return image


def _decode(image: Image.Image, name: str, max_pixels: int) -> NDArray[np.uint8]:
    _check_size(name, *image.size, max_pixels)
    try:
        load(image)
        return _pixels(_rgb(_turned(image), _bits(image)))
    except DrywallQAError:
        raise
    except Exception as error:  # as above: a damaged picture can break a decoder anywhere
        raise _damaged(name, error) from error


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Copy an RGB picture to an array, in strips: Pillow's own way holds a large one three times over."""
    width, height = image.size
    step = max(1, _STRIP // width)
    if step >= height:
        return np.asarray(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _turned(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF says nothing about how to turn; the pixels are good
        return image


def _bits(image: Image.Image) -> int:
    """Tell how many bits of a 16-bit sample are used: TIFF files may hold 12-bit values."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return 16
    bits = tags.get(_BITS_PER_SAMPLE, 16)
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _rgb(image: Image.Image, bits: int) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bits(np.asarray(image), bits)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(grey: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Scale deep grey values to 0–255 by the range that their type, or failing that their content, has."""
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if grey.dtype.kind == "u" and grey.dtype.itemsize == 2:
        low, high = 0.0, float(2 ** min(max(bits, 1), 16) - 1)
    else:
        low = min(0.0, float(values.min()))
        high = _full_scale(float(values.max()), whole=grey.dtype.kind != "f")
    scaled: NDArray[np.float32] = (values - low) * np.float32(255.0 / (high - low))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)


def _full_scale(largest: float, whole: bool) -> float:
    """Return the smallest usual full scale that holds the largest value."""
    usual = (255.0, 65535.0) if whole else (1.0, 255.0, 65535.0)
    return next((scale for scale in usual if largest <= scale), largest)


def image_id_of(photo: Photo, otherwise: str = "photo") -> str:
    """Return the whole stem of a photo's file, or `otherwise` where it comes from none."""
    if isinstance(photo, str | os.PathLike):
        return Path(photo).stem or otherwise
    if isinstance(photo, Image.Image):
        return Path(str(getattr(photo, "filename", "") or "")).stem or otherwise
    return otherwise
