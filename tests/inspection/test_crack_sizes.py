"""Sizes of a crack from its lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drywallqa.imaging.line_search import CrackLine
from drywallqa.inspection.crack_sizes import crack_sizes, largest_width, raw_sizes
from drywallqa.inspection.measures import Measure
from drywallqa.inspection.scale import Scale


def _line(
    length: int = 100,
    width: float = 8.0,
    angle: float = 0.3,
    nodes: tuple[int, int] = (0, 1),
    sigma: float = 0.1,
) -> CrackLine:
    along = np.arange(length + 1.0)
    points = 50 + along[:, None] * [np.cos(angle), np.sin(angle)]
    each = np.ones(length + 1)
    return CrackLine(
        points, width / 2 * each, width / 2 * each, sigma * each, 50 * each, np.ones(length + 1, bool), *nodes
    )


def _holds(measure: Measure, truth: float) -> bool:
    return measure.low <= truth <= measure.high


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8, 1.5])
def test_straight_line(angle: float) -> None:
    sizes = crack_sizes([_line(angle=angle)])
    assert sizes is not None
    assert sizes.unit == "px"
    assert _holds(sizes.length, 100)
    assert sizes.length.value == pytest.approx(100, rel=0.01)
    for width in (sizes.width_mean, sizes.width_median, sizes.width_p95, sizes.width_max):
        assert width.value == pytest.approx(8, abs=0.3)
    assert sizes.area.value == pytest.approx(800, rel=0.03)


def test_width_at_a_branch_is_not_trusted() -> None:
    main, rest, branch = _line(nodes=(0, 1)), _line(nodes=(1, 2)), _line(nodes=(1, 3), width=6.0)
    left = main.left.copy()
    left[-5:] = 30.0  # where the branch begins, the edge of the main line is far away
    sizes = raw_sizes([replace(main, left=left), rest, branch])
    assert sizes is not None
    assert sizes.sizes["width_max"].value == pytest.approx(8.0)


def test_uncertain_width_is_only_at_most_a_value() -> None:
    sizes = crack_sizes([_line(width=1.8, sigma=0.6)])
    assert sizes is not None
    assert sizes.width_mean.value is None
    assert 1.0 < sizes.width_mean.high < 5.0
    assert sizes.area.value is None
    assert sizes.length.value is not None


def test_line_that_is_not_seen_has_no_sizes() -> None:
    line = _line()
    assert crack_sizes([replace(line, seen=np.zeros(101, bool))]) is None
    assert crack_sizes([]) is None


def test_millimetres_and_an_uncertain_scale() -> None:
    pixels = crack_sizes([_line()])
    exact = crack_sizes([_line()], Scale(0.5, 0.0, "test"))
    rough = crack_sizes([_line()], Scale(0.5, 0.1, "test"))
    assert pixels is not None
    assert exact is not None
    assert rough is not None
    assert exact.unit == "mm"
    assert exact.width_mean.value == pytest.approx(0.5 * (pixels.width_mean.value or 0), rel=1e-6)
    assert exact.area.value == pytest.approx(0.25 * (pixels.area.value or 0), rel=1e-6)
    assert rough.length.high - (rough.length.value or 0) > 0.19 * 50
    assert rough.area.high - (rough.area.value or 0) > 0.38 * 200


def test_largest_width__a_pore_beside_the_crack_is_not_its_width() -> None:
    widths = np.full(100, 3.0)
    widths[40:45] = 9.0  # 5 px long, 9 px wide: a pore
    widths[70:82] = 5.0  # 12 px long, 5 px wide: the crack
    width, place = largest_width(widths, np.ones(100, np.bool_))
    assert width == pytest.approx(5.0, abs=0.02)
    assert 70 <= place < 82


def test_largest_width__of_a_short_line_and_of_unreliable_points() -> None:
    assert largest_width(np.full(6, 4.0), np.ones(6, np.bool_))[0] == pytest.approx(4.0, abs=0.02)
    kept = np.arange(40) < 20
    widths = np.where(kept, 2.0, 8.0)
    assert largest_width(widths, kept) == (pytest.approx(2.0, abs=0.02), 10)
