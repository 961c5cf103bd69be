"""Close-ups of findings: a context picture beside an enlarged part with the measured edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from drywallqa.inspection.ledger import Observation, Point
from drywallqa.inspection.measure_text import System
from drywallqa.visualization.finding_labels import BLACK, WHITE, Colour
from drywallqa.visualization.finding_strokes import View, draw_edges, draw_strokes, edges_of
from drywallqa.visualization.scale_bar import draw_scale_bar, round_length

_PANEL = (480, 360)  # px
_GAP = 12  # px between the panels
_FINE = 2  # panels are drawn at this multiple of their size, which smooths all lines
_TEXT = 24  # px, size of the text of the scale bar
_EMPTY = (236, 238, 240)
_CONTEXT = 1.3  # context over the finding's size
_CLOSE = 14  # field of the close-up over the largest width
_FIELD = (48.0, 480.0)  # px of the photo, smallest and largest field of the close-up
_LEAST_CONTEXT = 3.0  # context over close-up


def draw_close_up(
    image: Image.Image,
    observation: Observation,
    colour: Colour,
    anchor: Point,
    mm_per_pixel: float | None,
    system: System,
) -> Image.Image:
    """Draw where a finding is on the photo (left) and its widest part with the measured edges (right).

    Args:
        image: The photo as viewed.
        observation: The finding on this photo.
        colour: RGB of the finding's outcome.
        anchor: Centre of the close-up of a measured line in px.
        mm_per_pixel: Scale of the photo; None without a scale.
        system: Units of the scale bars.
    """
    left, top, right, bottom = observation.box
    middle, ratio = ((left + right) / 2, (top + bottom) / 2), _PANEL[0] / _PANEL[1]
    whole_finding = max(right - left, (bottom - top) * ratio) * _CONTEXT
    widths = [max(line.width_px) for line in observation.centre_lines if line.width_px]
    if widths:
        field = float(np.clip(max(widths) * _CLOSE, *_FIELD))
    else:  # nothing was measured, so the close-up shows the whole outline
        anchor, field = middle, max(whole_finding, _FIELD[0])
    most = max(image.width, image.height * ratio)  # the whole photo
    context, view = _panel(image, middle, min(max(whole_finding, field * _LEAST_CONTEXT), most))
    draw_strokes(context, [observation], view, colour, 3 * _FINE)
    detail, near = _panel(image, anchor, min(field, most))
    draw_edges(detail, observation, near, colour, 2 * _FINE)
    _mark_field(context, view, near)
    _mark_width(detail, observation, near)
    _add_bar(context, view, mm_per_pixel, system)
    _add_bar(detail, near, mm_per_pixel, system)
    whole = Image.new("RGB", (2 * _PANEL[0] + _GAP, _PANEL[1]), WHITE)
    whole.paste(context.resize(_PANEL, Image.Resampling.BOX), (0, 0))
    whole.paste(detail.resize(_PANEL, Image.Resampling.BOX), (_PANEL[0] + _GAP, 0))
    return whole


def _panel(image: Image.Image, centre: Point, wide: float) -> tuple[Image.Image, View]:
    """Show a field of a photo, moved into the photo where it would cross the border."""
    high = wide * _PANEL[1] / _PANEL[0]
    left = _inside(centre[0] + 0.5 - wide / 2, wide, image.width)
    top = _inside(centre[1] + 0.5 - high / 2, high, image.height)
    factor = _PANEL[0] * _FINE / wide
    canvas = Image.new("RGB", (_PANEL[0] * _FINE, _PANEL[1] * _FINE), _EMPTY)
    x, y = max(left, 0.0), max(top, 0.0)
    right, bottom = min(left + wide, image.width), min(top + high, image.height)
    size = max(1, round((right - x) * factor)), max(1, round((bottom - y) * factor))
    part = image.resize(size, Image.Resampling.BICUBIC, (x, y, right, bottom))
    canvas.paste(part, (round((x - left) * factor), round((y - top) * factor)))
    return canvas, View(left, top, factor)


def _inside(start: float, length: float, whole: int) -> float:
    if length >= whole:
        return (whole - length) / 2
    return min(max(start, 0.0), whole - length)


def _mark_field(context: Image.Image, view: View, near: View) -> None:
    """Draw a frame around the part of the context that the close-up shows."""
    from PIL import ImageDraw

    share = view.factor / near.factor
    left, top = (near.left - view.left) * view.factor, (near.top - view.top) * view.factor
    box = (left, top, left + _PANEL[0] * _FINE * share, top + _PANEL[1] * _FINE * share)
    pen = ImageDraw.Draw(context)
    pen.rectangle(box, outline=WHITE, width=4 * _FINE)
    pen.rectangle([side + _FINE * sign for side, sign in zip(box, (1, 1, -1, -1), strict=True)],
                  outline=BLACK, width=2 * _FINE)  # fmt: skip


def _mark_width(detail: Image.Image, observation: Observation, near: View) -> None:
    """Draw two arrows at the largest width, like the jaws of a caliper."""
    from PIL import ImageDraw

    parts = [part for part in observation.centre_lines if len(part.points) > 1]
    if observation.widest_at is None or not parts:
        return
    spots = [(np.hypot(*(np.asarray(part.points) - observation.widest_at).T), part) for part in parts]
    distances, part = min(spots, key=lambda spot: float(spot[0].min()))
    at = int(distances.argmin())
    ends = [np.asarray(near.of((edge[at][0], edge[at][1]))) for edge in edges_of(part)]
    pen = ImageDraw.Draw(detail)
    for end, other in (ends, ends[::-1]):
        across = end - other
        _draw_arrow(pen, end, across / max(float(np.hypot(*across)), 1e-9))


def _draw_arrow(pen: Any, tip: Any, outward: Any) -> None:
    tail, head = tip + outward * 44 * _FINE, tip + outward * 14 * _FINE
    side = np.array([-outward[1], outward[0]]) * 7 * _FINE
    for colour, width, grow in ((WHITE, 6 * _FINE, 1.35), (BLACK, 3 * _FINE, 1.0)):
        pen.line((*head, *tail), fill=colour, width=width)
        pen.polygon([tuple(tip), tuple(head + side * grow), tuple(head - side * grow)], fill=colour)


def _add_bar(panel: Image.Image, view: View, mm_per_pixel: float | None, system: System) -> None:
    """Draw a scale bar on a white plate in the lower left corner."""
    from PIL import ImageDraw, ImageFont

    length, text = round_length(panel.width / view.factor / 4, mm_per_pixel, system)
    font = ImageFont.load_default(_TEXT * _FINE)
    pen, pad, bar = ImageDraw.Draw(panel), 7 * _FINE, length * view.factor
    top = panel.height - _TEXT * _FINE - 2 * pad
    pen.rectangle(
        (0, top, bar + font.getlength(text) + _TEXT * _FINE / 2 + 2 * pad, panel.height), fill=WHITE
    )
    draw_scale_bar(pen, (pad, panel.height - pad - 2 * _FINE), bar, text, font)
