"""Scale bars have round lengths and never more than their room."""

import pytest

from drywallqa.visualization.scale_bar import round_length


@pytest.mark.parametrize(
    ("longest", "mm_per_pixel", "system", "length", "text"),
    [
        (340, None, "metric", 200, "200 px"),
        (340, 0.4, "metric", 250, "100 mm"),
        (1000, 1.0, "metric", 1000, "1 m"),
        (9, 0.1, "metric", 5, "0.5 mm"),
        (400, 0.4, "imperial", 381, "6 in"),
        (100, 0.01, "imperial", 79.375, "1/32 in"),
    ],
)
def test_round_length(longest, mm_per_pixel, system, length, text) -> None:
    found = round_length(longest, mm_per_pixel, system)
    assert found == (pytest.approx(length), text)
    assert found[0] <= longest
