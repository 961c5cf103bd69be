import io
import math
import sys

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import MissingExtraError
from drywallqa.visualization.charts import Chart, Line, chart_png, shares_png


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_chart__is_small_and_the_same_each_time() -> None:
    chart = Chart("t", "x", "y", [Line("IoU", [(0, 0.2), (1, 0.9)])], (0.5, "in use"), notes=["a note"])
    assert chart_png(chart) == chart_png(chart)
    assert len(chart_png(chart)) < 60_000
    assert opened(chart_png(chart)).size == (810, 600)


def test_chart__lines_differ_without_colour() -> None:
    """Drawn alone, each line leaves another pattern of dark pixels along it."""
    patterns = set()
    for number in range(4):
        flat = [(0.0, 0.5), (1.0, 0.5)]
        lines = [Line(f"n{k}", flat if k == number else [(math.nan, math.nan)]) for k in range(4)]
        grey = np.asarray(opened(chart_png(Chart("t", "x", "y", lines))).convert("L"))[:, 150:700]
        row = grey[200:450].mean(axis=1).argmin() + 200
        patterns.add(tuple((grey[row] < 200).tolist()))
    assert len(patterns) == 4


def test_chart__charts_stand_above_each_other() -> None:
    chart = Chart("t", "x", "y", [Line("trial", [(0, 0.5), (1, 0.5)], markers=True, joined=False)])
    named = Chart("t", "x", "y", [Line("", [])], x_range=(-0.5, 1.5), x_names=["a", "b"])
    rates = Chart("t", "x", "y", chart.lines, x_range=(1e-4, 1.0), log=True)
    assert opened(chart_png(chart, named, rates)).size == (810, 1800)


@pytest.mark.filterwarnings("error")
def test_chart__prompts_are_words_whatever_they_hold() -> None:
    chart = Chart('"a $\\frac{ 漢 crack" ' * 12, "x", "y", [Line("$1_", [(0, 0)])], notes=["$", "n " * 300])
    assert opened(chart_png(chart)).size == (810, 600)


def test_shares__the_larger_the_darker() -> None:
    content = shares_png("t", ["crack", "seam"], ["crack", "seam"], [[0.9, 0.1], [math.nan, 0.4]], ())
    grey = np.asarray(opened(content).convert("L")).astype(int)
    height, width = grey.shape
    quarters = grey[height // 3 :, width // 4 :]
    assert quarters.min() < 90
    assert quarters.max() == 255


def test_chart__without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    with pytest.raises(MissingExtraError, match=r"drywallqa\[report\]"):
        chart_png(Chart("t", "x", "y", []))
