"""Growth is tested against the intervals of both visits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drywallqa.inspection.finding_overlap import LinePath, mapped_path, path_of
from drywallqa.inspection.growth import width_difference
from drywallqa.inspection.ledger import Observation
from drywallqa.inspection.measures import Measure
from visited_walls import observation, pair, straight

LINE = straight((100, 100), (600, 400))


def too_narrow(most: float) -> Observation:
    one = observation(LINE, most)
    assert one.px is not None
    return replace(one, px=replace(one.px, width_mean=Measure(None, 0.0, most)))


def difference(then: Observation, now: Observation) -> object:
    return width_difference((then,), (now,), path_of((then,)), path_of((now,)), 3.0)


def test_interval__combines_both_visits() -> None:
    found = width_difference(
        (observation(LINE, 4.0, sigma=0.3),), (observation(LINE, 5.0, sigma=0.4),),
        path_of((observation(LINE, 4.0),)), path_of((observation(LINE, 5.0),)), 3.0,
    )  # fmt: skip
    assert found is not None
    assert (found.value, found.high - found.value) == pytest.approx((1.0, 1.96 * 0.5))
    assert found.is_growth


def test_width_below_what_a_photo_can_show__only_proven_growth_counts() -> None:
    assert difference(too_narrow(2.0), observation(LINE, 2.1)) is None
    assert difference(observation(LINE, 2.0), too_narrow(3.0)) is None
    found = difference(too_narrow(2.0), observation(LINE, 4.0))
    assert getattr(found, "is_growth", False)


def test_mapped_width__follows_the_direction_of_a_stretch() -> None:
    stretched = pair("a", "b", np.diag([2.0, 1.0, 1.0])).alignment
    across = LinePath(straight((100, 50), (100, 300)), np.full(250, 4.0), 1.0)
    along = LinePath(straight((50, 100), (300, 100)), np.full(250, 4.0), 1.0)
    assert mapped_path(across, stretched).widths == pytest.approx(np.full(250, 8.0))
    assert mapped_path(along, stretched).widths == pytest.approx(np.full(250, 4.0))
    assert mapped_path(along, stretched).length == pytest.approx(2 * along.length)
