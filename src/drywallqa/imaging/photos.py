"""Reading photos: any common format becomes RGB uint8 [H,W,3], turned as a viewer shows it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from drywallqa.errors import DrywallQAError, MissingExtraError, PhotoError
from drywallqa.imaging import sample_depth
from drywallqa.imaging.large_pictures import FORMATS, format_of_head, load_large, open_as


class NotedPhoto(NamedTuple):
    """A photo that was read.

    Attributes:
        pixels: RGB uint8 [H,W,3].
        notes: Sentences on what its file lacks, or how it had to be read; each names a remedy.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


Photo = str | os.PathLike[str] | Image.Image | NDArray[np.uint8] | NotedPhoto

# The size from which Pillow itself refuses a file; it warns from half of it on.
MAX_PIXELS = 178_000_000
_STRIP = 4_000_000  # px that are copied at a time

_SUFFIXES = "jpg jpeg jpe jfif mpo png webp bmp dib tif tiff heic heif hif"
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())

_TURNS = {  # by the EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_READABLE = "JPEG, PNG, WebP, BMP, TIFF or HEIC"


def read_photo(source: Photo, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a photo as RGB uint8 [H,W,3], as a viewer shows it.

    EXIF orientation is applied, transparency is laid over white, and deeper samples are scaled to 8 bits by
    the range that they use. Of a file with several pictures the first is read, or the largest where the
    first is marked as a reduced copy.

    Args:
        source: A path, a PIL image, an RGB uint8 array [H,W,3] (returned as it is, never changed), or what
            `read_noted` returned.
        max_pixels: The largest width × height that is decoded.

    Raises:
        PhotoError: The photo cannot be read; the message names the file and what to do.
        MissingExtraError: The photo is a HEIC file and the optional part `heic` is not installed.
    """
    return read_noted_photo(source, max_pixels=max_pixels).pixels


def read_noted_photo(source: Photo, *, max_pixels: int = MAX_PIXELS) -> NotedPhoto:
    """Read a photo as `read` does, and say what is remarkable about the file: lost data, unused bits."""
    if isinstance(source, NotedPhoto):
        return NotedPhoto(_checked_array(source.pixels, max_pixels), source.notes)
    if isinstance(source, np.ndarray):
        return NotedPhoto(_checked_array(source, max_pixels))
    if isinstance(source, Image.Image):
        return _read_picture(source, max_pixels)
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


def _read_picture(image: Image.Image, max_pixels: int) -> NotedPhoto:
    name, stream = str(getattr(image, "filename", "") or "PIL image"), getattr(image, "fp", None)
    if image.format == "TIFF" and stream is not None and not stream.closed:
        _page(stream, name)  # refuses a raw; else the page that the caller chose counts
    return _decode(image, name, max_pixels, stream)


def _read_file(path: Path, max_pixels: int) -> NotedPhoto:
    check_readable_file(path)
    try:
        with path.open("rb") as stream:
            return _read_stream(stream, str(path), max_pixels)
    except PermissionError as error:
        raise PhotoError(path, "it may not be read", "change its permissions, or leave it out") from error
    except OSError as error:
        raise _damaged(path, error) from error


def read_photo_bytes(content: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> NotedPhoto:
    """Read a photo from a file's bytes, as `read_noted` does.

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


def _read_stream(stream: IO[bytes], name: str, max_pixels: int) -> NotedPhoto:
    try:
        kind = format_of_head(stream.read(64))
        page = _page(stream, name) if kind in ("TIFF", None) else 0
        if kind is None:
            raise PhotoError(name, f"this is not a {_READABLE} photo", "convert it, or leave it out")
        stream.seek(0)
        if kind == "HEIF":
            return _decode(_open_heif(stream, name, max_pixels), name, max_pixels, None)
        with open_as(stream, kind) as image:
            image.seek(page)
            noted = _decode(image, name, max_pixels, stream)
            return _with_lost_data(noted, image, stream) if kind == "JPEG" else noted
    except (DrywallQAError, PermissionError):
        raise
    except UnidentifiedImageError as error:  # its own words name the stream, which says nothing
        raise _damaged(name, ValueError("its head is broken")) from error
    except Exception as error:  # decoders meet damaged bytes with nearly any exception
        raise _damaged(name, error) from error


def _page(stream: IO[bytes], name: str) -> int:
    from drywallqa.imaging import camera_raw  # few photos need it

    return camera_raw.page_of_photo(stream, name)


def _with_lost_data(noted: NotedPhoto, image: Image.Image, stream: IO[bytes]) -> NotedPhoto:
    from drywallqa.imaging import jpeg_check

    stream.seek(0)
    lost = jpeg_check.lost_data(stream.read(), image)
    return noted if lost is None else NotedPhoto(noted.pixels, (*noted.notes, lost))


@contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open a picture that is no photo, such as a mask file, as it is.

    Raises:
        OSError: It is missing, no picture, or has more pixels than are read.
    """
    with Path(path).open("rb") as stream:
        kind = format_of_head(stream.read(64))
        stream.seek(0)
        with open_as(stream, kind) if kind in FORMATS else Image.open(stream) as image:
            if image.width * image.height > MAX_PIXELS:
                raise OSError(f"{image.width}×{image.height} px are more than are read")
            yield image


def check_readable_file(path: Path) -> None:
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
        raise PhotoError(path, f"it cannot be reached ({reason_of(error)})", "check the path") from error


def _damaged(path: str | Path, error: Exception) -> PhotoError:
    return PhotoError(
        path,
        f"the photo is damaged or cut short ({reason_of(error)})",
        "copy it again from the camera, or leave it out",
    )


def reason_of(error: Exception) -> str:
    """Say in a few words why reading failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 80 else words[:79] + "…"


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


def _decode(image: Image.Image, name: str, max_pixels: int, stream: IO[bytes] | None) -> NotedPhoto:
    """Turn an opened picture into pixels; `stream` is the file that it comes from, if it is at hand."""
    _check_size(name, *image.size, max_pixels)
    try:
        deep = sample_depth.deep_colour(image)
        load_large(image)
        picture, note = sample_depth.eight_bits(image, deep, stream)
        return NotedPhoto(_pixels(_rgb(_turned(picture, image))), (note,) if note else ())
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


def _turned(picture: Image.Image, opened: Image.Image) -> Image.Image:
    """Turn a picture as the EXIF data of the file that was opened say."""
    try:
        turn = _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF says nothing about how to turn; the pixels are good
        return picture
    return picture if turn is None else picture.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def image_id_of(photo: Photo, otherwise: str = "photo") -> str:
    """Return the whole stem of a photo's file, or `otherwise` where it comes from none."""
    if isinstance(photo, str | os.PathLike):
        return Path(photo).stem or otherwise
    if isinstance(photo, Image.Image):
        return Path(str(getattr(photo, "filename", "") or "")).stem or otherwise
    return otherwise
