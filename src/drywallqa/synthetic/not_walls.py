"""Draw pictures that do not show a wall, in which a model must not mark anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from drywallqa.synthetic.camera import photograph
from drywallqa.synthetic.canvas import (
    Canvas,
    Draw,
    Generator,
    Photo,
    Size,
    Stroke,
    coverage,
    distance_along,
    grid,
    noise,
    octaves,
)
from drywallqa.synthetic.organic_lines import figure, fur, ridge, vessels
from drywallqa.synthetic.surfaces import surface


def render_other(seed: int | Generator, size: Size = (640, 640), kind: str | None = None) -> Photo:
    """Render a picture that does not show a wall.

    Args:
        seed: Seed or random generator. The same seed always gives the same picture.
        size: Height and width in px.
        kind: One of `OTHERS`. Random if None.

    Returns:
        The picture, uint8 [H,W,3].
    """
    generator = np.random.default_rng(seed)
    name = kind or list(OTHERS)[generator.integers(len(OTHERS))]
    canvas = Canvas.plain(size, (0, 0, 0), generator)
    OTHERS[name](canvas, generator, canvas.scale)
    return photograph(canvas.colour, generator, canvas.scale)


def _colour(generator: Generator) -> NDArray[np.float64]:
    """Choose a random colour, which is usually muted."""
    vivid = generator.random() < 0.25
    values = generator.random(3)
    return values if vivid else values.mean() + 0.3 * (values - values.mean())


def _gradient(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a gradient between two colours, like a sky or a studio backdrop."""
    canvas.fill(_colour(generator))
    rows, columns = grid(canvas.size)
    angle = generator.uniform(0, 2 * np.pi)
    place = (columns / canvas.size[1] - 0.5) * np.cos(angle) + (rows / canvas.size[0] - 0.5) * np.sin(angle)
    canvas.blend(np.clip(place + 0.5, 0, 1).astype(np.float32), _colour(generator))


def _shapes(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw overlapping discs, boxes and polygons in random colours."""
    _gradient(canvas, generator, scale)
    with canvas.sheet() as pen:
        for _ in range(int(generator.integers(4, 26))):
            centre = generator.random(2) * canvas.size[::-1]
            radius = generator.uniform(0.02, 0.25) * max(canvas.size)
            fill = (*(int(value) for value in generator.integers(0, 256, 3)), 255)
            box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius * 0.8)
            shape = generator.integers(3)
            if shape == 0:
                pen.ellipse(box, fill)
            elif shape == 1:
                pen.rectangle(box, fill)
            else:
                corners = centre + generator.normal(0, radius, (int(generator.integers(3, 7)), 2))
                pen.polygon([(float(x), float(y)) for x, y in corners], fill)


def _page(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw lines of random text, as on a printed page or a screen."""
    dark = generator.random() < 0.3
    canvas.fill((0.1, 0.11, 0.13) if dark else (0.95, 0.95, 0.93))
    height = generator.uniform(9, 42) * scale
    font = ImageFont.load_default(size=max(6.0, height))
    letters = list("abcdefghijklmnopqrstuvwxyz    ABCDEFG0123456789.,")
    ink = (225, 225, 220, 255) if dark else (25, 25, 30, 255)
    top = generator.uniform(0, 3) * height
    with canvas.sheet() as pen:
        while top < canvas.size[0]:
            count = int(generator.uniform(0.4, 1.0) * canvas.size[1] / (0.5 * height))
            if generator.random() < 0.85:
                pen.text((height, top), "".join(generator.choice(letters, count)), font=font, fill=ink)
            top += height * 1.45


def _stripes(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw straight or wavy stripes, as in shutters, fabric or ploughed fields."""
    canvas.fill(_colour(generator))
    angle = generator.uniform(0, np.pi)
    place = distance_along(canvas.size, (0, 0), (np.cos(angle), np.sin(angle)))
    place = place + noise(canvas.size, 120 * scale, generator) * np.float32(generator.choice([0, 0, 6, 20]))
    wave = np.sin(place * np.float32(2 * np.pi / (generator.uniform(5, 90) * scale)))
    canvas.blend(np.clip(wave * generator.uniform(0.6, 6) + 0.5, 0, 1).astype(np.float32), _colour(generator))
    canvas.darken(noise(canvas.size, 60 * scale, generator) * np.float32(0.06))


def _checks(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a chessboard or a plaid pattern."""
    canvas.fill(_colour(generator))
    rows, columns = grid(canvas.size)
    cell = generator.uniform(12, 110) * scale
    down, across = np.floor(rows / cell) % 2, np.floor(columns / cell) % 2
    pattern = (down + across) / 2 if generator.random() < 0.4 else np.abs(down - across)
    canvas.blend(pattern.astype(np.float32), _colour(generator))


def _clouds(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw soft noise in two colours, which looks like clouds, smoke, marble or water."""
    canvas.fill(_colour(generator))
    cells = (200 * scale, 90 * scale, 40 * scale, 18 * scale, 8 * scale)
    field = octaves(canvas.size, cells, (0.5, 0.25, 0.13, 0.06, 0.03), generator)
    canvas.blend(np.clip(field + 0.5, 0, 1), _colour(generator))


def _backdrop(canvas: Canvas, generator: Generator, scale: float) -> None:
    (_clouds if generator.random() < 0.5 else _gradient)(canvas, generator, scale)


def _foliage(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw overlapping green or autumn leaves."""
    canvas.fill((0.08, 0.13, 0.06))
    leaf = generator.uniform(6, 34) * scale
    colour = (190, 120, 50) if generator.random() < 0.25 else (95, 165, 60)
    with canvas.sheet() as pen:
        for _ in range(int(generator.integers(250, 700))):
            x, y = generator.random(2) * (canvas.size[1], canvas.size[0])
            turn, light = generator.uniform(0, np.pi), generator.uniform(0.3, 1.0)
            tip = leaf * generator.uniform(0.6, 1.4) * np.array([np.cos(turn), np.sin(turn)])
            side = 0.3 * np.array([-tip[1], tip[0]])
            fill = (*(int(channel * light) for channel in colour), 255)
            pen.polygon(
                [
                    (x - tip[0], y - tip[1]),
                    (x + side[0], y + side[1]),
                    (x + tip[0], y + tip[1]),
                    (x - side[0], y - side[1]),
                ],
                fill,
            )


def _branches(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw bare branches against the sky, which are dark, forked and thin like cracks."""
    _backdrop(canvas, generator, scale)
    canvas.colour *= np.float32(0.5)
    canvas.colour += np.float32(0.5)
    strokes: list[Stroke] = []

    def grow(x: float, y: float, angle: float, length: float, width: float) -> None:
        end = (x + length * float(np.cos(angle)), y + length * float(np.sin(angle)))
        strokes.append(Stroke([(x, y), end], [width]))
        if width > 0.8 * scale and len(strokes) < 400:
            for side in (-1, 1):
                turn = angle + side * generator.uniform(0.1, 0.6)
                grow(*end, turn, length * generator.uniform(0.65, 0.95), width * generator.uniform(0.55, 0.8))

    for _ in range(int(generator.integers(1, 4))):
        grow(
            generator.random() * canvas.size[1],
            float(canvas.size[0]),
            -np.pi / 2 + generator.normal(0, 0.2),
            generator.uniform(60, 140) * scale,
            generator.uniform(8, 26) * scale,
        )
    canvas.blend(coverage(strokes, canvas.size, 2), (0.13, 0.10, 0.08))


def _portrait(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a simple portrait with head, eyes, mouth and shoulders in front of a background."""
    size = canvas.size
    _backdrop(canvas, generator, scale)
    x, y = generator.uniform(0.3, 0.7) * size[1], generator.uniform(0.3, 0.5) * size[0]
    head = generator.uniform(0.1, 0.24) * min(size)
    with canvas.sheet() as pen:
        skin = np.array([225, 180, 150]) * generator.uniform(0.3, 1.0)
        cloth = (*(int(value) for value in generator.integers(0, 256, 3)), 255)
        pen.ellipse((x - 2.4 * head, y + 1.1 * head, x + 2.4 * head, y + 6 * head), cloth)
        tone = (*(int(value) for value in skin), 255)
        pen.ellipse((x - 1.1 * head, y - 1.5 * head, x + 1.1 * head, y + 0.6 * head), (40, 28, 20, 255))
        pen.ellipse((x - 0.9 * head, y - 1.2 * head, x + 0.9 * head, y + 1.25 * head), tone)
        for side in (-0.38, 0.38):
            eye = 0.11 * head
            pen.ellipse((x + side * head - eye, y - eye, x + side * head + eye, y + eye), (30, 25, 25, 255))
        pen.arc(
            (x - 0.4 * head, y + 0.3 * head, x + 0.4 * head, y + 0.8 * head),
            20,
            160,
            (120, 50, 50, 255),
            max(1, round(head * 0.08)),
        )
    canvas.darken(noise(size, 90 * scale, generator) * np.float32(0.08))


def _coins(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw scattered round objects, which look like coins, cells, fruit or pebbles."""
    canvas.fill(_colour(generator))
    rows, columns = grid(canvas.size)
    colour = _colour(generator)
    for _ in range(int(generator.integers(6, 22))):
        y, x = generator.random(2) * canvas.size
        radius = np.float32(generator.uniform(14, 70) * scale)
        distance = np.hypot(rows - np.float32(y), columns - np.float32(x)) / radius
        shade = np.clip(colour * generator.uniform(0.6, 1.3), 0, 1)
        canvas.blend(np.clip((1 - distance) * radius, 0, 1), shade)
        canvas.blend(np.clip(0.5 - np.abs(distance - 0.85) * 6, 0, 0.5), shade * 0.6)


def _street(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a street of buildings with rows of windows."""
    size = canvas.size
    _gradient(canvas, generator, scale)
    left = -20.0
    with canvas.sheet() as pen:
        while left < size[1]:
            wide = generator.uniform(0.1, 0.35) * size[1]
            top = generator.uniform(0.1, 0.6) * size[0]
            tone = (*(int(value) for value in generator.integers(60, 200, 3)), 255)
            pen.rectangle((left, top, left + wide, size[0]), tone)
            pane, step = wide * 0.12, wide * 0.25
            for y in np.arange(top + step / 2, size[0], step * 1.3):
                for x in np.arange(left + step / 2, left + wide - pane, step):
                    glass = (*(int(value) for value in generator.integers(20, 250, 3)), 255)
                    pen.rectangle((float(x), float(y), float(x + pane), float(y + pane * 1.6)), glass)
            left += wide


def _grain(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw a close-up of a texture such as wood, grass, gravel or fabric."""
    if generator.random() < 0.4:
        canvas.colour = surface("wood", canvas.size, generator).colour
        return
    canvas.fill(_colour(generator))
    rows, columns = scale * generator.uniform(1.5, 22, 2)
    canvas.darken(noise(canvas.size, (rows, columns), generator) * np.float32(generator.uniform(0.1, 0.4)))
    canvas.darken(noise(canvas.size, 2, generator) * np.float32(0.1))


OTHERS: dict[str, Draw] = {
    "gradient": _gradient,
    "shapes": _shapes,
    "page": _page,
    "stripes": _stripes,
    "checks": _checks,
    "clouds": _clouds,
    "foliage": _foliage,
    "branches": _branches,
    "portrait": _portrait,
    "coins": _coins,
    "street": _street,
    "grain": _grain,
    "vessels": vessels,
    "fur": fur,
    "figure": figure,
    "ridge": ridge,
}
"""Kind of picture → function that draws it."""
