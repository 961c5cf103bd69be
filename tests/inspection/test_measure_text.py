"""Sizes as text: the decimals follow the interval, inches come with the nearest 1/64."""

import pytest

from drywallqa.inspection.measure_text import fraction_of_inch, length_text, measure_text
from drywallqa.inspection.measures import Measure


@pytest.mark.parametrize(
    ("measure", "unit", "system", "power", "text"),
    [
        (Measure(1.234, 1.1, 1.4), "mm", "metric", 1, "1.23 mm (1.10–1.40)"),
        (Measure(1.2, 0.8, 1.6), "mm", "metric", 1, "1.2 mm (0.8–1.6)"),
        (Measure(1240.4, 1200, 1290), "mm", "metric", 1, "1,240 mm (1,200–1,290)"),
        (Measure(None, 0.0, 0.3), "mm", "metric", 1, "≤ 0.30 mm"),
        (Measure(3.21, 2.0, 4.0), "px", "imperial", 1, "3.2 px (2.0–4.0)"),
        (Measure(25.4, 24.0, 27.0), "mm", "imperial", 1, "1.00 in [1] (0.94–1.06)"),
        (Measure(None, 0.0, 0.4), "mm", "imperial", 1, "≤ 0.016 in [1/64]"),
        (Measure(645.16, 600.0, 700.0), "mm", "imperial", 2, "1.00 in² (0.93–1.09)"),
    ],
)
def test_measure__value_interval_and_unit(measure, unit, system, power, text) -> None:
    assert measure_text(measure, unit, system, power) == text


@pytest.mark.parametrize(
    ("inches", "text"), [(0.047, "3/64"), (1.5, "1 1/2"), (2.0, "2"), (0.005, "<1/64"), (0.9999, "1")]
)
def test_fraction__nearest_64th(inches: float, text: str) -> None:
    assert fraction_of_inch(inches) == text


def test_length__without_interval() -> None:
    assert length_text(0.421, "mm", "metric") == "0.42 mm"
    assert length_text(0.421, "mm", "imperial") == "0.017 in [1/64]"
    assert length_text(1234.5, "mm", "metric") == "1,234 mm"
