"""Widths of labels across measured lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import DataError
from drywallqa.evaluation.labelled_widths import compare_photo, label_widths, labelled_photos, labelled_table
from drywallqa.imaging.line_search import CrackLine


def _photo(width: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Return a photo with a horizontal dark crack, and its label."""
    label = np.zeros((120, 200), bool)
    label[50 : 50 + width, 20:180] = True
    grey = np.where(label, 70, 180) + np.random.default_rng(0).normal(0, 2, label.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), label


def test_width_of_a_label_across_a_line() -> None:
    _, label = _photo()
    columns = np.arange(10.0, 191.0)
    each = np.full(len(columns), 4.0)
    line = CrackLine(
        np.stack([columns, np.full(len(columns), 53.0)], axis=1), each, each, each, each,
        np.ones(len(columns), bool), 0, 1,
    )  # fmt: skip
    widths = label_widths(label, line)
    assert widths[90] == pytest.approx(9, abs=0.3)
    assert widths[0] == 0
    far = CrackLine(line.points + np.array([0, 20]), each, each, each, each, line.seen, 0, 1)
    assert not label_widths(label, far).any()


def test_measured_width_agrees_with_the_label() -> None:
    photo, label = _photo()
    (found,) = compare_photo("wall.jpg", photo, label, None)
    assert found.truth == pytest.approx(9, abs=0.3)
    assert found.measured.value == pytest.approx(9, abs=0.5)
    assert found.point_error < 0.5
    table = labelled_table([found])
    assert "| label, three times too wide | 8–20 | 1 | 100% |" in table
    assert list(compare_photo("wall.jpg", photo, np.zeros_like(label), None)) == []


def test_photos_of_a_part(tmp_path: Path) -> None:
    photo, label = _photo()
    for folder in ("images", "masks"):
        (tmp_path / "walls" / folder).mkdir(parents=True)
    Image.fromarray(photo).save(tmp_path / "walls" / "images" / "a.jpg")
    Image.fromarray(label).save(tmp_path / "walls" / "masks" / "a.png")
    (tmp_path / "split.csv").write_text("set,file,part\nwalls,a.jpg,dev\nwalls,b.jpg,final\n")
    ((name, pixels, found),) = labelled_photos(tmp_path, "walls", "dev")
    assert name == "a.jpg"
    assert pixels.shape == (120, 200, 3)
    assert np.array_equal(found, label)
    (tmp_path / "split.csv").write_text("name\na.jpg\n")
    with pytest.raises(DataError, match=r"split\.csv: must have the columns"):
        list(labelled_photos(tmp_path, "walls", "dev"))
