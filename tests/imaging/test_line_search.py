from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drywallqa.imaging.line_search import CrackLine, FoundLines, find_lines

SIDE = 160


def drawn(paths: list[list[tuple[int, int]]], width: int) -> np.ndarray:
    canvas = Image.new("L", (SIDE, SIDE))
    for path in paths:
        ImageDraw.Draw(canvas).line(path, fill=1, width=width, joint="curve")
    return np.asarray(canvas) > 0


def wall(crack: np.ndarray, contrast: float = 70.0, seed: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2, crack.shape)
    grey = np.clip(170 - contrast * crack + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def distances(line: CrackLine, path: list[tuple[int, int]]) -> np.ndarray:
    """Distance of each point from a polyline."""
    nearest = np.full(len(line.points), np.inf)
    for start, end in pairwise(path):
        one, way = np.array(start, float), np.array(end, float) - start
        place = np.clip((line.points - one) @ way / (way @ way), 0, 1)
        nearest = np.minimum(nearest, np.hypot(*(line.points - one - place[:, None] * way).T))
    return nearest


def only(found: FoundLines) -> CrackLine:
    assert len(found.lines) == 1
    return found.lines[0]


@pytest.mark.parametrize("width", [3, 5, 9])
def test_find_lines__measures_a_crack_inside_an_outline_three_times_too_wide(width: int) -> None:
    path = [(12, 30), (90, 80), (150, 84)]
    crack = drawn([path], width)
    found = find_lines(wall(crack), drawn([path], 3 * width))
    line = only(found)
    drawn_width = crack.sum() / sum(np.hypot(*np.subtract(*pair)) for pair in pairwise(path))
    assert line.width.mean() == pytest.approx(drawn_width, abs=0.6)
    assert np.quantile(distances(line, path), 0.95) < 1
    assert 0.8 < found.mask.sum() / crack.sum() < 1.25
    assert not found.unseen.any()


def test_find_lines__names_the_left_side_as_seen_in_the_direction_of_travel() -> None:
    path = [(10, 80), (150, 80)]
    photo = wall(drawn([path], 5))
    line = only(find_lines(photo, drawn([path], 15)))
    half = line.left[len(line.left) // 2]
    x, y = line.points[len(line.points) // 2]
    forward = line.points[-1, 0] > line.points[0, 0]
    left_edge = y - half if forward else y + half
    grey = photo[:, round(x), 0].astype(float)
    inside, outside = (round(left_edge + step) if forward else round(left_edge - step) for step in (2, -2))
    assert grey[inside] < 130 < grey[outside]


def test_find_lines__shares_nodes_where_a_crack_branches() -> None:
    paths = [[(10, 80), (80, 80), (150, 30)], [(80, 80), (140, 150)]]
    found = find_lines(wall(drawn(paths, 4)), drawn(paths, 12))
    assert len(found.lines) == 3
    nodes = [node for line in found.lines for node in (line.start, line.end)]
    shared = [node for node in nodes if nodes.count(node) == 3]
    assert len(set(shared)) == 1
    ends = [line.points[0] if line.start == shared[0] else line.points[-1] for line in found.lines]
    assert all(np.hypot(*(end - (80, 80))) < 5 for end in ends)


def test_find_lines__follows_a_closed_loop() -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    path = [(round(80 + 50 * np.cos(a)), round(80 + 50 * np.sin(a))) for a in angles]
    found = find_lines(wall(drawn([path], 3)), drawn([path], 11))
    length = sum(np.hypot(*np.diff(line.points, axis=0).T).sum() for line in found.lines)
    assert length == pytest.approx(2 * np.pi * 50, rel=0.05)


def test_find_lines__says_where_the_photo_shows_no_line() -> None:
    crack, other = [(12, 40), (150, 40)], [(12, 120), (150, 120)]
    outline = drawn([crack, other], 13)
    found = find_lines(wall(drawn([crack], 4)), outline)
    assert only(found).points[:, 1].max() < 60
    assert found.unseen[120].any()
    assert not found.unseen[:80].any()
    assert not found.mask[100:].any()


def test_find_lines__marks_a_bridged_gap_as_not_seen() -> None:
    path = [(10, 80), (150, 80)]
    crack = drawn([path], 3)
    crack[:, 70:86] = False
    line = only(find_lines(wall(crack), drawn([path], 11)))
    hidden = line.points[~line.seen, 0]
    assert len(hidden) > 3
    assert hidden.min() > 60
    assert hidden.max() < 96


def test_find_lines__gives_coordinates_of_the_whole_photo() -> None:
    path = [(100, 20), (100, 150)]
    line = only(find_lines(wall(drawn([path], 3)), drawn([path], 11)))
    assert np.allclose(line.points[:, 0], 100, atol=0.7)
    assert line.points[:, 1].min() < 28
    assert line.points[:, 1].max() > 142


@pytest.mark.parametrize("mask", ["empty", "full", "one pixel", "square", "specks"])
def test_find_lines__accepts_masks_that_are_not_lines(mask: str) -> None:
    outline = np.zeros((SIDE, SIDE), np.bool_)
    if mask == "full":
        outline[:] = True
    elif mask == "one pixel":
        outline[50, 60] = True
    elif mask == "square":
        outline[20:24, 20:24] = True
    elif mask == "specks":
        outline[::4, ::4] = True
    found = find_lines(wall(np.zeros_like(outline)), outline)
    assert not found.mask.any()
    assert np.array_equal(found.unseen, outline)
