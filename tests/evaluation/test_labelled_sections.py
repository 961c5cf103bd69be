"""Sections of labelled cracks on real photos."""

from __future__ import annotations

import numpy as np
import pytest

from drywallqa.evaluation.labelled_sections import (
    LabelledWall,
    Section,
    found_interval,
    measure_sections,
    narrowest_found,
    sections_table,
)


def _wall(scale: float = 1.0) -> LabelledWall:
    """Return a photo with a horizontal dark crack that is 6 px wide, and a label that is 10 px wide."""
    label, crack = np.zeros((2, 120, 330), bool)
    label[50:60, 5:325] = True
    crack[52:58, 5:325] = True
    grey = np.where(crack, 70, 180) + np.random.default_rng(0).normal(0, 2, label.shape)
    photo = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return LabelledWall("wall.jpg", photo, label, "whole", scale)


def test_sections_of_a_crack_that_is_half_found() -> None:
    wall = _wall()
    mask = wall.label.copy()
    mask[:, 160:] = False
    sections = list(measure_sections(wall, mask))
    assert [one.found for one in sections] == [True] * 4 + [False] * 4
    for one in sections[1:-1]:
        assert one.label_width == pytest.approx(10, rel=0.05)
        assert one.read_width == pytest.approx(6, abs=0.5)
    table = sections_table(sections)
    assert "| 8–12 | 8 (1) | 50% (50%–50%) | 0 | – |" in table
    assert "| 4–6 |" in table or "| 6–8 |" in table


def test_widths_are_in_the_scale_of_the_limit() -> None:
    sections = list(measure_sections(_wall(2.0), np.zeros((120, 330), bool)))
    assert len(sections) == 4  # 80 px each
    assert sections[1].label_width == pytest.approx(5, rel=0.05)
    assert not any(one.found for one in sections)


def test_a_photo_without_a_label_has_no_sections() -> None:
    empty = np.zeros((120, 330), bool)
    assert list(measure_sections(LabelledWall("a", _wall().photo, empty, "whole", 1.0), empty)) == []


def test_the_interval_counts_photos_and_not_sections() -> None:
    def sections(photos: int) -> list[Section]:
        return [Section(f"{k % photos}", "whole", 5.0, None, k % photos < photos // 2) for k in range(200)]

    few, many = found_interval(sections(4)), found_interval(sections(100))
    assert few[1] - few[0] > 2 * (many[1] - many[0])
    assert many[0] < 0.5 < many[1]


def test_narrowest_width_of_which_nine_of_ten_are_found() -> None:
    def sections(width: float, share: float) -> list[Section]:
        return [Section("a", "whole", 9.0, width, k < 100 * share) for k in range(100)]

    wide = sections(5.0, 0.95) + sections(7.0, 1.0)
    assert narrowest_found([*wide, *sections(3.5, 0.9), *sections(2.5, 0.8)]) == 3
    assert narrowest_found([*wide, *sections(2.5, 0.8)[:9], *sections(1.0, 1.0)]) == 0
    assert narrowest_found(sections(10.0, 0.5)) == 12
