"""Edges of a dark line in sub-pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from drywallqa.imaging.line_profile import read_edges


def _line(width: float, angle: float, blur: float = 0.7) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw a straight dark line through the middle of a grey photo; return the photo and its centre line."""
    size, heading = 120, np.array([np.cos(angle), np.sin(angle)])
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    across = columns * heading[1] - rows * heading[0]
    half, spread = width / 2, blur * math.sqrt(2)
    erf = np.vectorize(math.erf)
    dark = (erf((across + half) / spread) - erf((across - half) / spread)) / 2
    along = np.arange(-40.0, 41.0)
    return np.asarray(180 - 90 * dark, np.float32), along[:, None] * heading + (size - 1) / 2


@pytest.mark.parametrize("width", [4.0, 7.5, 12.0])
@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_width_and_depth(width: float, angle: float) -> None:
    grey, points = _line(width, angle)
    edges = read_edges(grey, points, np.full(len(points), width / 2 * 1.3))
    assert np.abs(edges.left + edges.right - width).max() < 0.25
    assert np.abs(edges.depth - 90).max() < 8


def test_centre_line_moves_onto_the_line() -> None:
    grey, points = _line(5.0, 0.3)
    off = points + np.array([-0.8 * np.sin(0.3), 0.8 * np.cos(0.3)])
    edges = read_edges(grey, off, np.full(len(points), 2.5))
    across = (edges.points - 59.5) @ [-np.sin(0.3), np.cos(0.3)]
    assert np.abs(across).max() < 0.1


def test_left_is_on_the_left_of_the_direction_of_travel() -> None:
    grey = np.full((40, 60), 200, np.float32)
    grey[18:22] = 60  # rows 18 to 21; the top edge lies at 17.5
    points = np.stack([np.arange(5.0, 55.0), np.full(50, 19.0)], axis=1)
    wider_above = read_edges(grey, points, np.full(50, 2.0))
    assert wider_above.points[25, 1] == pytest.approx(19.5, abs=0.1)
    one_sided = grey.copy()
    one_sided[22:] = 100  # the wall below is darker; its edge stays
    edges = read_edges(one_sided, points, np.full(50, 2.0))
    assert edges.points[25, 1] - edges.left[25] == pytest.approx(17.5, abs=0.3)


def test_border_and_short_lines() -> None:
    grey, points = _line(5.0, 0.0)
    at_border = points - [0, 57.0]
    edges = read_edges(grey, at_border, np.full(len(points), 2.5))
    assert np.isfinite(edges.left).all()
    assert np.isfinite(edges.points).all()
    for count in (0, 1, 2):
        assert len(read_edges(grey, points[:count], np.full(count, 2.5)).left) == count


def test_a_faded_place_takes_the_width_of_its_neighbours() -> None:
    """Where a line of 3 px fades, the profile reaches half depth only at the edge of a faint stain."""
    grey = np.full((60, 200), 180.0, np.float32)
    grey[29:32] = 120
    grey[26:35, 90:104] = 165
    points = np.stack([np.arange(10.0, 190.0), np.full(180, 30.0)], 1)
    edges = read_edges(grey, points, np.full(180, 1.5))
    width = (edges.left + edges.right)[80:94]
    assert width.max() < 4
