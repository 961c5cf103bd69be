"""Read photos of any common format as RGB uint8 [H,W,3], with their EXIF orientation applied."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from drywallqa.errors import DrywallQAError, MissingExtraError, PhotoError, reason_of
from drywallqa.imaging.jpeg_check import lost_data
from drywallqa.imaging.photo_formats import (
    FORMATS,
    deep_colour,
    eight_bits,
    format_of_head,
    load_large,
    open_as,
    page_of_photo,
)


class NotedPhoto(NamedTuple):
    """A photo with notes about its file.

    Attributes:
        pixels: RGB uint8 [H,W,3].
        notes: Sentences about faults of the photo, such as missing image data. Each sentence names a remedy.
        orientation: EXIF orientation of the file, which was applied to the pixels; 1 if nothing was turned.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    orientation: int = 1


Photo = str | os.PathLike[str] | Image.Image | NDArray[np.uint8] | NotedPhoto

# Pillow rejects photos with more pixels, and it warns above half of this number.
MAX_PIXELS = 178_000_000
_STRIP = 4_000_000  # px to copy at a time

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".heic",
    ".heif", ".hif",
))  # fmt: skip

_TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def read_photo(source: Photo) -> NDArray[np.uint8]:
    """Read a photo as RGB uint8 [H,W,3].

    EXIF orientation is applied, transparent images are composited over white, and pixel values of higher bit
    depth are scaled from the range that they use to 8 bits. If a file contains several images, the first
    image is read, or the largest image if the first is marked as a reduced copy.

    Args:
        source: A path, a PIL image, an RGB uint8 array [H,W,3] (returned unchanged), or a result of
            `read_noted_photo`.

    Raises:
        PhotoError: The photo cannot be read; the message names the file and a remedy.
        MissingExtraError: The photo is a HEIC file and the optional extra `heic` is not installed.
    """
    return read_noted_photo(source).pixels


def read_noted_photo(source: Photo) -> NotedPhoto:
    """Read a photo like `read_photo`, and note faults in its file, such as missing image data."""
    if isinstance(source, NotedPhoto):
        return source._replace(pixels=_checked_array(source.pixels))
    if isinstance(source, np.ndarray):
        return NotedPhoto(_checked_array(source))
    if isinstance(source, Image.Image):
        name, stream = str(getattr(source, "filename", "") or "PIL image"), getattr(source, "fp", None)
        with _errors_about(name):
            if source.format == "TIFF" and stream is not None and not stream.closed:
                page_of_photo(stream, name)  # rejects camera raw files; the caller has chosen the page
            return _decode(source, name, stream)
    path = Path(source)
    check_readable_file(path)
    with _errors_about(str(path)), path.open("rb") as stream:
        return _read_stream(stream, str(path))


def read_photo_bytes(content: bytes, name: str) -> NotedPhoto:
    """Read a photo from the bytes of a file, like `read_noted_photo`.

    Args:
        content: The whole file.
        name: The file name for error messages.

    Raises:
        PhotoError: The photo cannot be read.
        MissingExtraError: The photo is a HEIC file and the optional extra `heic` is not installed.
    """
    if not content:
        raise PhotoError(name, "the file is empty (zero bytes)", "copy it again from the camera")
    with _errors_about(name):
        return _read_stream(io.BytesIO(content), name)


def orient_mask(mask: NDArray[np.bool_], orientation: int) -> NDArray[np.bool_]:
    """Turn a mask of the stored pixels as EXIF orientation turns its photo.

    Args:
        mask: Boolean [H,W] in the orientation of the stored pixels.
        orientation: `NotedPhoto.orientation` of the photo.
    """
    if orientation == 1:
        return mask
    return np.asarray(Image.fromarray(mask.view(np.uint8)).transpose(_TURNS[orientation])).astype(np.bool_)


@contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open an image that is not a photo, such as a mask file, without converting it.

    Raises:
        OSError: The file is missing, not an image, or too large.
    """
    with Path(path).open("rb") as stream:
        kind = format_of_head(stream.read(64))
        stream.seek(0)
        with open_as(stream, kind) if kind in FORMATS else Image.open(stream) as image:
            if image.width * image.height > MAX_PIXELS:
                raise OSError(f"{image.width}×{image.height} px is too large")
            yield image


def check_readable_file(path: Path) -> None:
    """Check that a path is a regular file that is not empty.

    Raises:
        PhotoError: The path is not a regular file, or the file is empty; the message names the reason.
    """
    try:
        if path.is_dir():
            raise PhotoError(path, "this is a folder, not a photo", "pass a photo from this folder")
        if not path.exists():
            raise PhotoError(path, "there is no such file", "check the path")
        if not path.is_file():
            raise PhotoError(path, "this is not a regular file", "pass a photo")
        if path.stat().st_size == 0:
            raise PhotoError(path, "the file is empty (zero bytes)", "copy it again from the camera")
    except (OSError, ValueError) as error:  # the name is too long or has a zero byte, or the folder is locked
        raise PhotoError(
            path, f"the file cannot be accessed ({reason_of(error)})", "check the path"
        ) from error


def image_id_of(photo: Photo, otherwise: str = "photo") -> str:
    """Return the stem of a photo's file name, or `otherwise` if the photo does not come from a file."""
    if isinstance(photo, Image.Image):
        photo = str(getattr(photo, "filename", "") or "")
    return (Path(photo).stem if isinstance(photo, str | os.PathLike) else "") or otherwise


def _checked_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise PhotoError(
            "array",
            f"an array of shape {array.shape} and type {array.dtype} is not a photo",
            "pass RGB uint8 of shape [height, width, 3]",
        )
    _check_size("array", array.shape[1], array.shape[0])
    return array


def _check_size(name: str, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise PhotoError(name, f"its size is {width}×{height} px", "pass a photo with at least one pixel")
    if width * height > MAX_PIXELS:
        raise PhotoError(
            name,
            f"{width}×{height} px is more than the limit of {MAX_PIXELS / 1e6:.0f} million px",
            "scale it down or cut it into parts",
        )


def _read_stream(stream: IO[bytes], name: str) -> NotedPhoto:
    kind = format_of_head(stream.read(64))
    page = page_of_photo(stream, name) if kind in ("TIFF", None) else 0
    if kind is None:
        raise PhotoError(
            name, "this is not a JPEG, PNG, WebP, BMP, TIFF or HEIC photo", "convert it, or leave it out"
        )
    stream.seek(0)
    if kind == "HEIF":
        return _read_heif(stream, name)
    with open_as(stream, kind) as image:
        image.seek(page)
        photo = _decode(image, name, stream)
        stream.seek(0)
        lost = lost_data(stream.read(), image) if kind == "JPEG" else None
        return photo._replace(notes=(*photo.notes, lost)) if lost else photo


@contextmanager
def _errors_about(name: str) -> Iterator[None]:
    try:
        yield
    except DrywallQAError:
        raise
    except PermissionError as error:
        raise PhotoError(name, "reading the file is not permitted", "change its permissions") from error
    except Exception as error:  # decoders raise nearly any exception on damaged bytes
        raise PhotoError(
            name,
            f"the photo is damaged or cut short ({reason_of(error)})",
            "copy it again from the camera, or leave it out",
        ) from error


def _read_heif(stream: IO[bytes], name: str) -> NotedPhoto:
    try:
        import pi_heif
    except ImportError as error:
        raise MissingExtraError(f"{name}: reading a HEIC photo", "heic") from error
    # Registering the reader with Pillow would change Pillow for the whole process.
    opened = pi_heif.open_heif(stream)
    width, height = opened.size
    _check_size(name, width, height)
    return _decode(opened.to_pillow(), name, None)


def _decode(image: Image.Image, name: str, stream: IO[bytes] | None) -> NotedPhoto:
    """Decode an opened image into pixels; `stream` is its file, if any."""
    _check_size(name, *image.size)
    deep = deep_colour(image)
    load_large(image)
    picture, note = eight_bits(image, deep, stream)
    orientation = exif_orientation(image)
    if orientation != 1:
        picture = picture.transpose(_TURNS[orientation])
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, (255, 255, 255, 255)), layer)
    return NotedPhoto(_pixels(picture), (note,) if note else (), orientation)


def exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image; 1 if there is none."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF data does not affect the pixels
        return 1
    return orientation if orientation in _TURNS else 1


def is_turned(path: Path) -> bool:
    """Check whether a viewer turns a photo by its EXIF orientation. Only the file's header is read."""
    try:
        with open_picture(path) as image:
            return exif_orientation(image) != 1
    except Exception:  # decoders raise nearly any exception on damaged bytes
        return False


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Copy an image to an RGB array in strips, to avoid three copies of a large image in memory."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    width, height = image.size
    step = max(1, _STRIP // width)
    if step >= height:
        return np.asarray(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels
