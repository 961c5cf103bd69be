"""Widths of narrow lines, corrected for blur."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from drywallqa.imaging.line_blur import correct_blur
from drywallqa.imaging.line_profile import Edges, read_edges


def _photo(widths: list[float], blur: float) -> tuple[NDArray[np.float32], list[Edges]]:
    """Draw upright lines 40 px apart, and read their edges."""
    erf = np.vectorize(math.erf)
    grey = np.full((140, 40 * len(widths)), 180.0)
    columns, lines = np.arange(grey.shape[1], dtype=float), []
    for number, width in enumerate(widths):
        across = columns - (40 * number + 20.3)
        spread = blur * math.sqrt(2)
        grey -= 100 * (erf((across + width / 2) / spread) - erf((across - width / 2) / spread)) / 2
        lines.append(np.stack([np.full(120, 40 * number + 20.3), np.arange(10.0, 130.0)], axis=1))
    grey += np.random.default_rng(0).normal(0, 1.5, grey.shape)
    photo = grey.astype(np.float32)
    return photo, [read_edges(photo, line, np.full(120, 2.0)) for line in lines]


@pytest.mark.parametrize("blur", [0.7, 1.2])
@pytest.mark.parametrize("width", [2.5, 4.0])
def test_narrow_widths_beside_a_wide_line(width: float, blur: float) -> None:
    photo, lines = _photo([width, 5.5], blur)
    corrected = correct_blur(photo, lines)[0]
    error = np.abs(corrected.left + corrected.right - width)
    assert error.mean() < 0.35
    assert (error < 2.5 * corrected.sigma).all()


def test_hairline_is_uncertain() -> None:
    photo, lines = _photo([0.8], 1.0)
    apparent = lines[0].left + lines[0].right
    assert np.median(apparent) > 2.2
    (corrected,) = correct_blur(photo, lines)
    width = corrected.left + corrected.right
    assert np.median(width) < np.median(apparent)
    assert np.median(corrected.sigma / width) > 0.25


def test_wide_lines_stay_as_they_are() -> None:
    photo, lines = _photo([9.0], 1.0)
    (corrected,) = correct_blur(photo, lines)
    assert np.array_equal(corrected.left, lines[0].left)
    assert correct_blur(photo, []) == []
