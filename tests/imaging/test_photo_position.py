"""The position in EXIF is read with its hemisphere; anything else is no position."""

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from drywallqa.imaging.photo_position import read_position


def photo(path: Path, gps: dict[int, object] | None) -> Path:
    exif = Image.Exif()
    if gps is not None:
        exif[ExifTags.IFD.GPSInfo] = gps
    Image.new("RGB", (40, 40)).save(path, exif=exif)
    return path


def gps(latitude: object, north: str, longitude: object, east: str) -> dict[int, object]:
    return {
        ExifTags.GPS.GPSLatitudeRef: north, ExifTags.GPS.GPSLatitude: latitude,
        ExifTags.GPS.GPSLongitudeRef: east, ExifTags.GPS.GPSLongitude: longitude,
    }  # fmt: skip


def test_position__degrees_minutes_seconds(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", gps((52.0, 30.0, 36.0), "S", (13.0, 15.0, 0.0), "E"))
    assert read_position(path) == pytest.approx((-52.51, 13.25))


@pytest.mark.parametrize(
    "tags",
    [
        None,
        {},
        gps((95.0, 0.0, 0.0), "N", (0.0, 0.0, 0.0), "E"),
        gps((5.0, 0.0, 0.0), "?", (1.0, 0.0, 0.0), "E"),
    ],
)
def test_position__none(tmp_path: Path, tags: dict[int, object] | None) -> None:
    assert read_position(photo(tmp_path / "a.jpg", tags)) is None
    assert read_position(tmp_path / "missing.jpg") is None
