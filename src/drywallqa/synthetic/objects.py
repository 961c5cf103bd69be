"""Draw objects other than cracks and seams that an inspector's photo of a wall may show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.synthetic.canvas import (
    Canvas,
    Draw,
    Generator,
    Mask,
    Stroke,
    coverage,
    distance_along,
    grid,
    noise,
)
from drywallqa.synthetic.joints import add_print, add_screw

_FINE = 3  # for smooth edges, some objects are drawn larger by this factor and then reduced


def draw_objects(canvas: Canvas, names: Iterable[str], makers: Mapping[str, Draw]) -> Mask:
    """Draw objects one after the other at random positions on the wall.

    Args:
        canvas: The canvas to draw on.
        names: Names of the objects to draw.
        makers: Name → function that draws the object, such as `OBJECTS`.

    Returns:
        The pixels that the objects hide, bool [H,W].
    """
    before = canvas.colour[1].copy()
    for name in names:
        makers[name](canvas, canvas.generator, canvas.scale)
    return np.asarray(np.abs(canvas.colour[1] - before) > 0.2)


def _patch(side: float) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    fine = max(8, round(side * _FINE))
    image = Image.new("RGBA", (fine, fine), (128, 128, 128, 0))
    return image, ImageDraw.Draw(image), fine


def _plate(
    canvas: Canvas,
    generator: Generator,
    scale: float,
    inside: Callable[[ImageDraw.ImageDraw, int, Generator], None],
) -> None:
    """Draw a square cover plate with a shadow. `inside` draws the contents of the plate."""
    image, pen, fine = _patch(generator.uniform(35, 110) * scale * 1.2)
    border = fine // 10
    level = int(generator.integers(190, 245))
    grey = (level, level, max(0, level - int(generator.integers(0, 14))), 255)
    box = (border, border, fine - border, fine - border)
    pen.rounded_rectangle(box, fine // 14, grey, (150, 150, 148, 255), 2)
    inside(pen, fine, generator)
    turned = image.rotate(generator.normal(0, 4), Image.Resampling.BILINEAR).reduce(_FINE)
    canvas.stamp(turned, canvas.somewhere(), shadow=generator.uniform(1, 4) * scale)


def _socket_inside(pen: ImageDraw.ImageDraw, fine: int, generator: Generator) -> None:
    centre, radius = fine / 2, fine * 0.28
    ring = (centre - radius, centre - radius, centre + radius, centre + radius)
    pen.ellipse(ring, (205, 205, 200, 255), (140, 140, 138, 255), max(1, fine // 60))
    hole = fine * 0.035
    for side in (-1, 1):
        x = centre + side * fine * 0.13
        pen.ellipse((x - hole, centre - hole, x + hole, centre + hole), (25, 25, 25, 255))


def _switch_inside(pen: ImageDraw.ImageDraw, fine: int, generator: Generator) -> None:
    inset = fine * 0.24
    pen.rectangle((inset, inset, fine - inset, fine - inset), (228, 228, 224, 255), (150, 150, 148, 255), 2)
    pen.line((inset, fine / 2, fine - inset, fine / 2), (160, 160, 158, 255), max(1, fine // 60))


def _cable(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a curved cable with a shadow and a highlight."""
    curve = np.array([canvas.somewhere(-0.1) for _ in range(int(generator.integers(3, 7)))])
    for _ in range(5):  # corner cutting (Chaikin, 1974) gives a smooth curve
        begin, stop = curve[:-1], curve[1:]
        cut = np.stack([0.75 * begin + 0.25 * stop, 0.25 * begin + 0.75 * stop], 1).reshape(-1, 2)
        curve = np.concatenate([curve[:1], cut, curve[-1:]])
    width = generator.uniform(2, 9) * scale
    widths = np.full(len(curve), width)
    offset = width * np.array([0.6, 0.8])
    canvas.darken(coverage([Stroke(curve + offset, widths)], canvas.size, 1) * np.float32(0.35))
    colours = ((0.05, 0.05, 0.06), (0.85, 0.85, 0.83), (0.75, 0.35, 0.08), (0.30, 0.31, 0.33))
    colour = np.asarray(colours[generator.integers(len(colours))])
    canvas.blend(coverage([Stroke(curve, widths)], canvas.size, 2), colour)
    shine = Stroke(curve - width * np.array([0.15, 0.2]), 0.3 * widths)
    canvas.blend(coverage([shine], canvas.size, 2) * np.float32(0.5), colour * 0.6 + 0.35)


def _pencil(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a few straight pencil strokes."""
    strokes = []
    for _ in range(int(generator.integers(1, 5))):
        x, y = canvas.somewhere()
        angle = generator.choice([0, np.pi / 2, generator.uniform(0, np.pi)])
        length = generator.uniform(10, 110) * scale
        end = (x + length * float(np.cos(angle)), y + length * float(np.sin(angle)))
        strokes.append(Stroke([(x, y), end], [generator.uniform(0.6, 1.4) * scale]))
    canvas.blend(coverage(strokes, canvas.size) * np.float32(generator.uniform(0.2, 0.6)), (0.25, 0.25, 0.28))


def _nails(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw nails, screws or holes, either scattered or in rows."""
    radius = generator.uniform(0.9, 3.2) * scale
    if generator.random() < 0.5:
        for _ in range(int(generator.integers(2, 14))):
            add_screw(canvas, canvas.somewhere(), radius)
        return
    spacing = generator.uniform(70, 180) * scale
    start = generator.uniform(0, spacing, 2)
    for y in np.arange(start[0], canvas.size[0], spacing * generator.uniform(0.6, 1.5)):
        for x in np.arange(start[1], canvas.size[1], spacing * 1.8):
            add_screw(canvas, (float(x + generator.normal(0, 3)), float(y + generator.normal(0, 3))), radius)


def _stain(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a brown stain with a darker rim."""
    rows, columns = grid(canvas.size)
    x, y = canvas.somewhere(0.0)
    radius = generator.uniform(40, 190) * scale
    distance = np.hypot(
        (rows - np.float32(y)) / np.float32(generator.uniform(0.6, 1.6)), columns - np.float32(x)
    )
    field = distance / np.float32(radius) + 0.22 * noise(canvas.size, 40 * scale, generator)
    body = np.clip((1 - field) * 4, 0, 1) * np.float32(0.35)
    rim = np.clip(1 - np.abs(field - 1) * 9, 0, 1) * np.float32(0.5)
    canvas.blend(np.maximum(body, rim) * np.float32(generator.uniform(0.2, 0.8)), (0.45, 0.35, 0.22))


def _mud(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a pale, smooth patch of filler with ragged ends."""
    centre = canvas.somewhere(0.0)
    angle = generator.choice([0, np.pi / 2]) + generator.normal(0, 0.1)
    along = distance_along(canvas.size, centre, (np.cos(angle), np.sin(angle)))
    across = distance_along(canvas.size, centre, (-np.sin(angle), np.cos(angle)))
    length, breadth = generator.uniform(60, 400) * scale, generator.uniform(15, 75) * scale
    field = np.maximum(np.abs(along) / np.float32(length), np.abs(across) / np.float32(breadth))
    ragged = field + 0.10 * noise(canvas.size, 22 * scale, generator)
    cover = np.clip((1 - ragged) * 12, 0, 1).astype(np.float32)
    tint = generator.choice([0.0, 0.03])
    canvas.blend(cover * np.float32(generator.uniform(0.4, 0.9)), (0.83 - tint, 0.84 - tint, 0.86 + tint))
    canvas.height += cover * np.float32(generator.uniform(0.3, 1.5))


def _scuffs(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw short scratches in about the same direction, either all pale or all dark."""
    x, y = canvas.somewhere()
    angle = generator.uniform(0, np.pi)
    strokes = []
    for _ in range(int(generator.integers(2, 12))):
        begin = np.array([x, y]) + generator.normal(0, 25 * scale, 2)
        turn = angle + generator.normal(0, 0.15)
        step = generator.uniform(8, 60) * scale * np.array([np.cos(turn), np.sin(turn)])
        strokes.append(Stroke(np.array([begin, begin + step]), [generator.uniform(0.5, 2.2) * scale]))
    cover = coverage(strokes, canvas.size) * np.float32(generator.uniform(0.15, 0.5))
    canvas.blend(cover, (0.92, 0.92, 0.9) if generator.random() < 0.6 else (0.2, 0.2, 0.2))


def _corner(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw the corner between two walls, or between wall and ceiling, as a straight change in brightness."""
    angle = generator.choice([0, np.pi / 2]) + generator.normal(0, 0.06)
    distance = distance_along(canvas.size, canvas.somewhere(0.12), (np.cos(angle), np.sin(angle)))
    beyond = np.clip(distance / np.float32(1.5 * scale) + 0.5, 0, 1)
    fade = 0.7 + 0.3 * np.exp(-np.maximum(distance, 0) / 150)
    canvas.darken(np.float32(generator.uniform(0.1, 0.4)) * beyond * fade)


def _frame(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a door frame, window frame or skirting board along one side of the photo."""
    height, width = canvas.size
    broad = int(generator.uniform(25, 130) * scale)
    inner = int(broad * generator.uniform(0.0, 0.7))
    side = int(generator.integers(4))
    boxes = [
        (slice(0, height), slice(0, broad), slice(0, inner)),
        (slice(0, height), slice(width - broad, width), slice(width - inner, width)),
        (slice(0, broad), slice(0, width), slice(0, inner)),
        (slice(height - broad, height), slice(0, width), slice(height - inner, height)),
    ]
    outer_rows, outer_columns, opening = boxes[side]
    white = generator.uniform(0.6, 0.95)
    green, blue = np.sort(generator.uniform(0.8, 1, 2))[::-1] * white
    tone = np.array([white, green, blue], np.float32)
    canvas.colour[:, outer_rows, outer_columns] = tone[:, None, None]
    canvas.height[outer_rows, outer_columns] = np.float32(6)
    dark = generator.uniform(0.05, 0.5) + generator.normal(0, 0.03, 3)
    box = (outer_rows, opening) if side < 2 else (opening, outer_columns)
    canvas.colour[:, box[0], box[1]] = np.clip(dark, 0.02, 1).astype(np.float32)[:, None, None]


def _factory_print(canvas: Canvas, generator: Generator, scale: float) -> None:
    add_print(canvas, canvas.somewhere(0.2), float(generator.choice([0, 90]) + generator.normal(0, 6)))


def _tool(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a tool, such as a clamp or a level, as a few bars and blocks in strong colours."""
    image, pen, fine = _patch(generator.uniform(60, 170) * scale)
    for _ in range(int(generator.integers(2, 5))):
        x, y = generator.uniform(0.1, 0.6, 2) * fine
        wide, high = generator.choice([0.08, 0.15, 0.45], 2) * fine
        colours = ((30, 30, 32), (190, 35, 30), (225, 190, 40), (150, 110, 70), (160, 165, 170))
        pen.rectangle((x, y, x + wide, y + high), (*colours[generator.integers(len(colours))], 255))
    turned = image.rotate(generator.uniform(0, 360), Image.Resampling.BILINEAR).reduce(_FINE)
    canvas.stamp(turned, canvas.somewhere(0.0), shadow=4 * scale)


OBJECTS: dict[str, Draw] = {
    "socket": partial(_plate, inside=_socket_inside),
    "switch": partial(_plate, inside=_switch_inside),
    "cable": _cable,
    "pencil": _pencil,
    "nails": _nails,
    "stain": _stain,
    "mud": _mud,
    "scuffs": _scuffs,
    "corner": _corner,
    "frame": _frame,
    "print": _factory_print,
    "tool": _tool,
}
"""Name of an object → function that draws it at a random position."""
