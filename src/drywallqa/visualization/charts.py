"""Draw line charts and confusion matrices with Matplotlib.

Lines differ in colour, dash pattern and marker, so that they stay distinguishable in greyscale and for
colour-blind people.
The colours come from M. Okabe and K. Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from drywallqa.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_SIZE = (5.4, 4.0)  # inches
_DENSITY = 150  # px per inch
_INK, _GREY = "#1e1e1e", "#969696"
_CYCLE = {
    "color": ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#5a5a5a"),
    "linestyle": ("-", (0, (6, 3)), (0, (1, 1.5)), (0, (7, 2, 1, 2)), (0, (4, 2)), (0, (1, 1))),
    "marker": tuple("s^DovP"),
}
_STYLE = {
    "axes.axisbelow": True, "axes.edgecolor": _INK, "axes.grid": True, "axes.spines.right": False,
    "axes.spines.top": False, "figure.titlesize": 11, "font.size": 8, "grid.color": "#d7d7d7",
    "legend.frameon": False, "legend.handlelength": 3.5, "lines.markersize": 5, "text.color": _INK,
    "text.parse_math": False,  # a prompt may contain dollar signs
}  # fmt: skip
_MARK: dict[str, Any] = {"color": _INK, "linewidth": 0.8, "linestyle": "--", "marker": ""}

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: Name in the legend. A line with an empty name is drawn thin and grey, and is not in the legend.
        points: Pairs (x, y) in axis units. A NaN interrupts the line.
        markers: Whether to draw a marker at each point.
        joined: Whether to connect the points.
    """

    name: str
    points: Sequence[Point]
    markers: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Chart:
    """A line chart. By default, both axes range from 0 to 1.

    Attributes:
        title: Chart title.
        x_title: Title of the x axis.
        y_title: Title of the y axis.
        lines: The lines, in the order of the legend.
        mark: x value and legend name of a vertical line, which can mark the current threshold, for example.
        x_range: Limits of the x axis.
        y_range: Limits of the y axis.
        notes: Remarks to print below the chart.
        log: Whether the x axis is logarithmic.
        x_names: Tick labels for the x values 0, 1, … instead of numbers.
    """

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    mark: tuple[float, str] | None = None
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    notes: Sequence[str] = ()
    log: bool = False
    x_names: Sequence[str] = ()


def chart_png(*charts: Chart) -> bytes:
    """Draw one or more charts, one below the other, as a single PNG.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    with _figure(_SIZE[0], _SIZE[1] * len(charts)) as figure:
        parts = figure.subfigures(len(charts), squeeze=False)[:, 0]
        for part, chart in zip(parts, charts, strict=True):
            _write(part, chart.title, chart.notes)
            _draw(part.subplots(), chart)
        return _encode(figure)


def shares_png(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float]],
    notes: Sequence[str],
) -> bytes:
    """Draw a confusion matrix as PNG. The values are shares between 0 and 1, and larger shares are darker.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    values = np.array(shares, np.float64)
    with _figure(1.4 + 1.1 * len(columns), 1.3 + 0.5 * len(rows)) as figure:
        _write(figure, title, notes)
        axes = figure.subplots()
        # The square root makes small shares easier to distinguish.
        axes.imshow(np.sqrt(values), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xlabel("marked as", labelpad=8)
        axes.set_ylabel("ground truth")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False, left=False)
        axes.xaxis.set_label_position("top")
        axes.grid(False)
        for (row, column), share in np.ndenumerate(values):
            text = "–" if np.isnan(share) else f"{share:.1%}"
            colour = "white" if share > 0.36 else _INK
            axes.text(column, row, text, ha="center", va="center", color=colour, size=10)
        return _encode(figure)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """Create a figure of a given size in inches, with fixed settings and no use of pyplot's global state."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
        from matplotlib.rcsetup import cycler
    except ModuleNotFoundError as error:
        raise MissingExtraError("drawing charts", "report") from error
    settings = {**_STYLE, "axes.prop_cycle": cycler(**_CYCLE)}
    # Matplotlib draws a box for each letter that its font lacks, and warns. The warnings are ignored.
    with style.context(["default", settings]), warnings.catch_warnings(action="ignore", category=UserWarning):
        yield Figure((width, height), dpi=_DENSITY, layout="constrained")


def _write(part: Figure | SubFigure, title: str, notes: Sequence[str]) -> None:
    """Write a title above a figure or subfigure, and notes below it."""
    letters = round(part.bbox.width / _DENSITY * 12)
    part.suptitle(textwrap.fill(title, letters), x=0.02, ha="left")
    lines = [textwrap.fill(note, round(1.5 * letters)) for note in notes]
    part.supxlabel("\n".join(lines), x=0.02, ha="left", size=7)


def _draw(axes: Axes, chart: Chart) -> None:
    for line in chart.lines:
        style: dict[str, Any] = {"label": line.name} if line.name else {**_MARK, "color": _GREY}
        style |= {"clip_on": False} if line.markers else {"marker": ""}
        style |= {} if line.joined else {"linestyle": ""}
        axes.plot(*zip(*line.points, strict=True), **style)
    if chart.mark:
        axes.axvline(chart.mark[0], label=chart.mark[1], **_MARK)
    axes.set(xlabel=chart.x_title, ylabel=chart.y_title, ylim=chart.y_range)
    if chart.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    if chart.x_names:
        axes.set_xticks(range(len(chart.x_names)), chart.x_names)
    axes.set_xlim(chart.x_range)
    longest = max((len(str(name)) for name in axes.get_legend_handles_labels()[1]), default=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=max(1, 70 // (longest + 10)))


def _encode(figure: Figure) -> bytes:
    drawn, encoded = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # A palette image needs only a third of the bytes, because a chart has few colours.
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(encoded, "PNG", optimize=True)
    return encoded.getvalue()
