"""Widths that were read by eye from grey profiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import DataError
from drywallqa.evaluation.widths_by_eye import by_eye_table, compare_by_eye


def test_label_and_measured_width_at_a_place(tmp_path: Path) -> None:
    label, crack = np.zeros((2, 120, 200), bool)
    label[50:64, 10:190] = True
    crack[53:61, 10:190] = True
    grey = np.where(crack, 70, 180) + np.random.default_rng(0).normal(0, 2, label.shape)
    for folder in ("images", "masks"):
        (tmp_path / "walls" / folder).mkdir(parents=True)
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(tmp_path / "walls" / "images" / "a.png")
    Image.fromarray(label).save(tmp_path / "walls" / "masks" / "a.png")
    table = tmp_path / "eye.csv"
    table.write_text(
        "set,photo,x,y,first_edge,last_edge\nwalls,a.png,100,57,-4.5,3.5\nwalls,a.png,100,20,-1,1\n"
    )
    crossed, beside = compare_by_eye(table, tmp_path)
    assert crossed.by_eye == 8
    assert crossed.label == pytest.approx(14, abs=0.3)
    assert crossed.measured == pytest.approx(8, abs=0.5)
    assert beside.measured is None
    said = by_eye_table([crossed, beside])
    assert "| walls a.png 100, 20 | 2.0 | 0.0 | no line |" in said
    assert "| label: 1 places | MAE 6" in said


def test_a_table_without_its_columns(tmp_path: Path) -> None:
    (tmp_path / "eye.csv").write_text("photo\na.png\n")
    with pytest.raises(DataError, match=r"eye\.csv: cannot be read as a table of widths"):
        list(compare_by_eye(tmp_path / "eye.csv", tmp_path))
