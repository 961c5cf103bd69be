"""Read the position that a camera stored in a photo."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import ExifTags

from drywallqa.imaging.photos import open_picture

_SIGNS = {"N": 1, "S": -1, "E": 1, "W": -1}


def read_position(path: Path) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees (WGS 84) from EXIF, or None if the photo has no position."""
    try:
        with open_picture(path) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        latitude = _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef])
        longitude = _degrees(gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef])
    except Exception:  # decoders raise nearly any exception on damaged bytes
        return None
    inside = math.isfinite(latitude + longitude) and abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if inside else None


def _degrees(parts: tuple[float, float, float], letter: str) -> float:
    degrees, minutes, seconds = map(float, parts)
    return _SIGNS[letter] * (degrees + minutes / 60 + seconds / 3600)
