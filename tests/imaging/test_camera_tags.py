"""EXIF tags that tell the size of a pixel at a distance."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from drywallqa.imaging.camera_tags import CameraTags, read_camera_tags


def written(folder: Path, **tags: object) -> Path:
    image = Image.new("RGB", (40, 30))
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base[name]: value for name, value in tags.items()}
    image.save(folder / "photo.jpg", exif=exif)
    return folder / "photo.jpg"


def test_read_camera_tags__phone(tmp_path: Path) -> None:
    path = written(
        tmp_path, FocalLengthIn35mmFilm=26, SubjectDistance=1.25, ExifImageWidth=40, ExifImageHeight=30
    )
    tags = read_camera_tags(path)
    assert tags == CameraTags(pytest.approx(26 / math.hypot(36, 24)), pytest.approx(1250), (40, 30))


def test_read_camera_tags__focal_plane_resolution(tmp_path: Path) -> None:
    path = written(
        tmp_path, FocalLength=50.0, FocalPlaneXResolution=4000 / 3.6, FocalPlaneResolutionUnit=3,
        ExifImageWidth=4000, ExifImageHeight=3000,
    )  # fmt: skip
    assert read_camera_tags(path).focal_share == pytest.approx(50 / 36 * 4000 / 5000, rel=1e-3)


@pytest.mark.parametrize("distance", [0.0, 4294967295.0, TiffImagePlugin.IFDRational(1, 0)])
def test_read_camera_tags__unknown_or_infinite_distance(tmp_path: Path, distance: object) -> None:
    assert read_camera_tags(written(tmp_path, SubjectDistance=distance)).distance_mm is None


def test_read_camera_tags__no_tags_or_no_photo(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    assert read_camera_tags(tmp_path / "text.jpg") == CameraTags()
    assert read_camera_tags(written(tmp_path)) == CameraTags()
