"""Intervals: the one bootstrap by photograph."""

import numpy as np
import pytest

from drywallqa.intervals import mean_figure


def test_mean_figure__holds_the_mean_and_narrows_with_photographs() -> None:
    generator = np.random.default_rng(0)
    few, many = generator.random(10), generator.random(1000)
    found = mean_figure(few.tolist(), [str(i) for i in range(10)])
    narrow = mean_figure(many.tolist(), [str(i) for i in range(1000)])
    assert found.low < few.mean() < found.high
    assert narrow.high - narrow.low < (found.high - found.low) / 4
    same = mean_figure([0.3] * 5, list("abcde"))
    assert (same.low, same.high) == pytest.approx((0.3, 0.3))


def test_mean_figure__copies_of_one_photograph_weigh_once() -> None:
    found = mean_figure([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert (found.value, found.photographs, found.pairs) == (0.5, 2, 4)
