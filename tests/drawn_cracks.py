"""Drawn cracks and outlines for tests of an inspection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drywallqa.imaging.line_search import CrackLine

Path = Sequence[tuple[float, float]]


def drawn(
    paths: Sequence[Path], width: int = 3, size: tuple[int, int] = (240, 320)
) -> tuple[np.ndarray, np.ndarray]:
    """Draw dark lines on a light wall; return the photo [H,W,3] and an outline [H,W] three times as wide."""
    noise = np.random.default_rng(1).normal(0, 2, size)
    sheet = Image.new("L", (4 * size[1], 4 * size[0]), 0)
    outline = Image.new("1", (size[1], size[0]))
    for path in paths:
        fine = [(4 * x + 1.5, 4 * y + 1.5) for x, y in path]
        ImageDraw.Draw(sheet).line(fine, fill=255, width=4 * width)
        ImageDraw.Draw(outline).line([tuple(point) for point in path], fill=1, width=3 * width)
    ink = np.asarray(
        sheet.resize((size[1], size[0]), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.6)), float
    )
    grey = np.clip(190 - 0.5 * ink + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2), np.array(outline)


def line(
    start: tuple[float, float], end: tuple[float, float], nodes: tuple[int, int], width: float = 3
) -> CrackLine:
    """A straight line with points 1 px apart."""
    count = max(2, round(float(np.hypot(end[0] - start[0], end[1] - start[1]))) + 1)
    points = np.linspace(start, end, count)
    half = np.full(count, width / 2)
    return CrackLine(
        points, half, half, np.full(count, 0.2), np.full(count, 60.0), np.ones(count, bool), *nodes
    )
