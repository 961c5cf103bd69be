"""Lines come back from the masks they were drawn as."""

import numpy as np
import pytest

from drywallqa.imaging.straight_lines import StraightLine, straight_lines
from drywallqa.metrics import share_near

LINE, OTHER = StraightLine((50, 20), (90, 620)), StraightLine((90, 300), (600, 320))
SIZE = (640, 640)


def mask_of(*lines: StraightLine, half_width: float = 2.5, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.any([line.band(size, half_width) for line in lines], axis=0)


@pytest.mark.parametrize("half_width", [1.0, 2.5, 20.0])
def test_straight_lines__of_any_width_are_found_to_a_pixel(half_width: float) -> None:
    found = straight_lines(mask_of(LINE, half_width=half_width))
    assert len(found) == 1
    assert share_near([LINE], found, 1.5) > 0.99
    assert share_near(found, [LINE], 1.5) > 0.99


def test_straight_lines__that_meet_are_told_apart_the_strongest_first() -> None:
    found = straight_lines(mask_of(LINE, OTHER))
    assert len(found) == 2
    assert found[0].length > found[1].length
    assert share_near([LINE, OTHER], found, 2) > 0.98
    assert share_near(found, [LINE, OTHER], 2) > 0.98


def test_straight_lines__small_gaps_are_bridged_and_large_ones_are_not() -> None:
    mask = mask_of(LINE)
    mask[200:225] = False
    assert len(straight_lines(mask)) == 1
    mask[200:300] = False
    assert len(straight_lines(mask)) == 2


def test_straight_lines__of_large_photos_lie_in_their_own_pixels() -> None:
    line = StraightLine((300, 200), (3000, 2000))
    found = straight_lines(mask_of(line, half_width=9, size=(3000, 4000)))
    assert share_near([line], found, 3) > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (40, 40)])
def test_straight_lines__nothing_marked_holds_none(shape: tuple[int, int]) -> None:
    assert straight_lines(np.zeros(shape, np.bool_)) == []
    spot = np.zeros(shape, np.bool_)
    spot[0, 0] = True
    assert straight_lines(spot) == []


def test_share_near__counts_length() -> None:
    half = StraightLine((0, 0), (50, 0))
    whole = StraightLine((0, 3), (100, 3))
    assert share_near([whole], [half], 4) == pytest.approx(0.53, abs=0.02)
    assert share_near([half], [whole], 4) == 1
    assert share_near([half], [], 4) == 0
    assert np.isnan(share_near([], [half], 4))
