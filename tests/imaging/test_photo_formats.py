"""Camera raws, which are TIFF files with a thumbnail first, and TIFF files of several pages."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import PhotoError
from drywallqa.imaging import photos

DEVELOP = r"this is a camera raw file.*; develop it to JPEG or TIFF first"
REDUCED, SENSOR, PLAIN = {254: (4, 1)}, {262: (3, 32803)}, {254: (4, 0)}
MAKE, DNG = {271: (2, b"Phone\0")}, {50706: (1, b"\1\4\0\0")}


def picture(width: int, height: int, value: int, tags: dict[int, Any] | None = None) -> dict[str, Any]:
    """A grey page of one value, with further tags: number → (type, value)."""
    return {"size": (width, height), "value": value, "tags": tags or {}, "inner": None}


def tiff(*pages: dict[str, Any]) -> bytes:
    """A TIFF file of pages, each with perhaps one picture inside it."""
    body = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    link = 4
    for page in pages:
        inner = directory(body, page["inner"], {}) if page["inner"] else None
        at = directory(body, page, {330: (4, inner)} if inner else {})
        struct.pack_into("<I", body, link, at)
        link = len(body) - 4
    return bytes(body)


def directory(body: bytearray, page: dict[str, Any], further: dict[int, Any]) -> int:
    width, height = page["size"]
    strip = len(body)
    body += bytes([page["value"]]) * (width * height)
    body += bytes(len(body) % 2)
    tags = {
        256: (4, width), 257: (4, height), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, strip),
        277: (3, 1), 278: (4, height), 279: (4, width * height), **page["tags"], **further,
    }  # fmt: skip
    texts = {}
    for tag, (_, value) in tags.items():
        if isinstance(value, bytes) and len(value) > 4:
            texts[tag] = len(body)
            body += value + bytes(len(value) % 2)
    at = len(body)
    body += struct.pack("<H", len(tags))
    for tag, (kind, value) in sorted(tags.items()):
        count = len(value) if isinstance(value, bytes) else 1
        where = texts.get(tag)
        field = (
            struct.pack("<I", where)
            if where
            else value.ljust(4, b"\0")
            if isinstance(value, bytes)
            else struct.pack("<I", value)
        )
        body += struct.pack("<HHI", tag, kind, count) + field
    body += bytes(4)
    return at


def raw(first: dict[int, Any], inside: dict[int, Any]) -> bytes:
    page = picture(16, 12, 90, first)
    page["inner"] = picture(64, 48, 120, inside)
    return tiff(page)


@pytest.mark.parametrize(
    "content",
    [
        raw(REDUCED | DNG | MAKE, SENSOR),
        raw(REDUCED | DNG, PLAIN),
        raw(REDUCED | MAKE, SENSOR),
        raw(REDUCED | MAKE, PLAIN),
        raw({}, {262: (3, 34892)}),
        tiff(picture(64, 48, 90, SENSOR | MAKE), picture(16, 12, 90, REDUCED)),
        tiff(picture(64, 48, 90, MAKE), picture(16, 12, 90), picture(64, 48, 90, {50752: (4, 1)})),
    ],
)
@pytest.mark.parametrize("name", ["IMG_1.DNG", "photo.tif", "photo.jpg"])
def test_raw__refused_by_its_content(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhotoError, match=rf"{name}: {DEVELOP}"):
        photos.read_photo(tmp_path / name)


def test_raw__refused_as_a_pil_image(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(raw(REDUCED | DNG, SENSOR))
    with Image.open(tmp_path / "a.dng") as image, pytest.raises(PhotoError, match=DEVELOP):
        photos.read_photo(image)


def test_raw__the_suffix_counts_only_beside_the_cameras_name(tmp_path: Path) -> None:
    for name, tags in (("a.nef", {}), ("scan.tif", MAKE)):
        (tmp_path / name).write_bytes(tiff(picture(64, 48, 90, tags)))
        assert photos.read_photo(tmp_path / name).shape == (48, 64, 3)
    (tmp_path / "b.nef").write_bytes(tiff(picture(64, 48, 90, MAKE)))
    with pytest.raises(PhotoError, match=DEVELOP):
        photos.read_photo(tmp_path / "b.nef")


@pytest.mark.parametrize(
    "head",
    [
        b"IIRO\x08\0\0\0", b"IIU\0\x08\0\0\0", b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"II*\0\x10\0\0\0CR\x02\0",
    ],
)  # fmt: skip
def test_raw__other_containers(head: bytes) -> None:
    with pytest.raises(PhotoError, match=DEVELOP):
        photos.read_photo_bytes(head + bytes(200), "photo")


def test_tiff__pages(tmp_path: Path) -> None:
    cases = {
        "the first of equal rank": (tiff(picture(16, 12, 50), picture(64, 48, 200)), (12, 16), 50),
        "a pyramid": (tiff(picture(64, 48, 50), picture(16, 12, 200, REDUCED)), (48, 64), 50),
        "a reduced copy first": (tiff(picture(16, 12, 50, REDUCED), picture(64, 48, 200)), (48, 64), 200),
        "only a reduced copy": (tiff(picture(16, 12, 50, REDUCED)), (12, 16), 50),
    }
    inside = picture(64, 48, 50)
    inside["inner"] = picture(16, 12, 200, REDUCED)
    cases["a pyramid inside its page"] = (tiff(inside), (48, 64), 50)
    for name, (content, shape, value) in cases.items():
        (tmp_path / "a.tif").write_bytes(content)
        photo = photos.read_photo(tmp_path / "a.tif")
        assert (photo.shape[:2], int(photo[0, 0, 0])) == (shape, value), name


def test_tiff__the_page_of_an_opened_picture_is_the_callers(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(picture(16, 12, 50), picture(64, 48, 200)))
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(1)
        assert photos.read_photo(image).shape == (48, 64, 3)


def test_tiff__whose_photo_lies_inside_a_reduced_copy(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(raw(REDUCED, PLAIN))
    with pytest.raises(PhotoError, match=r"its first image is a reduced copy.*; save it as JPEG"):
        photos.read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize("kept", [5, 9, 12, 40, 800])
def test_tiff__damaged(tmp_path: Path, kept: int) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "whole.tif")
    (tmp_path / "a.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:kept])
    with pytest.raises(PhotoError, match="damaged or cut short"):
        photos.read_photo(tmp_path / "a.tif")


def test_tiff__pages_in_a_circle(tmp_path: Path) -> None:
    content = bytearray(tiff(picture(16, 12, 50)))
    content[-4:] = content[4:8]
    (tmp_path / "a.tif").write_bytes(content)
    assert photos.read_photo(tmp_path / "a.tif").shape == (12, 16, 3)
