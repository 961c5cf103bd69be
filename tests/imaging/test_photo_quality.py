"""Notes on photos that could not have shown a crack, and none on sound ones."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.imaging import photos
from drywallqa.imaging.photo_quality import quality_notes
from drywallqa.synthetic.walls import render_wall

Photo = NDArray[np.uint8]
SIDE = 640
DOWN, ACROSS = np.mgrid[:SIDE, :SIDE].astype(np.float32)
DATA = Path(os.environ.get("DRYWALLQA_DATA", Path(__file__).parents[2] / "shared" / "data"))


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def shot(light: NDArray[np.floating], noise: float = 1.0, jpeg: int | None = 90) -> Photo:
    """What a camera makes of light: noise, 8 bits, JPEG."""
    grey = np.clip(np.rint(light + generator().normal(0, noise, light.shape)), 0, 255).astype(np.uint8)
    image = Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))
    if jpeg is None:
        return np.asarray(image)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=jpeg)
    return np.asarray(Image.open(stream))


def cracked(light: NDArray[np.floating], depth: float) -> NDArray[np.floating]:
    course = SIDE / 2 + 40 * np.sin(DOWN / 60) + DOWN / 10
    return light - depth * np.exp(-(((ACROSS - course) / 1.2) ** 2))


def level(value: float) -> NDArray[np.floating]:
    return np.full((SIDE, SIDE), value, np.float32)


def plaster(fineness: float, contrast: float) -> NDArray[np.floating]:
    grain = Image.fromarray(generator().normal(128, 40, (SIDE, SIDE)).clip(0, 255).astype(np.uint8))
    smooth = np.asarray(grain.filter(ImageFilter.GaussianBlur(fineness))).astype(np.float32)
    return 150 + contrast * (smooth - smooth.mean()) / smooth.std()


def blurred(photo: Photo, radius: float) -> Photo:
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def moved(photo: Photo, length: int) -> Photo:
    """Blurred along the rows by a movement of so many px."""
    sums = np.cumsum(np.pad(photo.astype(np.int32), ((0, 0), (length, 0), (0, 0)), "edge"), axis=1)
    return ((sums[:, length:] - sums[:, :-length]) // length).astype(np.uint8)


@pytest.mark.parametrize("top", [0, 3, 7])
def test_notes__nearly_black(top: int) -> None:
    photo = (shot(plaster(0.7, 30)).astype(np.uint16) * top // 255).astype(np.uint8)
    (note,) = quality_notes(photo)
    assert note == "nearly black: 100% of its pixels are below 8 of 255; take it again with more light"


def test_notes__nearly_black_beside_a_lamp() -> None:
    photo = shot(level(2)).copy()
    photo[:100, :300] = 220
    (note,) = quality_notes(photo)
    assert note.startswith("nearly black: 93% of")


@pytest.mark.parametrize("rows", [300, 400, 560])
def test_notes__black_in_large_part(rows: int) -> None:
    photo = render_wall(3).photo.copy()
    photo[-rows:] = 0
    (note,) = quality_notes(photo)
    assert note.startswith(f"black in large part: {rows / SIDE:.0%} of its pixels")
    assert "nothing is visible there" in note


@pytest.mark.parametrize("over", [90, 140])
def test_notes__blown_out(over: int) -> None:
    photo = np.clip(shot(level(235)).astype(int) + over, 0, 255).astype(np.uint8)
    (note,) = quality_notes(photo)
    assert note == "blown out: 100% of its pixels are above 253 of 255; take it again with less light"


def test_notes__blown_out_in_large_part() -> None:
    photo = render_wall(3).photo.copy()
    photo[:400] = 255
    (note,) = quality_notes(photo)
    assert note.startswith("blown out in large part: 6")


@pytest.mark.parametrize("value", [20, 128, 240])
@pytest.mark.parametrize("spread", [0, 2])
def test_notes__one_flat_tone(value: int, spread: int) -> None:
    grey = generator().integers(value, value + spread + 1, (SIDE, SIDE, 1), dtype=np.uint8)
    (note,) = quality_notes(np.repeat(grey, 3, axis=2))
    assert note.startswith(f"one flat tone: its pixels differ by {spread} of 255")


@pytest.mark.parametrize("radius", [3, 4, 6])
@pytest.mark.parametrize("contrast", [25, 60])
def test_notes__out_of_focus(radius: float, contrast: float) -> None:
    (note,) = quality_notes(blurred(shot(plaster(2, contrast)), radius))
    assert note.startswith("may be out of focus: ")


@pytest.mark.parametrize("radius", [3, 4])
def test_notes__rendered_walls_out_of_focus(radius: float) -> None:
    for seed in (0, 1):
        (note,) = quality_notes(blurred(render_wall(seed).photo, radius))
        assert note.startswith("may be out of focus: ")


@pytest.mark.parametrize("length", [11, 15])
@pytest.mark.parametrize("turns", [0, 1])
def test_notes__moved(length: int, turns: int) -> None:
    photo = np.ascontiguousarray(np.rot90(moved(shot(plaster(2, 60)), length), turns))
    (note,) = quality_notes(photo)
    assert note.startswith("may be blurred by movement: ")


@pytest.mark.parametrize("noise", [0.7, 1.5, 3.0])
@pytest.mark.parametrize("jpeg", [None, 85])
def test_sound__smooth_walls(noise: float, jpeg: int | None) -> None:
    walls = {
        "white with a faint crack": cracked(level(235), 10),
        "nearly overexposed, with a crack": cracked(level(249), 12),
        "under a lamp": 60 + 190 * np.exp(-((ACROSS - 320) ** 2 + (DOWN - 320) ** 2) / 80_000),
        "night, dark but usable": cracked(18 + 10 * np.exp(-((ACROSS - 320) ** 2) / 45_000), 12),
        "macro of plaster": plaster(1.2, 25),
        **{
            f"soft shadow of {width} px": 205 + 25 * np.tanh((ACROSS + DOWN / 2 - 500) / 2 / width)
            for width in (2, 5, 15, 40)
        },
    }
    assert {
        name: notes for name, wall in walls.items() if (notes := quality_notes(shot(wall, noise, jpeg)))
    } == {}


def test_sound__rendered_walls() -> None:
    assert {seed: notes for seed in range(12) if (notes := quality_notes(render_wall(seed).photo))} == {}


@pytest.mark.parametrize("times", [2, 3])
def test_sound__enlarged(times: int) -> None:
    small = Image.fromarray(shot(cracked(plaster(0.6, 25), 60))).crop((0, 0, SIDE // times, SIDE // times))
    assert quality_notes(np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))) == ()


def test_sound__one_line_that_leans_is_no_movement() -> None:
    wall = level(200)
    wall[np.abs(ACROSS - 300 - DOWN / 12) < 3] = 40
    assert quality_notes(shot(wall)) == ()


@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (20_000, 1), (3, 5), (48, 64), (700, 5_000)])
def test_notes__any_shape(shape: tuple[int, int]) -> None:
    photo = generator().integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert isinstance(quality_notes(photo), tuple)
    assert quality_notes(np.zeros((*shape, 3), np.uint8))[0].startswith("nearly black")


def test_notes__large_photo_as_its_small_copy() -> None:
    sharp = np.asarray(Image.fromarray(render_wall(5).photo).resize((2560, 2560)))
    assert quality_notes(sharp) == ()
    soft = np.asarray(Image.fromarray(blurred(shot(plaster(0.7, 35)), 4)).resize((2560, 2560)))
    (note,) = quality_notes(soft)
    assert note.startswith("may be out of focus")


def test_notes__never_change_the_photo() -> None:
    photo = render_wall(1).photo.copy()
    photo.setflags(write=False)
    quality_notes(photo[:, ::-1])


def benchmark_photos() -> list[Path]:
    table = DATA / "benchmark.csv"
    if not table.is_file():
        pytest.skip("the data sets of DRYWALLQA_DATA are not here")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = [row["file"] for row in csv.DictReader(lines) if row["split"] == "val"]
    return [DATA / name for name in rows[::2]]


def test_sound__real_photos_under_one_in_a_hundred() -> None:
    paths = benchmark_photos()
    noted = [
        path.name
        for path in paths
        if any("may be" in note for note in quality_notes(photos.read_photo(path)))
    ]
    assert len(noted) <= len(paths) / 100, noted


@pytest.mark.parametrize(("radius", "least"), [(3, 0.7), (4, 0.7), (6, 0.55)])
def test_notes__real_photos_blurred(radius: float, least: float) -> None:
    soft = [quality_notes(blurred(photos.read_photo(path), radius)) for path in benchmark_photos()]
    assert sum(any("may be" in note for note in notes) for notes in soft) >= least * len(soft)
