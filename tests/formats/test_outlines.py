import numpy as np
import pytest
from hypothesis import given, settings

from drywallqa.formats.outlines import draw_ring
from drywallqa.formats.tracing import keyhole, trace_regions
from odd_masks import odd_masks


def _draw(*points, side=64):
    mask = np.zeros((side, side), bool)
    draw_ring(mask, np.array(points, float))
    return mask


@settings(max_examples=100, deadline=None)
@given(odd_masks())
def test_draw__traced_masks_come_back(mask):
    drawn = np.zeros_like(mask)
    for region in trace_regions(mask):
        draw_ring(drawn, np.round(keyhole(region) / 640, 6) * 640)
    assert (drawn == mask).all()


def test_draw__a_thin_box_along_pixels_marks_only_these():
    mask = _draw((5, 7), (60, 7), (60, 8), (5, 8))
    assert mask.sum() == 55
    assert mask[7, 5:60].all()


def test_draw__a_thin_box_between_pixels_is_a_hairline():
    assert _draw((5, 7.4), (60, 7.4), (60, 7.6), (5, 7.6)).sum() >= 55


@pytest.mark.parametrize("width", [0.4, 4.0])
def test_draw__a_bridge_between_slivers_draws_nothing(width):
    one = [(4, 5), (30, 9), (30, 9 + width), (4, 5 + width)]
    two = [(40, 40), (60, 45), (60, 45 + width), (40, 40 + width)]
    ring = [one[2], one[3], one[0], one[1], one[2], *two, two[0], one[2]]
    assert (_draw(*ring) == (_draw(*one) | _draw(*two))).all()


def test_draw__a_slit_and_a_thin_hole_stay_open():
    outer, hole = [(2.5, 2.5), (60.5, 2.5), (60.5, 60.5), (2.5, 60.5)], [(9, 9), (9, 50), (10, 50.2), (10, 9)]
    mask = _draw(*outer, outer[0], *hole, hole[0])
    expected = _draw(*outer)
    expected[9:50, 9] = False
    assert (mask == expected).all()


def test_draw__rings_at_the_border():
    assert _draw((0, 0), (8, 0), (8, 8), (0, 8), side=8).all()
    assert _draw((0.1, 0.1), (7.9, 0), (8, 7.9), (0.1, 8), side=8).all()


def test_a_wide_loop_that_crosses_itself_is_no_hairline():
    mask = np.zeros((64, 64), bool)
    draw_ring(mask, np.array([[4, 4], [60, 60], [60, 4], [4, 60]], float))
    assert mask.sum() == pytest.approx(56 * 56 / 2, rel=0.02)
