"""A second look finds a line that a model missed, and none on a bare wall."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.inspection.finding_overlap import LinePath
from drywallqa.inspection.second_look import visible_points
from visited_walls import straight

POINTS = straight((40, 60), (260, 140))


def photo_with(*, crack: bool) -> np.ndarray:
    noise = np.random.default_rng(0).normal(170, 3, (200, 300, 1)).repeat(3, 2).astype(np.uint8)
    image = Image.fromarray(noise)
    if crack:
        ImageDraw.Draw(image).line([tuple(POINTS[0]), tuple(POINTS[110])], fill=(60, 60, 60), width=3)
    return np.asarray(image)


def test_visible__only_where_the_crack_is() -> None:
    path = LinePath(POINTS, np.full(len(POINTS), 3.0), 1.0)
    visible = visible_points(photo_with(crack=True), path, 3.0)
    assert visible[5:100].mean() > 0.9
    assert visible[130:].mean() < 0.2


def test_visible__nothing_on_a_bare_wall_or_outside() -> None:
    path = LinePath(POINTS, np.full(len(POINTS), 3.0), 1.0)
    assert visible_points(photo_with(crack=False), path, 3.0).mean() < 0.2
    away = LinePath(POINTS + 1000, np.full(len(POINTS), 3.0), 1.0)
    assert not visible_points(photo_with(crack=True), away, 3.0).any()
