"""Read the EXIF tags of a photo that tell the size of its pixels at a distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags

from drywallqa.imaging.photos import open_picture

_DIAGONAL_35MM = math.hypot(36, 24)  # mm, of the film to which the equivalent focal length refers
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0}  # mm, by FocalPlaneResolutionUnit
_FARTHEST = 1000.0  # m; cameras write huge numbers for infinity


@dataclass(frozen=True)
class CameraTags:
    """Tags of a photo. Values that the file does not state are None.

    Attributes:
        focal_share: Focal length as a share of the sensor's diagonal.
        distance_mm: Distance to the subject in mm, as measured by the camera's focus.
        size: Width and height in px of the photo that the camera wrote.
    """

    focal_share: float | None = None
    distance_mm: float | None = None
    size: tuple[int, int] | None = None


def read_camera_tags(path: Path) -> CameraTags:
    """Read the tags of a photo; a file without readable tags gives an empty result."""
    try:
        with open_picture(path) as image:
            tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except Exception:  # decoders raise nearly any exception on damaged bytes
        return CameraTags()
    width, height = (_number(tags, name) for name in ("ExifImageWidth", "ExifImageHeight"))
    size = (int(width), int(height)) if width and height else None
    distance = _number(tags, "SubjectDistance")
    return CameraTags(
        _focal_share(tags, size), distance * 1000 if distance and distance < _FARTHEST else None, size
    )


def _focal_share(tags: dict[int, Any], size: tuple[int, int] | None) -> float | None:
    """Return the focal length as a share of the sensor's diagonal.

    It comes from the focal length in 35 mm terms (CIPA DC-008: by the diagonal), or from the sensor's pitch.
    """
    if equivalent := _number(tags, "FocalLengthIn35mmFilm"):
        return equivalent / _DIAGONAL_35MM
    focal, pitch = _number(tags, "FocalLength"), _number(tags, "FocalPlaneXResolution")
    unit = _UNITS.get(int(_number(tags, "FocalPlaneResolutionUnit") or 2))
    return focal * pitch / unit / math.hypot(*size) if focal and pitch and unit and size else None


def _number(tags: dict[int, Any], name: str) -> float | None:
    """Return a positive finite number from a tag, or None."""
    try:
        value = float(tags[ExifTags.Base[name]])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) and value > 0 else None
