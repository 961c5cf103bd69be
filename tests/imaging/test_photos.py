import base64
import io
import os
import pickle
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from drywallqa.errors import MissingExtraError, PhotoError
from drywallqa.imaging import photos

GRADIENT = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (16, 1))


def colour() -> Image.Image:
    picture = np.stack([GRADIENT, GRADIENT[:, ::-1], np.full_like(GRADIENT, 90)], axis=2)
    return Image.fromarray(picture)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 95}),
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_read__common_formats(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    colour().save(tmp_path / name, **options)
    photo = photos.read_photo(tmp_path / name)
    assert photo.dtype == np.uint8
    assert photo.shape == (16, 32, 3)
    assert np.abs(photo.astype(int) - np.asarray(colour()).astype(int)).mean() < 6


def test_read__name_lies_about_format(tmp_path: Path) -> None:
    colour().save(tmp_path / "a.png", "WEBP", lossless=True)
    assert np.array_equal(photos.read_photo(tmp_path / "a.png"), np.asarray(colour()))


@pytest.mark.parametrize(
    ("orientation", "shape"), [(1, (16, 32)), (3, (16, 32)), (6, (32, 16)), (8, (32, 16))]
)
def test_read__exif_orientation(tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    colour().save(tmp_path / "a.png", exif=exif)
    turns = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]
    photo = photos.read_photo(tmp_path / "a.png")
    assert photo.shape[:2] == shape
    assert np.array_equal(photo, np.rot90(np.asarray(colour()), turns))


def test_read__pil_image_turned_and_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    colour().save(stream, "PNG", exif=exif)
    image = Image.open(stream)
    assert photos.read_photo(image).shape == (32, 16, 3)
    assert image.size == (32, 16)


def test_read__array_is_returned_and_never_changed() -> None:
    array = np.asarray(colour())[:, ::2]
    assert photos.read_photo(array) is array


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_read__array_that_is_no_photo(array: np.ndarray) -> None:
    with pytest.raises(PhotoError, match=r"RGB uint8 of shape"):
        photos.read_photo(array)


def test_read__grey_palette_and_one_bit() -> None:
    grey = Image.fromarray(GRADIENT)
    assert np.array_equal(photos.read_photo(grey)[:, :, 1], GRADIENT)
    palette = colour().quantize(64)
    assert np.array_equal(photos.read_photo(palette), np.asarray(palette.convert("RGB")))
    assert set(np.unique(photos.read_photo(grey.convert("1")))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_read__transparency_over_white(mode: str, tmp_path: Path) -> None:
    layer = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    layer.putpixel((0, 0), (0, 0, 0, 255))
    image = layer.convert("P").convert("PA") if mode == "PA" else layer.convert(mode)
    if mode == "PA":
        image.putalpha(layer.getchannel("A"))
    photo = photos.read_photo(image)
    assert photo[0, 0].tolist() == [0, 0, 0]
    assert photo[3, 3].tolist() == [255, 255, 255]


def test_read__transparent_palette_colour(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 10, 10, 200, 0, 0])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "a.png", transparency=0)
    photo = photos.read_photo(tmp_path / "a.png")
    assert photo[0, 0].tolist() == [255, 255, 255]
    assert photo[1, 1].tolist() == [200, 0, 0]


def test_read__cmyk(tmp_path: Path) -> None:
    colour().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    photo = photos.read_photo(tmp_path / "a.jpg")
    assert photo.shape == (16, 32, 3)
    assert photo[:, :4, 0].mean() < 40 < 200 < photo[:, -4:, 0].mean()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_read__16_bit_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    deep = (GRADIENT.astype(np.uint16) * 257).copy()
    Image.fromarray(deep).save(tmp_path / name)
    assert np.array_equal(photos.read_photo(tmp_path / name)[:, :, 0], GRADIENT)


def test_read__16_bit_colour_png(tmp_path: Path) -> None:
    deep = np.asarray(colour()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in deep.astype(">u2"))
    (tmp_path / "a.png").write_bytes(_png(32, 16, depth=16, colour_type=2, rows=rows))
    assert np.array_equal(photos.read_photo(tmp_path / "a.png"), np.asarray(colour()))


def test_read__32_bit_and_float_grey() -> None:
    assert np.array_equal(
        photos.read_photo(Image.fromarray(GRADIENT.astype(np.int32) * 257))[:, :, 0], GRADIENT
    )
    unit = (GRADIENT / 255).astype(np.float32)
    unit[0, 0] = np.nan
    photo = photos.read_photo(Image.fromarray(unit))[:, :, 0]
    assert np.array_equal(photo[1:], GRADIENT[1:])


def _png(width: int, height: int, *, depth: int, colour_type: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_read__decompression_bomb(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(60_000, 60_000, depth=1, colour_type=0, rows=b"\0"))
    with pytest.raises(PhotoError, match=r"bomb\.png: .*(pixels|million)"):
        photos.read_photo(tmp_path / "bomb.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tif"])
@pytest.mark.filterwarnings("error")
def test_read__large_photos_bring_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    colour().save(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # Pillow warns from there on
    assert photos.read_photo(tmp_path / name).shape == (16, 32, 3)
    assert photos.read_photo_bytes((tmp_path / name).read_bytes(), name).pixels.shape == (16, 32, 3)
    with photos.open_picture(tmp_path / name) as picture:
        assert picture.size == (32, 16)


def test_open_picture__too_large_or_none(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(60_000, 60_000, depth=1, colour_type=0, rows=b"\0"))
    (tmp_path / "none.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    colour().convert("P").save(tmp_path / "a.gif")
    for name in ("bomb.png", "none.png", "missing.png"):
        with pytest.raises(OSError), photos.open_picture(tmp_path / name):
            pass
    with photos.open_picture(tmp_path / "a.gif") as picture:
        assert picture.size == (32, 16)


def test_read__pixel_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour().save(tmp_path / "a.png")
    monkeypatch.setattr(photos, "MAX_PIXELS", 500)
    with pytest.raises(PhotoError, match="32×16 px is more than"):
        photos.read_photo(tmp_path / "a.png")
    monkeypatch.setattr(photos, "MAX_PIXELS", 512)
    assert photos.read_photo(tmp_path / "a.png").shape == (16, 32, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20_000, 500)])
def test_read__extreme_sizes(tmp_path: Path, width: int, height: int) -> None:
    Image.new("L", (width, height), 7).save(tmp_path / "a.png")
    assert photos.read_photo(tmp_path / "a.png").shape == (height, width, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tif"])
@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_read__truncated(tmp_path: Path, name: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(PhotoError, match=rf"{name}: the photo is damaged or cut short .*; copy it again"):
        photos.read_photo(tmp_path / name)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.95, 0.995])
def test_read__truncated_tiff(tmp_path: Path, compression: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.tif", compression=compression)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(PhotoError, match=r"a\.tif: the photo is damaged or cut short .*; copy it again"):
        photos.read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
@pytest.mark.parametrize("hole", [1, 100, 512])
def test_read__a_piece_in_the_middle_is_missing(tmp_path: Path, name: str, hole: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole, middle = (tmp_path / name).read_bytes(), (tmp_path / name).stat().st_size // 2
    (tmp_path / name).write_bytes(whole[:middle] + whole[middle + hole :])
    with pytest.raises(PhotoError, match="damaged or cut short"):
        photos.read_photo(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read__exif_turns_deep_samples_too(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GRADIENT).save(tmp_path / "eight.png", exif=exif)
    Image.fromarray(GRADIENT.astype(np.uint16) * 257).save(tmp_path / "deep.png", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "eight.png"))
    assert np.array_equal(photos.read_photo(tmp_path / "eight.png")[:, :, 0], np.asarray(expected))
    assert np.array_equal(photos.read_photo(tmp_path / "deep.png")[:, :, 0], np.asarray(expected))


def test_noted__is_a_photo_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = photos.NotedPhoto(np.asarray(colour()), ("taken through a window",))
    assert photos.read_photo(noted) is noted.pixels
    assert photos.read_noted_photo(noted) == noted
    monkeypatch.setattr(photos, "MAX_PIXELS", 500)
    with pytest.raises(PhotoError, match="32×16 px is more"):
        photos.read_noted_photo(noted)


def test_read__refusals_name_file_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "zero.jpg").touch()
    (tmp_path / "text.jpg").write_text("dear diary")
    cases = {
        "zero.jpg": "empty .zero bytes.; copy it again",
        "text.jpg": "not a JPEG, PNG, WebP, BMP, TIFF or HEIC photo; convert it",
        "missing.jpg": "there is no such file; check the path",
        "x" * 300 + ".jpg": "cannot be accessed|no such file",
        "nul\0byte.jpg": "check the path",
    }
    for name, sentence in cases.items():
        with pytest.raises(PhotoError, match=sentence) as caught:
            photos.read_photo(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
    with pytest.raises(PhotoError, match="this is a folder"):
        photos.read_photo(tmp_path)


def test_read__device_is_refused() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("there is no /dev/zero on this system")
    with pytest.raises(PhotoError, match="not a regular file"):
        photos.read_photo("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_read__unreadable_file(tmp_path: Path) -> None:
    colour().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(PhotoError, match="reading the file is not permitted"):
        photos.read_photo(tmp_path / "a.png")


def test_read__permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour().save(tmp_path / "a.png")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        PhotoError, match=r"a\.png: reading the file is not permitted; change its permissions"
    ):
        photos.read_photo(tmp_path / "a.png")


HEIC_HEAD = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


# A 64×48 gradient, red from left to right and green from right to left.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAa1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "AA5waXRtAAAAAAACAAAAEGlkYXQAAAAAAEAAMAAAADhpbG9jAQAAAERAAAIAAQAAAAAAAAHRAAEAAAAAAAAAUgACAAEAAAAAAAAA"
    "AQAAAAAAAAAIAAAAOGlpbmYAAAAAAAIAAAAVaW5mZQIAAAEAAQAAaHZjMQAAAAAVaW5mZQIAAAAAAgAAZ3JpZAAAAADYaXBycAAA"
    "ALZpcGNvAAAAdmh2Y0MBA3AAAAAAAAAAAAAe8AD8/fj4AAAPAyAAAQAYQAEMAf//A3AAAAMAkAAAAwAAAwAeugJAIQABACpCAQED"
    "cAAAAwCQAAADAAADAB6gIIEFlurkprm4EBAwIAAAAwAgAAADACEiAAEABkQBwXPAiQAAABRpc3BlAAAAAAAAAEAAAABAAAAAFGlz"
    "cGUAAAAAAAAAQAAAADAAAAAQcGl4aQAAAAADCAgIAAAAGmlwbWEAAAAAAAAAAgABAoECAAICA4QAAAAaaXJlZgAAAAAAAAAOZGlt"
    "ZwACAAEAAQAAAFptZGF0AAAATigBrwngyvGP0l0ANnc9Vc3oXa1IxQ9fmSvyrvouosexYQ7GfOBoBodsc/rX/81qBrGAYOHp+LEo"
    "CwBuuBzUQT2+aSPNd0cfw59jBwwSSA=="
)


def test_read__heic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pi_heif", reason="the optional part heic is not installed")
    (tmp_path / "phone.jpg").write_bytes(HEIC)
    photo = photos.read_photo(tmp_path / "phone.jpg")
    assert photo.shape == (48, 64, 3)
    assert photo[:, 0].mean(axis=0) == pytest.approx([0, 255, 90], abs=12)
    assert photo[:, -1].mean(axis=0) == pytest.approx([255, 0, 90], abs=12)
    with monkeypatch.context() as patch:
        patch.setattr(photos, "MAX_PIXELS", 3000)
        with pytest.raises(PhotoError, match="64×48 px is more"):
            photos.read_photo(tmp_path / "phone.jpg")
    (tmp_path / "phone.jpg").write_bytes(HEIC[:-40])
    with pytest.raises(PhotoError, match="damaged or cut short"):
        photos.read_photo(tmp_path / "phone.jpg")


def test_read__heic_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "phone.HEIC").write_bytes(HEIC_HEAD + bytes(64))
    with pytest.raises(MissingExtraError, match=r"phone\.HEIC: .*pip install 'drywallqa\[heic\]'"):
        photos.read_photo(tmp_path / "phone.HEIC")


def test_read__damaged_heic(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif", reason="the optional part heic is not installed")
    (tmp_path / "phone.heic").write_bytes(HEIC_HEAD + bytes(64))
    with pytest.raises(PhotoError, match=r"phone\.heic: the photo is damaged"):
        photos.read_photo(tmp_path / "phone.heic")


def test_photo_error__survives_pickling(tmp_path: Path) -> None:
    with pytest.raises(PhotoError) as caught:
        photos.read_photo(tmp_path / "missing.jpg")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("orientation", [1, 6])
def test_read__large_photos_in_strips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 23, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo.png", exif=exif)
    expected = photos.read_photo(tmp_path / "photo.png")
    monkeypatch.setattr(photos, "_STRIP", 23 * 5)
    assert np.array_equal(photos.read_photo(tmp_path / "photo.png"), expected)
    assert expected.shape == ((31, 23, 3) if orientation == 1 else (23, 31, 3))
