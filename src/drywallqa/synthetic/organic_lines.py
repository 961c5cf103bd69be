"""Draw vessels, fur, figures and ridges. Many of their lines are dark and thin like cracks."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.synthetic.canvas import (
    Canvas,
    Generator,
    Path,
    Stroke,
    blurred,
    coverage,
    grid,
    noise,
    octaves,
)


def vessels(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw forking lines like the blood vessels in an eye or the veins of a leaf."""
    size = canvas.size
    tone = np.array([0.75, 0.35, 0.2]) if generator.random() < 0.7 else generator.random(3)
    flesh = tone * generator.uniform(0.5, 1.2)
    canvas.fill(flesh)
    canvas.darken(octaves(size, (160 * scale, 60 * scale, 5 * scale), (0.08, 0.05, 0.02), generator))
    strokes: list[Stroke] = []
    root = generator.uniform(0.15, 0.85, 2) * (size[1], size[0])
    for _ in range(int(generator.integers(3, 9))):
        _grow(strokes, root, generator.uniform(0, 2 * np.pi), generator.uniform(3, 8) * scale, generator)
    cover = blurred(coverage(strokes, size, 2), 0.6 * scale)
    canvas.blend(cover * np.float32(generator.uniform(0.35, 0.7)), 0.4 * flesh)
    rows, columns = grid(size)
    if generator.random() < 0.5:
        spot = np.hypot(rows - np.float32(root[1]), columns - np.float32(root[0])) / (34 * scale)
        canvas.blend(np.clip(1.5 - spot, 0, 0.7).astype(np.float32), (0.95, 0.8, 0.5))
    if generator.random() < 0.6:
        radius = np.float32(generator.uniform(0.42, 0.6) * min(size))
        away = np.hypot(rows - np.float32(size[0] / 2), columns - np.float32(size[1] / 2))
        canvas.blend(np.clip(away - radius, 0, 1).astype(np.float32), (0.02, 0.02, 0.02))


def _grow(strokes: list[Stroke], start: Path, angle: float, width: float, generator: Generator) -> None:
    """Add a winding vessel that starts at a point, and its thinner branches, to `strokes`."""
    bend, at, points = generator.normal(0, 0.05), start, [start]
    thick = width
    while thick > 0.7 and len(points) < 90:
        bend = 0.8 * bend + generator.normal(0, 0.04)
        angle += bend
        at = at + 2.5 * max(width, 2.0) * np.array([np.cos(angle), np.sin(angle)])
        points.append(at)
        thick *= generator.uniform(0.93, 1.0)
        if thick > 1.2 and generator.random() < 0.16 and len(strokes) < 300:
            side = generator.choice([-1, 1]) * generator.uniform(0.4, 1.1)
            _grow(strokes, at, angle + side, thick * generator.uniform(0.4, 0.75), generator)
    strokes.append(Stroke(np.asarray(points), np.geomspace(width, max(thick, 0.7), len(points))))


def fur(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw fur, hair, grass or feathers with many strokes in similar directions and a few shades."""
    size = canvas.size
    base = generator.uniform(0.15, 0.8) * (1 + generator.normal(0, 0.12, 3))
    canvas.fill(base)
    canvas.darken(octaves(size, (150 * scale, 50 * scale), (0.25, 0.12), generator))
    flow = noise(size, generator.uniform(100, 320) * scale, generator) * np.float32(
        generator.uniform(0.3, 1.2)
    )
    direction = generator.uniform(0, 2 * np.pi)
    length = generator.uniform(8, 50) * scale
    width = generator.uniform(0.8, 2.4) * scale
    for _ in range(int(generator.integers(2, 5))):
        strokes = []
        for _ in range(int(generator.integers(300, 1100))):
            x, y = generator.random() * (size[1] - 1), generator.random() * (size[0] - 1)
            points = [(x, y)]
            for _ in range(4):
                turn = direction + float(flow[int(y) % size[0], int(x) % size[1]])
                x, y = x + length / 4 * np.cos(turn), y + length / 4 * np.sin(turn)
                points.append((x, y))
            strokes.append(Stroke(points, [width] * 4))
        shade = np.clip(base * np.exp(generator.normal(0, 0.6)), 0.02, 1)
        canvas.blend(coverage(strokes, size, 2) * np.float32(generator.uniform(0.4, 1.0)), shade)


def figure(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw the outline or the silhouette of a body with limbs, as in a drawing or on a sign."""
    size = canvas.size
    dark = generator.random() < 0.5
    ground, ink = (0.97, 0.05) if generator.random() < 0.6 else (0.05, 0.95)
    canvas.fill((ground, ground, ground))
    image = Image.new("L", (size[1] * 2, size[0] * 2))
    pen = ImageDraw.Draw(image)
    body = generator.uniform(0.35, 0.65, 2) * (size[1], size[0]) * 2
    half = generator.uniform(0.12, 0.3, 2) * min(size) * 2
    pen.ellipse((*(body - half), *(body + half)), 255)
    for _ in range(int(generator.integers(3, 8))):
        at, angle = body + generator.uniform(-0.7, 0.7, 2) * half, generator.uniform(0, 2 * np.pi)
        thick = generator.uniform(6, 46) * scale
        for _ in range(int(generator.integers(2, 6))):
            end = at + generator.uniform(30, 130) * scale * 2 * np.array([np.cos(angle), np.sin(angle)])
            pen.line((*at, *end), 255, max(1, round(thick * 2)))
            pen.ellipse((*(end - thick), *(end + thick)), 255)
            at, angle, thick = end, angle + generator.normal(0, 0.6), thick * generator.uniform(0.5, 0.95)
    shape = np.asarray(image.reduce(2), np.float32) / np.float32(255)
    if not dark:
        soft = blurred(shape, generator.uniform(0.8, 2.5) * scale)
        shape = np.clip(4 * soft * (1 - soft), 0, 1) ** np.float32(2)
    canvas.blend(shape, (ink, ink, ink))


def ridge(canvas: Canvas, generator: Generator, scale: float) -> None:
    """Draw hills, waves or roofs, one behind the other."""
    size = canvas.size
    canvas.fill(generator.uniform(0.4, 1.0) * np.array([0.8, 0.9, 1.0]))
    rows, _ = grid(size)
    for _ in range(int(generator.integers(1, 5))):
        cells = generator.uniform(20, 300) * scale
        line = noise((2, size[1]), (2.0, cells), generator)[:1] * np.float32(0.07 * size[0])
        line = line + noise((2, size[1]), (2.0, cells / 6), generator)[:1] * np.float32(0.01 * size[0])
        cover = np.clip(rows - np.float32(generator.uniform(0.25, 0.95) * size[0]) - line, 0, 1)
        tone = generator.uniform(0.05, 0.8) * (1 + generator.normal(0, 0.1, 3))
        canvas.blend(np.asarray(cover, np.float32), np.clip(tone, 0, 1))
    canvas.darken(noise(size, 4 * scale, generator) * np.float32(generator.uniform(0, 0.08)))
