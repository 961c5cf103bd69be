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

from PIL import Image, ImageDraw, ImageFont

INK, PALE, PAPER = (30, 30, 30), (215, 215, 215), (255, 255, 255)
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (90, 90, 90))
_DASHES = ((), (14, 7), (3, 5), (18, 6, 3, 6), (8, 4), (2, 3))
_SCALE = 2  # drawn at twice the size, for smooth lines
_WIDTH, _HEIGHT = 760, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 64, 64

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
    """A chart whose y axis, and usually x axis, run from 0 to 1.

    Attributes:
        title: Above it.
        x_title: Beneath the x axis.
        y_title: Above the y axis.
        lines: In the order of the legend.
        marks: Values in use.
        x_range: Ends of the x axis.
        notes: What a reader must know, beneath everything.
    """

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    x_range: tuple[float, float] = (0.0, 1.0)
    notes: Sequence[str] = field(default=())

    def place(self, point: Point) -> tuple[float, float]:
        """Bring a point of the chart's units to px of the enlarged picture."""
        low, high = self.x_range
        across = _LEFT + (point[0] - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)
        down = _HEIGHT - _BOTTOM - min(max(point[1], 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)
        return across * _SCALE, down * _SCALE


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font at a size in px."""
    return ImageFont.load_default(size)


def png(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


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
        top, bottom = chart.place((mark.x, 1.0)), chart.place((mark.x, 0.0))
        _dashed(pen, [top, bottom], (8, 6), INK, 2)
        anchor = "la" if mark.x < sum(chart.x_range) / 2 else "ra"
        offset = 8 if anchor == "la" else -8
        pen.text((top[0] + offset, top[1] + 6), mark.text, INK, font(24), anchor)
    _legend(pen, chart)
    return with_notes(picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS), chart.notes)


def _axes(pen: ImageDraw.ImageDraw, chart: Chart) -> None:
    low, high = chart.x_range
    for step in range(11):
        share = step / 10
        x, value = low + share * (high - low), share
        pen.line([chart.place((x, 0)), chart.place((x, 1))], PALE, 2)
        pen.line([chart.place((low, value)), chart.place((high, value))], PALE, 2)
        left, bottom = chart.place((low, value)), chart.place((x, 0))
        pen.text((left[0] - 12, left[1]), f"{value:.1f}", INK, font(24), "rm")
        pen.text((bottom[0], bottom[1] + 12), f"{x:.3g}", INK, font(24), "ma")
    pen.line([chart.place((low, 1)), chart.place((low, 0)), chart.place((high, 0))], INK, 3)
    pen.text((_LEFT * _SCALE, 16), chart.title, INK, font(34), "la")
    pen.text((16, (_TOP - 8) * _SCALE), chart.y_title, INK, font(24), "ls")
    middle = chart.place(((low + high) / 2, 0))
    pen.text((middle[0], (_HEIGHT - 12) * _SCALE), chart.x_title, INK, font(26), "ms")


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
        return (150, 150, 150), (6, 6), 2
    return COLOURS[number % len(COLOURS)], _DASHES[number % len(_DASHES)], 5


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
    size = 8
    shapes: tuple[list[Point], ...] = (
        [(x - size, y - size), (x + size, y - size), (x + size, y + size), (x - size, y + size)],
        [(x, y - size - 3), (x + size + 2, y + size), (x - size - 2, y + size)],
        [(x, y - size - 3), (x + size + 3, y), (x, y + size + 3), (x - size - 3, y)],
    )
    if number % 4 == 3:
        pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    else:
        pen.polygon(shapes[number % 4], fill=colour)


def _legend(pen: ImageDraw.ImageDraw, chart: Chart) -> None:
    """Name the lines above the chart's right end, from right to left."""
    named = [line for line in chart.lines if line.name]
    right = float((_WIDTH - _RIGHT) * _SCALE)
    baseline = (_TOP - 14) * _SCALE
    for number in reversed(range(len(named))):
        colour, dash, width = _look(number)
        right -= font(24).getlength(named[number].name)
        pen.text((right, baseline), named[number].name, INK, font(24), "lm")
        _dashed(pen, [(right - 70, baseline), (right - 10, baseline)], dash, colour, width)
        if named[number].markers:
            _marker(pen, (right - 40, baseline), number, colour)
        right -= 100


def wrap(text: str, size: float, width: float) -> list[str]:
    """Break a text into lines of at most `width` px."""
    shape, lines, line = font(size), [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and shape.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines


def with_notes(picture: Image.Image, notes: Sequence[str]) -> Image.Image:
    """Put notes beneath a picture; the picture itself where there are none."""
    lines = [line for note in notes for line in wrap(note, 14, picture.width - 24)]
    if not lines:
        return picture
    sheet = Image.new("RGB", (picture.width, picture.height + 19 * len(lines) + 14), PAPER)
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        pen.text((12, picture.height + 4 + 19 * number), line, INK, font(14))
    return sheet


def draw_shares(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float]],
    notes: Sequence[str],
) -> Image.Image:
    """Draw a table of shares in 0–1 whose cells are the darker the larger; rows should each sum to 1."""
    cell, head, left, top = (128, 64), 44, 170, 100
    width = left + cell[0] * len(columns) + 24
    picture = Image.new("RGB", (width, top + cell[1] * len(rows) + 24), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((16, 14), title, INK, font(18))
    pen.text((left, head + 8), "marked as", INK, font(14))
    pen.text((left - 12, top - 14), "truth", INK, font(14), "rm")
    for number, name in enumerate(columns):
        pen.text((left + cell[0] * (number + 0.5), top - 14), name, INK, font(14), "mm")
    for row, (name, values) in enumerate(zip(rows, shares, strict=True)):
        up = top + row * cell[1]
        pen.text((left - 12, up + cell[1] / 2), name, INK, font(15), "rm")
        for column, share in enumerate(values):
            # white to a deep blue, whose darkness alone tells the share
            tone = 0.0 if math.isnan(share) else math.sqrt(share)
            fill = tuple(round(255 + (deep - 255) * tone) for deep in (8, 48, 107))
            across = left + column * cell[0]
            pen.rectangle((across, up, across + cell[0] - 2, up + cell[1] - 2), fill=fill, outline=PALE)
            words = "–" if math.isnan(share) else f"{share:.1%}"
            ink = PAPER if tone > 0.6 else INK
            pen.text((across + cell[0] / 2, up + cell[1] / 2), words, ink, font(17), "mm")
    return with_notes(picture, notes)
