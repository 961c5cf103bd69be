"""Rendered cracks of exactly known geometry."""

from __future__ import annotations

import numpy as np
import pytest

from drywallqa.synthetic.known_cracks import CALIBRATION_SURFACES, TEST_SURFACES, render_known_wall


@pytest.mark.parametrize(
    ("widths", "surfaces"), [((1.0, 3.0, 8.0, 12.0), TEST_SURFACES), ((20.0,), TEST_SURFACES)]
)
def test_geometry_agrees_with_the_pixels(widths: tuple[float, ...], surfaces: tuple[str, ...]) -> None:
    wall = render_known_wall([1, 2], widths, surfaces)
    assert len(wall.cracks) == len(widths)
    assert wall.surface in surfaces
    for crack, width in zip(wall.cracks, widths, strict=True):
        main = crack.lines[0]
        assert main.widths.mean() == pytest.approx(width)
        assert np.hypot(*np.diff(main.points, axis=0).T).max() < 0.3
        if crack.form != "branched":
            assert crack.area == pytest.approx(main.length * width, rel=0.02)
        if width >= 8:
            assert crack.mask.sum() == pytest.approx(crack.area, rel=0.06)
        grey = wall.photo.mean(axis=2)
        column, row = main.points[len(main.points) // 2].round().astype(int)
        surroundings = grey[row - 25 : row + 26, column - 25 : column + 26]
        if width >= 3:
            assert grey[row, column] < np.median(surroundings[surroundings > np.median(surroundings)])


def test_same_seed_gives_the_same_wall() -> None:
    first, second = (render_known_wall([3, 4], (5.0,), CALIBRATION_SURFACES) for _ in range(2))
    other = render_known_wall([3, 5], (5.0,), CALIBRATION_SURFACES)
    assert np.array_equal(first.photo, second.photo)
    assert not np.array_equal(first.photo, other.photo)


def test_calibration_and_test_share_no_surface() -> None:
    assert not set(CALIBRATION_SURFACES) & set(TEST_SURFACES)
