"""Free ends of dark lines."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drywallqa.imaging.line_ends import to_free_end


def _bar(end: float, width: float) -> NDArray[np.float32]:
    """Draw a horizontal dark bar from column 10 to a fractional column `end`, around row 30."""
    grey = np.full((60, 120), 180.0)
    rows, columns = np.mgrid[:60, :120]
    across = np.clip(width / 2 + 0.5 - np.abs(rows - 30), 0, 1)
    along = np.clip(columns - 9.5, 0, 1) * np.clip(end + 0.5 - columns, 0, 1)
    return np.asarray(grey - 100 * across * along, np.float32)


@pytest.mark.parametrize("width", [2.0, 6.0, 12.0])
@pytest.mark.parametrize("stop", [66, 75])  # the line was found too short or too long
def test_end_lies_where_the_line_ends(width: float, stop: int) -> None:
    grey = _bar(70.3, width)
    points = np.stack([np.arange(15.0, stop), np.full(stop - 15, 30.0)], axis=1)
    found = to_free_end(grey, points, np.full(len(points), width))
    assert found[-1, 0] == pytest.approx(70.3, abs=0.6)
    assert np.abs(np.diff(found[:, 0]) - 1).max() < 0.6


def test_line_without_contrast_and_short_line_stay() -> None:
    grey = np.full((60, 120), 180, np.float32)
    points = np.stack([np.arange(15.0, 60.0), np.full(45, 30.0)], axis=1)
    assert np.array_equal(to_free_end(grey, points, np.full(45, 3.0)), points)
    assert np.array_equal(to_free_end(_bar(70, 3), points[:4], np.full(4, 3.0)), points[:4])


def test_line_to_the_border_ends_at_the_border() -> None:
    grey = _bar(200.0, 5.0)
    points = np.stack([np.arange(60.0, 112.0), np.full(52, 30.0)], axis=1)
    found = to_free_end(grey, points, np.full(52, 5.0))
    assert 117.5 <= found[-1, 0] <= 119.5
