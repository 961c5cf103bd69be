"""Every source of a scale, sources that disagree, and options that cannot be used."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drywallqa.errors import ScaleError
from drywallqa.imaging.camera_tags import CameraTags
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.inspection.scale import TILT_RELATIVE_SIGMA, project
from drywallqa.inspection.scale_sources import ScaleOptions, find_scale, parse_scale_options
from marker_photos import Scene

PHOTO = np.zeros((300, 400, 3), np.uint8)
RECTANGLE = "50,50 350,50 350,250 50,250 = 600mm x 400mm"


def test_find_scale__no_source_means_pixels() -> None:
    assert find_scale(PHOTO, parse_scale_options()) is None


def test_find_scale__mm_per_pixel_has_an_unknown_tilt() -> None:
    scale = find_scale(PHOTO, parse_scale_options(mm_per_pixel=0.4))
    assert scale is not None
    assert (scale.mm_per_pixel, scale.relative_sigma) == (0.4, TILT_RELATIVE_SIGMA)
    assert scale.source == "mm per pixel as given"


def test_find_scale__two_points() -> None:
    scale = find_scale(PHOTO, parse_scale_options(line="50,100 350,100 = 60cm"))
    assert scale is not None
    assert scale.mm_per_pixel == pytest.approx(2)
    assert scale.relative_sigma > TILT_RELATIVE_SIGMA


def test_find_scale__four_points_of_a_tilted_wall() -> None:
    scene = Scene(size=(300, 400), tilt=45, towards=20)
    wall = np.array([[-80.0, -50.0], [80.0, -50.0], [80.0, 50.0], [-80.0, 50.0]])
    corners = " ".join(f"{x},{y}" for x, y in project(scene.wall_to_photo(), wall))
    scale = find_scale(PHOTO, parse_scale_options(rectangle=f"{corners} = 160mm x 100mm"))
    assert scale is not None
    seen = project(scene.wall_to_photo(), np.array([[-60.0, 20.0], [60.0, -20.0]]))
    assert scale.length_mm(seen) == pytest.approx(math.hypot(120, 40), rel=1e-6)


def test_find_scale__distance() -> None:
    tags = CameraTags(focal_share=26 / math.hypot(36, 24), distance_mm=2000, size=(4000, 3000))
    scale = find_scale(PHOTO, parse_scale_options(distance="1.5m"), tags)
    stored = find_scale(PHOTO, parse_scale_options(distance="exif"), tags)
    assert scale is not None
    assert stored is not None
    assert scale.mm_per_pixel == pytest.approx(1500 * math.hypot(36, 24) / 26 / 500)
    assert stored.mm_per_pixel == pytest.approx(scale.mm_per_pixel * 2000 / 1500)
    assert scale.relative_sigma < stored.relative_sigma
    assert stored.source == "distance of 2.00 m in EXIF and focal length in EXIF"


def test_find_scale__joints() -> None:
    joints = [StraightLine((100, 0), (100, 299)), StraightLine((300, 0), (300, 299))]
    scale = find_scale(PHOTO, parse_scale_options(board="1200mm"), joints=joints)
    assert scale is not None
    assert scale.mm_per_pixel == pytest.approx(6)


def test_find_scale__the_most_certain_source_is_used_if_all_agree() -> None:
    options = parse_scale_options(mm_per_pixel=2.1, rectangle=RECTANGLE, line="50,100 350,100 = 602mm")
    scale = find_scale(PHOTO, options)
    assert scale is not None
    assert scale.mm_per_pixel == pytest.approx(2)
    assert scale.source == "four points of a rectangle of 600 by 400 mm"
    assert options.for_one_photo
    assert not parse_scale_options(mm_per_pixel=2.1).for_one_photo


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mm_per_pixel": 2.6}, "2.6 ±"),
        ({"line": "50,100 350,100 = 650mm"}, "2.167 ±"),
        ({"distance": "5m"}, "16.64 ±"),
    ],
)
def test_find_scale__sources_that_disagree_are_refused(first: dict[str, object], second: str) -> None:
    tags = CameraTags(focal_share=0.601)
    with pytest.raises(ScaleError, match="two sources of the scale disagree") as caught:
        find_scale(PHOTO, parse_scale_options(rectangle=RECTANGLE, **first), tags)  # type: ignore[arg-type]
    assert second in str(caught.value)
    assert "gives 2 ±" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mm_per_pixel": 0.0}, "--mm-per-pixel: 0 is not above zero"),
        ({"mm_per_pixel": -0.5}, "--mm-per-pixel: -0.5 is not above zero"),
        ({"mm_per_pixel": math.nan}, "--mm-per-pixel: nan is not a finite number"),
        ({"line": "1,2 3,4"}, '--line: "1,2 3,4" has no "="'),
        ({"line": "1,2 3,4 = 5 cubits"}, '--line: "cubits" is not a known unit'),
        ({"line": "1,2 3,4 = 50px"}, '--line: "50px" is in pixels'),
        ({"line": "1,2 3,4 = 50mm"}, "--line: two points are only 3 px apart"),
        ({"line": "1,2 9999,2 = 50mm"}, "--line: the point 9999,2 lies outside the photo of"),
        (
            {"rectangle": "50,50 350,50 350,9999 50,250 = 6m x 4m"},
            "--rectangle: the point 350,9999 lies outside",
        ),
        ({"marker_family": "aruco-6x6"}, "--marker-family also needs --marker"),
        ({"rectangle": "1,2 3,4 = 50mm"}, '--rectangle: "50mm" is not a size'),
        ({"rectangle": "50,50 350,50 350,250 = 6mm x 4mm"}, "is not 4 points"),
        ({"rectangle": "50,250 350,250 350,50 50,50 = 6m x 4m"}, "in the order top left, top right"),
        ({"rectangle": "50,50 350,250 350,50 50,250 = 6m x 4m"}, "in the order top left, top right"),
        ({"marker": "50"}, '--marker: "50" has no unit; write it as 50mm'),
        ({"marker": "50mm", "marker_family": "qr"}, 'the marker family "qr" is unknown; use aruco-5x5'),
        ({"board": "0m"}, "--board: 0m is not above zero"),
        ({"board": "1200mm"}, "--board: the photo does not show two long parallel joints"),
        ({"distance": "far"}, '--distance: "far" is not a length'),
        ({"distance": "1m"}, "--distance: the photo's EXIF data does not state the focal length"),
    ],
)
def test_find_scale__says_what_is_wrong(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ScaleError) as caught:
        find_scale(PHOTO, parse_scale_options(**options))  # type: ignore[arg-type]
    assert sentence in str(caught.value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf])
def test_scale_options__lengths_from_python(value: float) -> None:
    corners = np.zeros((4, 2))
    for options in (
        {"mm_per_pixel": value}, {"marker_mm": value}, {"board_mm": value}, {"distance_mm": value},
        {"line": (corners[:2], value)}, {"rectangle": (corners, (-abs(value), value))},
    ):  # fmt: skip
        with pytest.raises(ScaleError, match=r"is not (above zero|a finite number); write a positive number"):
            ScaleOptions(**options)  # type: ignore[arg-type]


def test_find_scale__cropped_photo_and_no_distance_in_exif() -> None:
    with pytest.raises(ScaleError, match="cropped from 4000×2000 to 400×300 px"):
        find_scale(PHOTO, parse_scale_options(distance="1m"), CameraTags(0.6, None, (4000, 2000)))
    with pytest.raises(ScaleError, match="the camera stored no distance; measure it"):
        find_scale(PHOTO, parse_scale_options(distance="exif"), CameraTags(0.6, None, (3000, 4000)))
