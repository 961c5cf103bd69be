"""Files of more than 8 bits a sample come out as bright as they were taken."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from drywallqa.imaging import photos
from drywallqa.synthetic.walls import render_wall

COLOUR = render_wall(1, (48, 64)).photo.copy()
COLOUR[0, 0], COLOUR[0, 1] = 0, 255
GREY = COLOUR[:, :, 1].copy()
TIMES = {8: 1, 10: 4, 12: 16, 14: 64, 16: 257}


def png(samples: NDArray[Any], stated: int | None = None) -> bytes:
    """A PNG file with 16 bits a sample; Pillow writes none in colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, bands = np.atleast_3d(samples).shape
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[bands], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    bits = chunk(b"sBIT", bytes([stated] * bands)) if stated else b""
    body = chunk(b"IHDR", head) + bits + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def check(noted: photos.NotedPhoto, truth: NDArray[np.uint8], bits: int) -> None:
    wide = truth if truth.ndim == 3 else np.repeat(truth[:, :, None], 3, axis=2)
    assert np.abs(noted.pixels.astype(int) - wide).max() <= 1
    if bits == 16:
        assert noted.notes == ()
    else:
        (note,) = noted.notes
        assert note.startswith(
            f"{bits}-bit samples in a wider type: the largest sample is {255 * TIMES[bits]}"
        )
        assert note.endswith("; if this is wrong, save the photo with 8 bits")


@pytest.mark.parametrize("bits", TIMES)
def test_grey__in_16_bits(tmp_path: Path, bits: int) -> None:
    deep = GREY.astype(np.uint16) * TIMES[bits]
    for name in ("a.png", "a.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        check(photos.read_noted_photo(tmp_path / name), GREY, bits)
        with Image.open(tmp_path / name) as image:
            assert np.abs(photos.read_photo(image)[:, :, 0].astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_grey__in_integers_and_fractions(tmp_path: Path, bits: int, kind: type) -> None:
    Image.fromarray((GREY.astype(np.uint16) * TIMES[bits]).astype(kind)).save(tmp_path / "a.tif")
    check(photos.read_noted_photo(tmp_path / "a.tif"), GREY, bits)


def test_grey__fractions_of_one(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.float32) / 255).save(tmp_path / "a.tif")
    check(photos.read_noted_photo(tmp_path / "a.tif"), GREY, 16)


@pytest.mark.parametrize("bits", TIMES)
def test_colour__png(bits: int) -> None:
    deep = COLOUR.astype(np.uint16) * TIMES[bits]
    check(photos.read_photo_bytes(png(deep), "a.png"), COLOUR, bits)
    opaque = np.full((*GREY.shape, 1), 255 * TIMES[bits])
    check(photos.read_photo_bytes(png(np.concatenate([deep, opaque], axis=2)), "a.png"), COLOUR, bits)


@pytest.mark.parametrize("bits", TIMES)
@pytest.mark.parametrize("compression", [1, 5])
def test_colour__tiff(tmp_path: Path, bits: int, compression: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="the video extra, with which such files are written, is missing")
    deep = COLOUR.astype(np.uint16) * TIMES[bits]
    cv2.imwrite(str(tmp_path / "a.tif"), deep[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    check(photos.read_noted_photo(tmp_path / "a.tif"), COLOUR, bits)


def test_stated__by_the_file_itself(tmp_path: Path) -> None:
    dark = GREY.astype(np.uint16) * 2  # 510 at most: 10 bits would hold it, too
    noted = photos.read_photo_bytes(png(dark, stated=12), "a.png")
    assert (int(noted.pixels.max()), noted.notes) == (32, ())
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = 4095
    Image.fromarray(dark).save(tmp_path / "a.tif", tiffinfo=tags)
    noted = photos.read_noted_photo(tmp_path / "a.tif")
    assert (int(noted.pixels.max()), noted.notes) == (32, ())


def test_stated__wrongly(tmp_path: Path) -> None:
    full = GREY.astype(np.uint16) * 257
    assert np.array_equal(photos.read_photo_bytes(png(full, stated=12), "a.png").pixels[:, :, 0], GREY)


def test_black__stays_black() -> None:
    noted = photos.read_photo_bytes(png(np.zeros((4, 4, 3), np.uint16)), "a.png")
    assert not noted.pixels.any()
    assert noted.notes == ()
