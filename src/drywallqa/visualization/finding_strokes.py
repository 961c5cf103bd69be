"""Draw the outlines and measured edges of findings on a photo or on a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.inspection.ledger import CentreLine, Observation, Point

_TINT = 56  # of 255: how strongly a finding is coloured; its own pixels must stay visible


@dataclass(frozen=True)
class View:
    """A part of a photo that is shown enlarged or reduced.

    Attributes:
        left: Left border in px of the photo.
        top: Upper border in px of the photo.
        factor: Pixels of the picture per pixel of the photo.
    """

    left: float
    top: float
    factor: float

    def of(self, point: Point) -> tuple[float, float]:
        """Return the position of a point of the photo in px of the picture."""
        return (point[0] + 0.5 - self.left) * self.factor, (point[1] + 0.5 - self.top) * self.factor


def draw_strokes(
    canvas: Image.Image, observations: Sequence[Observation], view: View, colour: Any, line: float
) -> None:
    """Mark findings like a highlighter: a light tint with a solid border that does not cover the crack.

    Args:
        canvas: The picture to draw on.
        observations: Findings with the same colour.
        view: Shown part of the photo.
        colour: RGB.
        line: Width of the border in px of the canvas.
    """
    inner = stroke_mask(canvas.size, observations, view, line)
    edge = stroke_mask(canvas.size, observations, view, line * 2)
    outer = stroke_mask(canvas.size, observations, view, line * 2.6)
    solid = Image.new("RGB", canvas.size, colour)
    inside = np.asarray(inner) > 0
    border = (np.asarray(edge) > 0) & ~inside
    halo = (np.asarray(outer) > 0) & ~inside & ~border
    canvas.paste((255, 255, 255), (0, 0), Image.fromarray(halo.view(np.uint8) * np.uint8(150)))
    canvas.paste(solid, (0, 0), Image.fromarray(inside.view(np.uint8) * np.uint8(_TINT)))
    canvas.paste(solid, (0, 0), Image.fromarray(border.view(np.uint8) * np.uint8(255)))


def stroke_mask(
    size: tuple[int, int], observations: Sequence[Observation], view: View, margin: float
) -> Image.Image:
    """Return an 8-bit mask of findings that are wider by a margin in px on each side.

    A finding without a measured line is shown by its outline only, because other findings may lie inside it.
    """
    from PIL import ImageDraw

    mask = Image.new("L", size, 0)
    pen = ImageDraw.Draw(mask)
    for observation in observations:
        lines = [line for line in observation.centre_lines if len(line.points) > 1]
        for line in lines:
            _draw_line(pen, line, view, margin)
        for ring in () if lines else observation.polygon:
            points = [view.of(point) for point in (*ring, ring[0])]
            pen.line(points, fill=255, width=max(1, round(2 * margin)), joint="curve")
    return mask


def _draw_line(pen: Any, line: CentreLine, view: View, margin: float) -> None:
    points = [view.of(point) for point in line.points]
    width = float(np.median(line.width_px)) * view.factor + 2 * margin
    pen.line(points, fill=255, width=max(1, round(width)), joint="curve")
    for x, y in (points[0], points[-1]):
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)


def draw_edges(canvas: Image.Image, observation: Observation, view: View, colour: Any, line: int) -> None:
    """Draw the measured edges of a crack where it is visible, or the outline if no line was measured.

    Args:
        canvas: The picture to draw on.
        observation: The finding.
        view: Shown part of the photo.
        colour: RGB of the lines, which also get a white border.
        line: Width of the lines in px of the canvas.
    """
    from PIL import ImageDraw

    parts = [part for part in observation.centre_lines if len(part.points) > 1]
    curves = [curve for part in parts for edge in edges_of(part) for curve in _seen_runs(edge, part.seen)]
    if not parts:
        curves = [np.asarray([*ring, ring[0]], np.float64) for ring in observation.polygon]
    pen = ImageDraw.Draw(canvas)
    for shade, width in (((255, 255, 255), line * 2), (colour, line)):
        for curve in curves:
            pen.line([view.of((x, y)) for x, y in curve.tolist()], fill=shade, width=width, joint="curve")


def _seen_runs(edge: NDArray[np.float64], seen: Sequence[bool]) -> list[NDArray[np.float64]]:
    """Split an edge [N,2] at bridged gaps."""
    gaps = np.flatnonzero(~np.asarray(seen or [True] * len(edge), np.bool_))
    return [run for run in np.split(edge, np.unique([*gaps, *(gaps + 1)])) if len(run) > 1]


def edges_of(part: CentreLine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two edges [N,2] of a centre line with at least two points in px of the photo."""
    points = np.asarray(part.points, np.float64)
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    half = np.asarray(part.width_px, np.float64)[:, None] / 2
    return points + normal * half, points - normal * half
