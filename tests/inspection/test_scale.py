"""From pixels to millimetres on the wall, with and without perspective."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drywallqa.errors import ScaleError
from drywallqa.inspection.scale import Scale, homography_of, project

CORNERS = np.array([[0.0, 0.0], [200.0, 0.0], [200.0, 100.0], [0.0, 100.0]])  # mm on the wall


def tilted_camera(degrees: float, distance: float = 600.0, focal: float = 800.0) -> np.ndarray:
    """Return the homography from mm on the wall to px of a photo of a turned wall."""
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), 0, 0], [0, 1, 0], [math.sin(angle), 0, distance]])
    camera = np.array([[focal, 0, 320.0], [0, focal, 240.0], [0, 0, 1]])
    return camera @ rotation @ np.array([[1, 0, -100.0], [0, 1, -50.0], [0, 0, 1]])


def plane_scale(degrees: float, sigma: float = 0.1) -> Scale:
    """Return a scale from four corners, with one variant a corner coordinate."""
    seen = project(tilted_camera(degrees), CORNERS)
    moved = [seen + sigma * unit.reshape(4, 2) for unit in np.eye(8)]
    variants = np.array([homography_of(points, CORNERS) for points in moved])
    return Scale.of_plane(homography_of(seen, CORNERS), variants, 0.002, (480, 640), "four points")


@pytest.mark.parametrize("degrees", [0, 20, 45, -45])
def test_plane__lengths_under_perspective(degrees: float) -> None:
    scale = plane_scale(degrees)
    path = np.array([[-50.0, 20.0], [10.0, 90.0], [180.0, 130.0]])
    truth = np.hypot(*np.diff(path, axis=0).T).sum()
    seen = project(tilted_camera(degrees), path)
    assert scale.length_mm(seen) == pytest.approx(truth, rel=1e-6)
    assert scale.to_wall(seen) == pytest.approx(path, abs=1e-6)
    assert scale.distances_mm(seen[:1], seen[-1:])[0] == pytest.approx(np.hypot(230, 110))


def test_plane__pixel_size_is_that_of_small_squares() -> None:
    scale, point = plane_scale(40), np.array([[400.0, 100.0]])
    square = scale.to_wall(point + 0.01 * np.array([[0, 0], [1, 0], [0, 1]]))
    sides = (square[1:] - square[0]) / 0.01
    assert scale.mm_per_pixel_at(point)[0] == pytest.approx(math.sqrt(abs(np.linalg.det(sides))), rel=1e-3)


@pytest.mark.parametrize("direction", [0, 30, 90, 140])
def test_plane__width_of_a_strip_depends_on_its_direction(direction: float) -> None:
    """A strip of 2 mm on a wall that is tilted by 45 degrees."""
    camera, angle = tilted_camera(45), math.radians(direction)
    along, across = (
        np.array([math.cos(angle), math.sin(angle)]),
        np.array([-math.sin(angle), math.cos(angle)]),
    )
    middle = np.array([100.0, 50.0]) + np.linspace(-20, 20, 41)[:, None] * along
    left, line, right = (project(camera, middle + side * across) for side in (-1, 0, 1))
    normals = np.gradient(line, axis=0)[:, ::-1] * [1, -1]
    widths = np.abs(((right - left) * normals).sum(1)) / np.hypot(*normals.T)  # px, at right angles
    scale = plane_scale(45)
    assert widths * scale.mm_per_pixel_across(line) == pytest.approx(np.full(41, 2.0), rel=2e-3)
    assert Scale(0.5, 0, "x").mm_per_pixel_across(line) == pytest.approx(np.full(41, 0.5))


def test_plane__uncertainty_grows_with_the_distance_from_the_corners() -> None:
    scale = plane_scale(0)
    seen = project(tilted_camera(0), CORNERS)
    near, far = seen[:2], seen[:2] + np.array([0, 220])
    assert 0.002 < scale.relative_sigma_of(near) < scale.relative_sigma_of(far)
    assert scale.relative_sigma_of(near) == pytest.approx(
        math.hypot(0.002, 0.1 * math.sqrt(2) / 266.7), rel=0.05
    )


def test_plane__horizon_in_the_photo_is_refused() -> None:
    seen = project(tilted_camera(80, distance=300), CORNERS)
    with pytest.raises(ScaleError, match="horizon lies within the photo; photograph the wall from the front"):
        Scale.of_plane(homography_of(seen, CORNERS), np.empty((0, 3, 3)), 0, (480, 640), "four points")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_scale__zero_or_negative_is_refused(value: float) -> None:
    with pytest.raises(ScaleError, match=r"is not (above zero|a finite number); write a positive number"):
        Scale(value, 0.01, "typed")
