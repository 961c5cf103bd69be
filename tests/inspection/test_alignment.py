"""Photos of one wall are aligned, and photos of different walls are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drywallqa.inspection.alignment import Alignment, align
from drywallqa.inspection.alignment_features import AlignmentFeatures, find_features
from drywallqa.inspection.scale import project

cv2 = pytest.importorskip("cv2")

HEIGHT, WIDTH = 300, 400
TILTED = np.array([[0.9, 0.12, 20.0], [-0.08, 0.95, 25.0], [2e-4, -1e-4, 1.0]])


def wall(seed: int) -> NDArray[np.uint8]:
    """A wall with 150 dark and bright specks."""
    generator = np.random.default_rng(seed)
    photo = np.full((HEIGHT, WIDTH, 3), 170, np.uint8)
    for x, y, radius, grey in generator.uniform((0, 0, 2, 60), (WIDTH, HEIGHT, 6, 250), (150, 4)).astype(int):
        cv2.circle(photo, (int(x), int(y)), int(radius), (int(grey),) * 3, -1, cv2.LINE_AA)
    return photo


def crack(seed: int, start: tuple[float, float], end: tuple[float, float]) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    straight = np.linspace(start, end, 60)
    return straight + np.cumsum(generator.normal(0, 2.0, (60, 2)), axis=0)


def warped(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.warpPerspective(photo, TILTED, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))


def plain(lines: list[NDArray[np.float64]]) -> AlignmentFeatures:
    return find_features(np.full((HEIGHT, WIDTH, 3), 170, np.uint8), lines)


def error_of(found: Alignment | None, points: NDArray[np.float64]) -> float:
    assert found is not None
    return float(np.hypot(*(found.map(points) - project(TILTED, points)).T).max())


GRID = np.stack(np.meshgrid(np.linspace(60, 340, 8), np.linspace(50, 250, 6)), axis=-1).reshape(-1, 2)


def test_align__texture() -> None:
    photo = wall(1)
    found = align(find_features(photo), find_features(warped(photo)))
    assert error_of(found, GRID) < 0.5
    assert found is not None
    assert found.features > 50
    assert np.allclose(found.inverse().map(found.map(GRID)), GRID, atol=1e-6)


def test_align__same_photos_give_the_same_result() -> None:
    first, second = find_features(wall(1)), find_features(warped(wall(1)))
    one, two = align(first, second), align(first, second)
    assert one is not None
    assert two is not None
    assert np.array_equal(one.homography, two.homography)


def test_align__lines_of_a_wall_without_texture() -> None:
    lines = [crack(2, (60, 60), (330, 220)), crack(3, (80, 240), (200, 60)), crack(5, (250, 50), (330, 120))]
    moved = [project(TILTED, line) for line in lines]
    assert error_of(align(plain(lines), plain(moved)), np.concatenate(lines)) < 2


@pytest.mark.parametrize("seed", range(5))
def test_align__different_walls(seed: int) -> None:
    assert align(find_features(wall(seed)), find_features(wall(seed + 100))) is None


@pytest.mark.parametrize("seed", range(5))
def test_align__different_cracks(seed: int) -> None:
    first = [crack(seed, (60, 60), (330, 220)), crack(seed + 50, (80, 240), (200, 60))]
    second = [crack(seed + 100, (40, 150), (350, 200)), crack(seed + 150, (300, 240), (200, 60))]
    assert align(plain(first), plain(second)) is None


def test_align__one_straight_line_is_not_enough() -> None:
    line = np.linspace((50, 50), (350, 250), 200)
    assert align(plain([line]), plain([line + np.array([3.0, 2.0])])) is None


def test_align__a_marker_that_moved_to_another_wall_is_hidden() -> None:
    sheet = np.random.default_rng(0).integers(0, 2, (8, 8)).astype(np.uint8) * 255
    large = cv2.cvtColor(cv2.resize(sheet, (96, 96), interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2RGB)
    first, second = (np.full((HEIGHT, WIDTH, 3), 170, np.uint8) for _ in range(2))
    first[40:136, 60:156] = large
    second[150:246, 250:346] = large
    boxes = [(60, 40, 156, 136)], [(250, 150, 346, 246)]
    assert len(find_features(first).texture.points) > 10
    assert align(find_features(first, hidden=boxes[0]), find_features(second, hidden=boxes[1])) is None


def test_align__no_features() -> None:
    empty = find_features(np.full((20, 20, 3), 170, np.uint8))
    assert align(empty, empty) is None
