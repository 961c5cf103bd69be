from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.thinness import is_straight, is_thin, wants_native


def data_set(folder: Path, width: int, count: int = 3, bent: bool = False) -> Dataset:
    samples = []
    for number in range(count):
        mask = np.zeros((640, 480), np.uint8)
        for column in range(20, 460):
            top = 100 + (round(60 * np.sin(column / 25)) if bent else 0)
            mask[top : top + width, column] = 255
        Image.fromarray(mask).save(folder / f"{number}.png")
        samples.append(
            Sample(str(number), f"{number}.jpg", "set", str(number), 640, 480, {"crack": f"{number}.png"})
        )
    return Dataset(folder, tuple(samples))


@pytest.mark.parametrize(("width", "thin"), [(4, True), (20, True), (40, False), (200, False)])
def test_is_thin__by_width(tmp_path: Path, width: int, thin: bool) -> None:
    assert is_thin(data_set(tmp_path, width), "crack") == thin


def test_is_thin__unknown_or_absent(tmp_path: Path) -> None:
    assert not is_thin(data_set(tmp_path, 4), "taping area")
    assert not is_thin(data_set(tmp_path, 0), "crack")


@pytest.mark.parametrize("bent", [False, True])
def test_wants_native__what_is_thin_and_no_straight_line(tmp_path: Path, bent: bool) -> None:
    dataset = data_set(tmp_path, 6, bent=bent)
    assert is_thin(dataset, "crack")
    assert is_straight(dataset, "crack") != bent
    assert wants_native(dataset, "crack") == bent
    assert not is_straight(dataset, "taping area")
