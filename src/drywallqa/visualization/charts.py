"""Line charts and tables of shares, drawn with Pillow alone.

Lines differ in colour, dash and marker, so that a chart can be read in grey and by the colour-blind. The
colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image, ImageDraw

from drywallqa.visualization.lettering import INK, PALE, PAPER, add_notes, fitting, font

COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (90, 90, 90))
_DASHES = ((), (14, 7), (3, 5), (18, 6, 3, 6), (8, 4), (2, 3))
DENSITY = 1.5  # px of a finished chart for each unit of its layout, so that it prints sharply
_FINER = 2  # drawn at twice that, for smooth lines
_SCALE = round(_FINER * DENSITY)
_WIDTH, _HEIGHT = 540, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 44, 56
_ROW = 22  # of the legend

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: In the legend; "" for a helper line, which is drawn thin and grey.
        points: (x, y) in the chart's units; nan leaves a gap.
        markers: Whether each point gets a marker.
    """

    name: str
    points: Sequence[Point]
    markers: bool = False


@dataclass(frozen=True)
class Mark:
    """A vertical line with words, for the value in use."""

    x: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart; both axes run from 0 to 1 unless told.

    Attributes:
        title: Above it.
        x_title: Beneath the x axis.
        y_title: Above the y axis.
        lines: In the order of the legend.
        marks: Values in use.
        x_range: Ends of the x axis.
        y_range: Ends of the y axis.
        notes: What a reader must know, beneath everything.
    """

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    x_range: tuple[float, float] = (0.0, 1.0)
    notes: Sequence[str] = field(default=())
    y_range: tuple[float, float] = (0.0, 1.0)

    @cached_property
    def top(self) -> float:
        """Upper end of the y axis in units of the layout: beneath the title and the legend's rows."""
        return _TOP + _ROW * max(1, len(_legend_rows(self)))

    def place(self, point: Point) -> tuple[float, float]:
        """Bring a point of the chart's units to px of the enlarged picture."""
        (left, right), (low, high) = self.x_range, self.y_range
        across = _LEFT + (point[0] - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)
        share = min(max((point[1] - low) / (high - low), 0.0), 1.0)
        down = _HEIGHT - _BOTTOM - share * (_HEIGHT - self.top - _BOTTOM)
        return across * _SCALE, down * _SCALE


def png_bytes(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def chart_png(chart: Chart) -> bytes:
    """Draw a chart as a small PNG: it has few colours, so that a palette tells them all."""
    return png_bytes(draw_chart(chart).quantize(128, kmeans=2, dither=Image.Dither.NONE))


def draw_chart(chart: Chart) -> Image.Image:
    """Draw a chart with its notes beneath."""
    picture = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), PAPER)
    pen = ImageDraw.Draw(picture)
    _axes(pen, chart)
    named = 0
    for line in chart.lines:
        number = named if line.name else -1
        named += bool(line.name)
        _line(pen, chart, line, number)
    for mark in chart.marks:
        bottom, top = (chart.place((mark.x, y)) for y in chart.y_range)
        _dashed(pen, [top, bottom], (8, 6), INK, _SCALE)
        anchor = "la" if mark.x < sum(chart.x_range) / 2 else "ra"
        offset = (5 if anchor == "la" else -5) * _SCALE
        pen.text((top[0] + offset, top[1] + 4 * _SCALE), mark.text, INK, font(13 * _SCALE), anchor)
    _legend(pen, chart)
    return add_notes(picture.reduce(_FINER), chart.notes, 13 * DENSITY)


def _axes(pen: ImageDraw.ImageDraw, chart: Chart) -> None:
    (left, right), (low, high) = chart.x_range, chart.y_range
    words, gap = font(13 * _SCALE), 6 * _SCALE
    for y in ticks(low, high):
        start, end = chart.place((left, y)), chart.place((right, y))
        pen.line([start, end], PALE, _SCALE)
        pen.text((start[0] - gap, start[1]), f"{y:.4g}", INK, words, "rm")
    for x in ticks(left, right):
        start, end = chart.place((x, low)), chart.place((x, high))
        pen.line([start, end], PALE, _SCALE)
        pen.text((start[0], start[1] + gap), f"{x:.4g}", INK, words, "ma")
    corners = [chart.place(point) for point in ((left, high), (left, low), (right, low))]
    pen.line(corners, INK, 3 * _SCALE // 2)
    title = fitting(chart.title, 17 * _SCALE, (_WIDTH - 2 * gap / _SCALE) * _SCALE)
    pen.text((gap, 8 * _SCALE), title, INK, font(17 * _SCALE), "la")
    pen.text((gap, (_TOP + _ROW / 2) * _SCALE), chart.y_title, INK, words, "lm")
    middle = chart.place(((left + right) / 2, low))
    pen.text((middle[0], (_HEIGHT - 12) * _SCALE), chart.x_title, INK, font(14 * _SCALE), "ms")


def ticks(low: float, high: float, most: int = 10) -> list[float]:
    """Choose round values between two ends, at most `most` + 1, apart by 1, 2 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    while (high - low) / step > most + 1e-9:
        step *= 2.5 if f"{step:e}".startswith("2") else 2
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _line(pen: ImageDraw.ImageDraw, chart: Chart, line: Line, number: int) -> None:
    colour, dash, width = _look(number)
    run: list[Point] = []
    for point in [*line.points, (math.nan, math.nan)]:
        if math.isfinite(point[0]) and math.isfinite(point[1]):
            run.append(chart.place(point))
            continue
        _dashed(pen, run, dash, colour, width)
        if line.markers or len(run) == 1:
            for place in run:
                _marker(pen, place, number, colour)
        run = []


def _look(number: int) -> tuple[tuple[int, int, int], tuple[int, ...], int]:
    if number < 0:
        return (150, 150, 150), (6, 6), _SCALE
    return COLOURS[number % len(COLOURS)], _DASHES[number % len(_DASHES)], 5 * _SCALE // 2


def _dashed(
    pen: ImageDraw.ImageDraw,
    points: Sequence[Point],
    dash: Sequence[int],
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """Draw a line through points; `dash` gives lengths on and off in px of the finished picture."""
    if len(points) < 2:
        return
    if not dash:
        pen.line(list(points), colour, width, joint="curve")
        return
    lengths = [length * _SCALE for length in dash]
    part, left = 0, float(lengths[0])
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        whole, done = math.hypot(x1 - x0, y1 - y0), 0.0
        while whole - done > 1e-6:
            step = min(left, whole - done)
            if part % 2 == 0:
                ends = [
                    (x0 + (x1 - x0) * at / whole, y0 + (y1 - y0) * at / whole) for at in (done, done + step)
                ]
                pen.line(ends, colour, width)
            done, left = done + step, left - step
            if left <= 1e-6:
                part = (part + 1) % len(lengths)
                left = float(lengths[part])


def _marker(pen: ImageDraw.ImageDraw, place: Point, number: int, colour: tuple[int, int, int]) -> None:
    x, y = place
    size, more = 4 * _SCALE, 3 * _SCALE // 2
    shapes: tuple[list[Point], ...] = (
        [(x - size, y - size), (x + size, y - size), (x + size, y + size), (x - size, y + size)],
        [(x, y - size - more), (x + size + more, y + size), (x - size - more, y + size)],
        [(x, y - size - more), (x + size + more, y), (x, y + size + more), (x - size - more, y)],
    )
    if number % 4 == 3:
        pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    else:
        pen.polygon(shapes[number % 4], fill=colour)


def _legend_rows(chart: Chart) -> list[list[tuple[int, Line, float]]]:
    """Lay the names of lines into rows: (number, line, width in units of the layout)."""
    rows: list[list[tuple[int, Line, float]]] = []
    room = 0.0
    for number, line in enumerate(line for line in chart.lines if line.name):
        width = font(13).getlength(line.name) + 56
        if not rows or width > room:
            rows.append([])
            # the first row shares its height with the y axis's title
            taken = font(13).getlength(chart.y_title) if len(rows) == 1 else 0
            room = _WIDTH - _RIGHT - taken
        rows[-1].append((number, line, width))
        room -= width
    return rows


def _legend(pen: ImageDraw.ImageDraw, chart: Chart) -> None:
    """Name the lines above the chart's right end."""
    words = font(13 * _SCALE)
    for place, row in enumerate(_legend_rows(chart)):
        middle = (_TOP + _ROW * (place + 0.5)) * _SCALE
        left = (_WIDTH - _RIGHT - sum(width for _, _, width in row)) * _SCALE
        for number, line, width in row:
            colour, dash, thickness = _look(number)
            _dashed(
                pen, [(left + 16 * _SCALE, middle), (left + 48 * _SCALE, middle)], dash, colour, thickness
            )
            if line.markers:
                _marker(pen, (left + 32 * _SCALE, middle), number, colour)
            pen.text((left + 54 * _SCALE, middle), line.name, INK, words, "lm")
            left += width * _SCALE


def draw_shares(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float]],
    notes: Sequence[str],
) -> Image.Image:
    """Draw a table of shares in 0–1 whose cells are the darker the larger; rows should each sum to 1."""
    unit = DENSITY
    across, down, left, top = (round(length * unit) for length in (128, 64, 150, 92))
    size = (left + across * len(columns) + round(16 * unit), top + down * len(rows) + round(12 * unit))
    picture = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((10 * unit, 10 * unit), title, INK, font(17 * unit))
    pen.text((left, 44 * unit), "marked as", INK, font(14 * unit))
    pen.text((left - 12 * unit, top - 14 * unit), "truth", INK, font(14 * unit), "rm")
    for number, name in enumerate(columns):
        pen.text((left + across * (number + 0.5), top - 14 * unit), name, INK, font(14 * unit), "mm")
    for row, (name, values) in enumerate(zip(rows, shares, strict=True)):
        middle = top + down * (row + 0.5)
        pen.text((left - 12 * unit, middle), name, INK, font(15 * unit), "rm")
        for column, share in enumerate(values):
            # white to a deep blue, whose darkness alone tells the share
            tone = 0.0 if math.isnan(share) else math.sqrt(share)
            fill = tuple(round(255 + (deep - 255) * tone) for deep in (8, 48, 107))
            x, y = left + column * across, top + row * down
            box = (x, y, x + across - 2 * unit, y + down - 2 * unit)
            pen.rectangle(box, fill=fill, outline=PALE, width=round(unit))
            words = "–" if math.isnan(share) else f"{share:.1%}"
            ink = PAPER if tone > 0.6 else INK
            pen.text((x + across / 2, middle), words, ink, font(17 * unit), "mm")
    return add_notes(picture, notes, 13 * unit)
