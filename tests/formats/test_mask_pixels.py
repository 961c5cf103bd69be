import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from drywallqa.formats.mask_pixels import UNCLEAR, read_marked, survey_mask
from drywallqa.formats.pixel_values import describe_value, parse_value

HEIGHT, WIDTH = 120, 200
LINE = np.zeros((HEIGHT, WIDTH), bool)
LINE[50:60, 20:180] = True


def _grey(high: int = 255, low: int = 0) -> Image.Image:
    return Image.fromarray(np.where(LINE, high, low).astype(np.uint8))


def _full(value: int) -> Image.Image:
    return Image.new("L", (WIDTH, HEIGHT), value)


def _palette(indices: np.ndarray, *colours: int) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette(colours)
    return image


def _saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


ENCODINGS = {
    "palette, white first": (_palette(~LINE, 255, 255, 255, 0, 0, 0), {255: 1600, 0: 22400}),
    "palette, black first": (_palette(LINE, 0, 0, 0, 255, 255, 255), {255: 1600, 0: 22400}),
    "palette without colours": (_palette(LINE, 0, 0, 0, 0, 0, 0), {1: 1600, 0: 22400}),
    "palette, quantized": (_grey().convert("RGB").quantize(2), {255: 1600, 0: 22400}),
    "white under alpha": (Image.merge("RGBA", (*[_full(255)] * 3, _grey())), {255: 1600, 0: 22400}),
    "black under alpha": (Image.merge("RGBA", (*[_full(0)] * 3, _grey())), {255: 1600, 0: 22400}),
    "grey and alpha": (Image.merge("LA", (_full(255), _grey())), {255: 1600, 0: 22400}),
    "red and alpha": (Image.merge("RGBA", (_grey(), _full(0), _full(0), _grey())), {255: 1600, 0: 22400}),
    "alpha everywhere": (Image.merge("RGBA", (*[_grey()] * 3, _full(255))), {255: 1600, 0: 22400}),
    "transparent everywhere": (Image.merge("RGBA", (*[_full(255)] * 3, _full(0))), {0: 24000}),
    "red on black": (Image.merge("RGB", (_grey(), _full(0), _full(0))), {(255, 0, 0): 1600, 0: 22400}),
    "one bit": (_grey().convert("1"), {255: 1600, 0: 22400}),
    "zero and one": (_grey(1), {1: 1600, 0: 22400}),
    "sixteen bits": (Image.fromarray(LINE.astype(np.uint16) * 65535), {65535: 1600, 0: 22400}),
    "any number": (_grey(120), {120: 1600, 0: 22400}),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_survey__reads_the_values_that_a_viewer_shows(name, tmp_path):
    image, counts = ENCODINGS[name]
    file = survey_mask(_saved(image, tmp_path / "m.png"))
    assert file.counts == counts
    assert (file.size, file.levels, file.rounded) == ((HEIGHT, WIDTH), (), 0)
    marked = read_marked(file.path, set(counts) - {0}, file.levels, file.view)
    assert (marked == (LINE if len(counts) > 1 else False)).all()


def test_survey__shares_from_zero_to_one(tmp_path):
    values = np.where(LINE, 1.0, 0.0).astype(np.float32)
    assert survey_mask(_saved(Image.fromarray(values), tmp_path / "a.tif")).counts == {1: 1600, 0: 22400}
    assert survey_mask(_saved(Image.fromarray(values / 2), tmp_path / "b.tif")).counts == {
        128: 1600,
        0: 22400,
    }
    with pytest.raises(ValueError, match="negative or not finite"):
        survey_mask(_saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), tmp_path / "c.tif"))
    with pytest.raises(ValueError, match="neither whole numbers nor shares"):
        survey_mask(_saved(Image.fromarray(values * 1.5), tmp_path / "d.tif"))


def test_survey__colours_with_transparent_background(tmp_path):
    red, green = LINE & (np.arange(WIDTH) < 100), LINE & (np.arange(WIDTH) >= 100)
    pixels = np.full((HEIGHT, WIDTH, 4), (255, 255, 255, 0), np.uint8)
    pixels[red], pixels[green] = (255, 0, 0, 255), (0, 255, 0, 255)
    file = survey_mask(_saved(Image.fromarray(pixels), tmp_path / "m.png"))
    assert file.counts == {0: 22400, (255, 0, 0): 800, (0, 255, 0): 800}
    assert (read_marked(file.path, {(0, 255, 0)}) == green).all()


@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "L"), (".jpg", "RGB"), (".png", "L")])
def test_survey__soft_edges_and_compression_become_two_values(suffix, mode, tmp_path):
    image = _grey()
    if suffix == ".png":  # saved as JPEG before
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=95)
        image = Image.open(stream)
    file = survey_mask(_saved(image.convert(mode), tmp_path / f"m{suffix}", quality=95))
    assert set(file.counts) == {0, 255} == set(file.levels)
    assert file.rounded > 0
    assert (read_marked(file.path, {255}, file.levels) == LINE).all()


def test_survey__compressed_colours_become_two_values(tmp_path):
    image = Image.merge("RGB", (_grey(250, 2), _grey(10, 2), _grey(10, 2)))
    file = survey_mask(_saved(image, tmp_path / "m.jpg", quality=98, subsampling=0))
    assert len(file.counts) == 2
    (colour,) = set(file.counts) - {0}
    assert (read_marked(file.path, {colour}, file.levels) == LINE).all()


@pytest.mark.parametrize(
    "values",
    [(0, 100, 200), (0, 1, 2), (0, 1, 2, 3, 4, 5, 200), (0, 128, 250, 251, 252, 253, 254, 255)],
)
def test_survey__a_rare_class_is_never_rounded_away(values, tmp_path):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, value in enumerate(values[1:]):
        pixels[4:10, 10 * number : 10 * number + 6] = value
    file = survey_mask(_saved(Image.fromarray(pixels), tmp_path / "m.png"))
    assert set(file.counts) == set(values)


def test_survey__much_between_two_values_is_rounded_only_if_a_value_is_known(tmp_path):
    pixels = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    path = _saved(Image.fromarray(pixels), tmp_path / "m.png")
    assert survey_mask(path).levels == ()
    assert survey_mask(path, known=(255,)).counts == {0: 12000, 255: 12000}


def test_survey__class_numbers_beside_a_known_value_are_not_rounded(tmp_path):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[:60] = np.arange(WIDTH) % 60
    pixels[60] = 255
    file = survey_mask(_saved(Image.fromarray(pixels), tmp_path / "m.png"), known=(255,))
    assert len(file.counts) == 61


def test_survey__several_known_values_with_soft_edges(tmp_path):
    pixels = np.where(LINE, 100, 0).astype(np.float32)
    pixels[80:110, 20:100] = 200
    noise = np.random.default_rng(0).integers(-3, 4, pixels.shape) * (pixels > 0)
    path = _saved(Image.fromarray((pixels + noise).astype(np.uint8)), tmp_path / "m.png")
    assert survey_mask(path, known=(100, 200)).counts == {0: 20000, 100: 1600, 200: 2400}
    assert len(survey_mask(path).counts) > 3


def test_survey__a_picture_is_not_a_mask(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    with pytest.raises(ValueError, match="more than 65536 colours"):
        survey_mask(_saved(Image.fromarray(pixels), tmp_path / "m.png"))


def test_survey__a_table_of_numbers_counts_indices_unless_the_colours_are_numbers(tmp_path):
    indexed = _saved(_palette(LINE, 0, 0, 0, 128, 0, 0), tmp_path / "indexed.png")
    assert survey_mask(indexed, table={1, 2}).counts == {1: 1600, 0: 22400}
    swapped = _saved(_palette(~LINE, 1, 1, 1, 0, 0, 0), tmp_path / "swapped.png")
    file = survey_mask(swapped, table={1, 2})
    assert file.counts == {1: 1600, 0: 22400}
    assert (read_marked(swapped, {1}, file.levels, file.view) == LINE).all()
    coloured = survey_mask(indexed, table={(128, 0, 0)})
    assert coloured.counts == {(128, 0, 0): 1600, 0: 22400}


def test_values__text_and_back():
    assert [parse_value(text) for text in ("100", "#ff0000", "#ffffff")] == [100, (255, 0, 0), 255]
    assert [describe_value(value) for value in (100, (255, 0, 0))] == ["100", "#ff0000"]


def test_survey__colours_of_a_half_transparent_picture_are_kept(tmp_path):
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[LINE], pixels[80:90, 20:40] = (255, 0, 0, 90), (0, 255, 0, 90)
    path = _saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert survey_mask(path).counts == {0: 22200, (255, 0, 0): 1600, (0, 255, 0): 200}


def test_survey__soft_edges_of_several_colours_are_rounded_once_the_colours_are_known(tmp_path):
    large = Image.new("RGB", (4 * WIDTH, 4 * HEIGHT))
    large.paste((255, 0, 0), (40, 40, 120, 120))
    large.paste((0, 255, 0), (200, 40, 280, 120))
    path = _saved(large.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR), tmp_path / "a.png")
    found = survey_mask(path, [(255, 0, 0), (0, 255, 0)])
    assert found.counts == {0: 23200, (255, 0, 0): 400, (0, 255, 0): 400}
    assert found.rounded > 0
    unknown = np.asarray(Image.open(path)).copy()
    unknown[90:100, 100:120] = (0, 0, 255)
    _saved(Image.fromarray(unknown), path)
    assert survey_mask(path, [(255, 0, 0), (0, 255, 0)]).counts[0, 0, 255] == 200


def test_survey__given_colours_of_a_compressed_picture_are_found(tmp_path):
    pixels = np.zeros((512, 512, 3), np.uint8)
    pixels[50:200, 60:90], pixels[300:330, 100:400] = (255, 0, 0), (0, 255, 0)
    path = _saved(Image.fromarray(pixels), tmp_path / "a.jpg", quality=75)
    assert (255, 0, 0) not in survey_mask(path).counts
    counts = survey_mask(path, [(255, 0, 0), (0, 255, 0)]).counts
    assert counts == {0: 512 * 512 - 13500, (255, 0, 0): 4500, (0, 255, 0): 9000}


@pytest.mark.parametrize(("high", "readable"), [(65535, True), (1, False)])
def test_survey__small_numbers_in_16_bit_colours_are_refused(high, readable, tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = np.repeat(LINE.astype(">u2") * high, 3, axis=1)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows.astype(">u2")))
    chunks = chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    if readable:
        assert survey_mask(path).counts == {0: 22400, 255: 1600}
    else:
        with pytest.raises(ValueError, match="upper 8 bits"):
            survey_mask(path)


@pytest.mark.parametrize("high", [1, 2, 20])
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_survey__small_numbers_in_a_file_with_lossy_compression_are_refused(suffix, high, tmp_path):
    with pytest.raises(ValueError, match="lossy compression"):
        survey_mask(_saved(_grey(high), tmp_path / f"m{suffix}"))
    assert survey_mask(_saved(_full(0), tmp_path / f"empty{suffix}")).counts == {0: 24000}


def test_survey__a_webp_file_is_lossy_only_if_its_colours_are(tmp_path):
    exact = _saved(_grey(1), tmp_path / "a.webp", lossless=True)
    assert survey_mask(exact).counts == {1: 1600, 0: 22400}
    alpha = _saved(ENCODINGS["white under alpha"][0], tmp_path / "b.webp", lossless=True, exact=True)
    assert survey_mask(alpha).counts == {255: 1600, 0: 22400}
    numbers = Image.merge("RGBA", (*[_grey(1)] * 3, _full(255).point(lambda _: 254)))
    with pytest.raises(ValueError, match="lossy compression"):
        survey_mask(_saved(numbers, tmp_path / "c.webp"))
    clear = survey_mask(_saved(_grey(), tmp_path / "d.webp", quality=90))
    assert clear.counts == {255: 1600, 0: 22400}


def test_survey__similar_values_of_a_table_in_a_file_with_lossy_compression_are_refused(tmp_path):
    path = _saved(_grey(2), tmp_path / "m.jpg")
    with pytest.raises(ValueError, match="lossy compression"):
        survey_mask(path, table={1, 2})
    assert survey_mask(_saved(_full(0), path), table={100, 200}).counts == {0: 24000}


def test_survey__a_rare_class_in_a_file_with_lossy_compression_is_never_rounded_away(tmp_path):
    pixels = np.asarray(_grey()).copy()
    pixels[80:89, 20:29] = 100
    path = _saved(Image.fromarray(pixels), tmp_path / "m.jpg", quality=90)
    assert survey_mask(path).levels == ()
    assert survey_mask(path, known=(100, 255)).counts == {0: 22319, 255: 1600, 100: 81}


def test_survey__soft_edges_that_pass_through_a_third_class_are_unclear(tmp_path):
    pixels = np.zeros((4 * HEIGHT, 4 * WIDTH), np.uint8)
    pixels[42:122, 42:202], pixels[242:402, 242:402] = 100, 200
    image = Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    path = _saved(image, tmp_path / "m.png")
    file = survey_mask(path, known=(100, 200))
    assert file.levels == (0, 100, 200)
    assert file.counts[UNCLEAR] > 0
    rows, columns = np.nonzero(read_marked(path, {100}, file.levels))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (11, 29, 11, 49)
    assert (np.asarray(image)[read_marked(path, {UNCLEAR}, file.levels)] // 10 < 16).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_survey__a_rotation_in_exif_data_is_refused(suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with pytest.raises(ValueError, match="EXIF rotation"):
        survey_mask(_saved(_grey(), tmp_path / f"m{suffix}", exif=exif))
