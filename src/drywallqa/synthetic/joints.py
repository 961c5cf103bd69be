"""Draw untaped joints between boards, with tapered edges, steps, screws, factory print and torn paper."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.synthetic.canvas import REFERENCE_SIDE, Canvas, Float, Mask, Point, Size, noise
from drywallqa.synthetic.cracks import inside

_PRINTS = (
    "GYPSUM BOARD  12.5 mm  TYPE A",
    "1/2 in. WALL AND CEILING BOARD",
    "INTERIOR USE ONLY",
    "TAPERED EDGE  1200 x 2400",
    "FIRE RATED 5/8 in.",
    "THIS SIDE OUT",
    "21 08 10 22 04:25  A2",
    "MOISTURE RESISTANT  EN 520",
)
HALF_WIDTH = 2.5
"""Half width of the mask of a line, in px of a photo whose longer side is 640 px."""
_REACH = 34.0  # a joint changes pixels up to this distance, in px of a photo of 640 px


def line_mask(lines: Iterable[StraightLine], size: Size, half_width: float = HALF_WIDTH) -> Mask:
    """Draw several lines into one mask, bool [H,W].

    Args:
        lines: The lines.
        size: Height and width in px.
        half_width: Half width of each line, in px of a photo whose longer side is 640 px.
    """
    mask = np.zeros(size, np.bool_)
    for line in lines:
        mask |= line.band(size, half_width * max(size) / REFERENCE_SIDE)
    return mask


def clipped(line: StraightLine, quad: Mask | None, size: Size) -> StraightLine | None:
    """Clip a line to the photo and, if given, the board. Return None if the clipped line is too short."""
    start, end = np.asarray(line.start), np.asarray(line.end)
    path = start + np.linspace(0, 1, max(2, int(line.length)))[:, None] * (end - start)
    kept = path[inside(path, size, quad)]
    if len(kept) < 0.12 * max(size):
        return None
    (x0, y0), (x1, y1) = kept[0].tolist(), kept[-1].tolist()
    return StraightLine((x0, y0), (x1, y1))


def add_seam(canvas: Canvas, line: StraightLine) -> None:
    """Draw one joint along `line`."""
    generator, scale = canvas.generator, canvas.scale
    across, along = line.place(canvas.size)
    reach = _REACH * scale
    near = (np.abs(across) < reach) & (along > 0) & (along < line.length)
    index = np.flatnonzero(near)
    if not index.size:
        return
    position = along.reshape(-1)[index]
    distance = across.reshape(-1)[index] - _change(position, line, canvas, 0.5 * scale)
    shade = _gap(distance, position, line, canvas)
    lift = np.zeros(index.size, np.float32)
    if generator.random() < 0.6:
        _taper(distance, canvas, shade, lift)
    if generator.random() < 0.4:
        # One board is slightly higher than the other.
        rise = np.float32(generator.uniform(0.4, 1.8) * generator.choice([-1, 1]))
        step = rise * np.clip(distance / (1.5 * scale) + 0.5, 0, 1)
        lift += step * np.clip(2 - np.abs(distance) * 2 / reach, 0, 1)
    canvas.colour.reshape(3, -1)[:, index] *= 1 - shade
    canvas.height.reshape(-1)[index] += lift
    if generator.random() < 0.35:
        _torn_paper(canvas, across, near)
    if generator.random() < 0.65:
        _screws(canvas, line)
    if generator.random() < 0.4:
        # The factory print is beside the line and parallel to it.
        away = generator.choice([-1, 1]) * generator.uniform(3, 28) * scale
        centre = _beside(line, generator.uniform(0.25, 0.75) * line.length, away)
        along_x, along_y = line.direction()
        add_print(canvas, centre, float(np.degrees(np.arctan2(along_y, along_x))))


def _beside(line: StraightLine, along: float, away: float) -> Point:
    """Return the point (x, y) `along` px along a line and `away` px to its left."""
    dx, dy = line.direction()
    return line.start[0] + along * dx - away * dy, line.start[1] + along * dy + away * dx


def _change(position: Float, line: StraightLine, canvas: Canvas, strength: float) -> Float:
    """Compute a slowly varying random value of about ±`strength` for each position along the line."""
    knots = max(4, int(line.length / (40 * canvas.scale)))
    values = canvas.generator.normal(0, strength, knots)
    steps = max(256, round(line.length / 4))  # fewer points would give visible steps on long lines
    fine = np.interp(np.linspace(0, knots - 1, steps), np.arange(knots), values).astype(np.float32)
    place = position / max(line.length, 1) * (steps - 1)
    return np.asarray(fine[np.clip(place, 0, steps - 1).astype(np.intp)])


def _gap(distance: Float, position: Float, line: StraightLine, canvas: Canvas) -> Float:
    """Compute how much a joint darkens the wall. Joints range from faint lines to open gaps."""
    generator, scale = canvas.generator, canvas.scale
    half = np.float32(scale * np.exp(generator.uniform(np.log(0.5), np.log(2.6))))
    # A line thinner than a pixel must be darker to be visible.
    depth = np.float32(generator.uniform(min(0.9, 0.2 / min(1.0, 1.5 * float(half))), 0.92))
    width = half * np.exp(_change(position, line, canvas, 0.3))
    strength = np.clip(1 + _change(position, line, canvas, 0.25), 0.2, 1.15)
    shade = depth * strength * np.clip((width - np.abs(distance)) / np.float32(0.8) + 0.5, 0, 1)
    if generator.random() < 0.5:
        side = np.float32(generator.choice([-1, 1]) * (half + 1.2 * scale))
        light = np.clip(1.4 - np.abs(distance - side) / scale, 0, 1)
        shade -= np.float32(generator.uniform(0.03, 0.2)) * light
    return np.asarray(shade)


def _taper(distance: Float, canvas: Canvas, shade: Float, lift: Float) -> None:
    """Draw tapered board edges: a shallow valley, sometimes with a fold in the face paper."""
    generator, scale = canvas.generator, canvas.scale
    breadth = np.float32(generator.uniform(8, 30) * scale)
    lift -= np.float32(generator.uniform(0.3, 3.0)) * np.clip(1 - np.abs(distance) / breadth, 0, 1)
    tone = np.float32(generator.normal(0, 0.03))
    shade += tone * np.clip((breadth - np.abs(distance)) / (2 * scale), 0, 1)
    if generator.random() < 0.5:
        fold = np.abs(np.abs(distance) - np.float32(generator.uniform(0.5, 1) * breadth))
        shade += np.float32(generator.uniform(-0.06, 0.12)) * np.clip(1.3 - fold / scale, 0, 1)


def _torn_paper(canvas: Canvas, across: Float, near: Mask) -> None:
    """Draw patches of torn face paper beside the line, where the brown liner or the white core is visible."""
    generator, scale = canvas.generator, canvas.scale
    lumps = noise(canvas.size, 14 * scale, generator) - np.abs(across) / np.float32(9 * scale)
    patch = np.clip((lumps - np.float32(generator.uniform(0.7, 1.8))) * 4, 0, 0.85).astype(np.float32) * near
    colour = (0.55, 0.45, 0.34) if generator.random() < 0.5 else (0.90, 0.89, 0.87)
    canvas.blend(patch, colour)
    canvas.height -= patch


def _screws(canvas: Canvas, line: StraightLine) -> None:
    """Draw a row of screw heads or dimples on each side of the line. Some of them are left out at random."""
    generator, scale = canvas.generator, canvas.scale
    spacing = generator.uniform(45, 130) * scale
    inset = generator.uniform(6, 15) * scale
    radius = generator.uniform(1.0, 2.6) * scale
    for side in (-1, 1):
        for position in np.arange(generator.uniform(0, spacing), line.length, spacing):
            if generator.random() < 0.2:
                continue
            along = position + generator.normal(0, 3 * scale)
            away = side * (inset + generator.normal(0, 1.5 * scale))
            add_screw(canvas, _beside(line, along, away), radius)


def add_screw(canvas: Canvas, centre: Point, radius: float) -> None:
    """Draw a screw head or a dimple as a dark disc of `radius` px."""
    reach = int(np.ceil(radius * 2 + 2))
    top, left = int(centre[1]) - reach, int(centre[0]) - reach
    box = (slice(top, top + 2 * reach + 1), slice(left, left + 2 * reach + 1))
    if top < 0 or left < 0 or box[0].stop > canvas.size[0] or box[1].stop > canvas.size[1]:
        return
    rows, columns = np.ogrid[top : box[0].stop, left : box[1].stop]
    distance = np.hypot(rows - centre[1], columns - centre[0]).astype(np.float32)
    depth = np.float32(canvas.generator.uniform(0.4, 0.8))
    canvas.darken(depth * np.clip(radius - distance + 0.5, 0, 1), box)
    canvas.height[box] -= np.clip(2 - distance / np.float32(radius), 0, 1)


def add_print(canvas: Canvas, centre: Point, angle: float) -> None:
    """Draw faint factory print at `centre`, rotated clockwise by `angle` degrees."""
    generator, scale = canvas.generator, canvas.scale
    text = "   ".join(generator.choice(_PRINTS, int(generator.integers(1, 4)), replace=False))
    font = ImageFont.load_default(size=max(6.0, generator.uniform(5, 17) * scale * 2))
    left, top, right, bottom = font.getbbox(text)
    patch = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(patch).text((4 - left, 4 - top), text, font=font, fill=int(generator.integers(50, 190)))
    turned = patch.rotate(-angle, Image.Resampling.BILINEAR, expand=True).reduce(2)
    ink = Image.new("RGBA", turned.size, (70, 72, 78, 0))
    ink.putalpha(turned)
    canvas.stamp(ink, centre)
