"""Probability of detection and the detection limit."""

from __future__ import annotations

import numpy as np
import pytest

from drywallqa.evaluation.detection_limits import Hit, fit_detection


def _hits(count: int, middle: float, slope: float = 4.0) -> list[Hit]:
    generator = np.random.default_rng(0)
    widths = np.tile((0.7, 1.0, 1.5, 2.0, 3.0, 5.0), count)
    drawn = generator.random(len(widths))
    chance = 1 / (1 + np.exp(-slope * np.log(widths / middle)))
    return [Hit(float(width), bool(one)) for width, one in zip(widths, drawn < chance, strict=True)]


def test_limit_lies_where_nine_of_ten_are_found() -> None:
    curve = fit_detection(_hits(400, 1.2))
    truth = 1.2 * 9 ** (1 / 4.0)
    assert curve.found_90 == pytest.approx(truth, rel=0.07)
    assert curve.found_90 is not None
    assert curve.found_90_sure_95 is not None
    assert curve.found_90 < curve.found_90_sure_95 < 1.15 * truth


def test_few_cracks_give_a_higher_limit() -> None:
    many, few = fit_detection(_hits(400, 1.2)), fit_detection(_hits(15, 1.2))
    assert (few.found_90_sure_95 or 99) > (many.found_90_sure_95 or 0)


def test_a_limit_is_not_extrapolated() -> None:
    everything = fit_detection([Hit(width, True) for width in (0.7, 1.0, 2.0, 5.0) for _ in range(100)])
    assert everything.found_90_sure_95 == pytest.approx(0.7)
    nothing = fit_detection([Hit(width, False) for width in (0.7, 1.0, 2.0, 5.0) for _ in range(100)])
    assert nothing.found_90_sure_95 is None
    assert fit_detection([]).cracks == {}


def test_wide_cracks_that_are_missed_end_the_range() -> None:
    found = {3.0: 1.0, 5.0: 1.0, 8.0: 0.99, 12.0: 0.8, 20.0: 0.5, 30.0: 0.3}
    curve = fit_detection([Hit(width, k < 100 * share) for width, share in found.items() for k in range(100)])
    assert curve.widest_90_sure_95 is not None
    assert 6 < curve.widest_90_sure_95 < 11
    assert curve.found_90_sure_95 == pytest.approx(3)
    everything = fit_detection([Hit(width, True) for width in found for _ in range(100)])
    assert everything.widest_90_sure_95 == pytest.approx(30)
    assert fit_detection([Hit(width, False) for width in found]).widest_90_sure_95 is None
