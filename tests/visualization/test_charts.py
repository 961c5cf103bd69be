import io
import math

import numpy as np
import pytest
from PIL import Image

from drywallqa.visualization.charts import Chart, Line, Mark, chart_png, draw_chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (0.0, 2.3, [0, 0.5, 1.0, 1.5, 2.0]),
        (70.0, 100.0, [70, 75, 80, 85, 90, 95, 100]),
        (0.0, 180.0, [0, 20, 40, 60, 80, 100, 120, 140, 160, 180]),
        (0.0, 0.0015, [0, 0.0002, 0.0004, 0.0006, 0.0008, 0.001, 0.0012, 0.0014]),
    ],
)
def test_ticks__round_values(low: float, high: float, expected: list[float]) -> None:
    assert np.allclose(ticks(low, high), expected)


def test_chart__values_beyond_one_find_their_height() -> None:
    chart = Chart(
        "Loss", "step", "loss", [Line("loss", [(0, 4.0), (10, 1.0)])], x_range=(0, 10), y_range=(0, 4)
    )
    assert chart.place((0, 4.0))[1] < chart.place((0, 1.0))[1] < chart.place((0, 0.0))[1]
    assert chart.place((0, 4.0))[1] == pytest.approx(chart.place((0, 9.0))[1]), "what lies above stays inside"


def test_chart__lines_differ_without_colour() -> None:
    """Drawn alone, each line leaves another pattern of dark pixels along it."""
    patterns = set()
    for number in range(4):
        flat = [(0.0, 0.5), (1.0, 0.5)]
        lines = [Line(f"n{k}", flat if k == number else [(math.nan, math.nan)]) for k in range(4)]
        drawn = draw_chart(Chart("t", "x", "y", lines))
        row = round(Chart("t", "x", "y", lines).place((0.5, 0.5))[1] / 2)
        grey = np.asarray(drawn.convert("L"))[row]
        patterns.add(tuple((grey < 200)[150:700].tolist()))
    assert len(patterns) == 4


def test_chart__a_long_legend_takes_more_rows_and_no_room_from_the_title() -> None:
    few, many = (
        Chart("t", "x", "y", [Line(f"a rather long name {number}", [(0, 0)]) for number in range(count)])
        for count in (1, 8)
    )
    assert many.top > few.top
    picture = Image.open(io.BytesIO(chart_png(Chart("t", "x", "y", many.lines, [Mark(0.5, "in use")]))))
    assert picture.mode == "P"
    assert len(chart_png(many)) < 120_000
