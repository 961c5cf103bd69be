"""Markers in rendered photos: exact where they can be read, refused where they cannot be trusted."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from drywallqa.errors import MissingExtraError, ScaleError
from drywallqa.inspection.markers import FAMILIES, find_markers, marker_boxes, marker_cells
from drywallqa.inspection.scale import project
from drywallqa.inspection.scale_sources import find_scale, parse_scale_options
from marker_photos import Scene

pytest.importorskip("cv2")
SMALL = Scene(size=(240, 320), pixels=110)
BOX = np.array([[-70.0, -60.0], [80.0, -60.0], [80.0, 70.0], [-70.0, 70.0]])  # mm on the wall
NOWHERE = "no complete marker"


def length_error(scene: Scene) -> float:
    """Return the largest relative error of four lengths around the marker."""
    scale = find_scale(scene.photo(), parse_scale_options(marker="100mm", marker_family=scene.family))
    assert scale is not None
    seen = project(scene.wall_to_photo(), BOX)
    found = scale.distances_mm(seen, np.roll(seen, -1, axis=0))
    return float(np.abs(found / [150, 130, 150, 130] - 1).max())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_marker__lengths_of_a_tilted_wall(family: str) -> None:
    assert length_error(replace(SMALL, family=family, tilt=40, towards=30, roll=20)) < 0.01


def test_marker__blur_noise_and_jpeg() -> None:
    assert length_error(replace(SMALL, tilt=45, blur=1.2, noise=6, quality=70)) < 0.01


@pytest.mark.parametrize("family", ["aruco-5x5", "apriltag-36h11"])
@pytest.mark.parametrize("roll", [0, 90, 180, 270])
def test_marker__wall_frame_does_not_depend_on_the_order_of_the_corners(family: str, roll: float) -> None:
    """Programs that print AprilTags turn them by multiples of 90 degrees against OpenCV's."""
    (marker,) = find_markers(replace(SMALL, family=family, roll=roll, tilt=20).photo(), 100, family)
    seen = project(replace(SMALL, tilt=20).wall_to_photo(), np.array([[-50.0, -50.0], [50.0, 50.0]]))
    assert project(marker.homography, seen) == pytest.approx(np.array([[0, 0], [100, 100]]), abs=0.3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": 0.5}, NOWHERE),
        ({"hidden": 0.2, "hidden_from": 45.0, "hidden_grey": 40.0}, NOWHERE),
        ({"hidden": 0.08, "hidden_from": 90.0, "hidden_grey": 230.0}, NOWHERE),
        ({"mirrored": True}, NOWHERE),
        ({"bend": 20.0}, "marker 17 is not flat: its edges bend by"),
        ({"bend": 12.0, "tilt": 30.0, "bend_axis": 70.0}, "is not flat"),
        ({"family": "aruco-6x6"}, "of the family aruco-6x6, not aruco-5x5; pass --marker-family aruco-6x6"),
        ({"pixels": 42.0}, "px wide in the photo; it needs 49 px; step closer or print it larger"),
    ],
)  # fmt: skip
def test_marker__refused(change: dict[str, float], sentence: str) -> None:
    with pytest.raises(ScaleError) as caught:
        find_markers(replace(SMALL, **change).photo(), 100)  # type: ignore[arg-type]
    assert sentence in str(caught.value)


def test_marker__a_photo_without_one() -> None:
    with pytest.raises(ScaleError, match=NOWHERE):
        find_markers(np.full((120, 160, 3), 200, np.uint8), 100)


def test_markers__two_that_agree_and_two_that_do_not() -> None:
    left, right = replace(SMALL, centre=(0.3, 0.5), pixels=90), replace(SMALL, centre=(0.75, 0.5), number=3)
    both, wrong = (
        np.concatenate([left.photo()[:, :170], replace(right, pixels=pixels).photo()[:, 170:]], 1)
        for pixels in (90, 84)
    )
    scale = find_scale(both, parse_scale_options(marker="100mm"))
    assert scale is not None
    assert scale.mm_per_pixel == pytest.approx(100 / 90, rel=0.01)
    with pytest.raises(ScaleError, match=r"two sources of the scale disagree: marker .* gives .* marker"):
        find_scale(wrong, parse_scale_options(marker="100mm"))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families__no_marker_is_the_mirror_image_of_another(family: str) -> None:
    with pytest.raises(
        ScaleError, match=f"marker 9999 does not exist in the family {family}; use 0 to"
    ) as caught:
        marker_cells(family, 9999)
    last = int(str(caught.value).split()[-1])
    cells = [marker_cells(family, number) for number in range(last + 1)]
    turned = {np.rot90(each, turn).tobytes() for each in cells for turn in range(4)}
    assert len(turned) == 4 * len(cells)
    assert not turned & {each[:, ::-1].tobytes() for each in cells}


def test_markers__without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match="reading a marker needs the optional extra 'inspect'"):
        find_markers(np.zeros((9, 9, 3), np.uint8), 100)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_boxes__contain_the_marker_of_any_family(family: str) -> None:
    scene = replace(SMALL, family=family)
    ((left, top, right, bottom),) = marker_boxes(scene.photo())
    corners = project(scene.wall_to_photo(), np.array([[-50.0, -50.0], [50.0, 50.0]]))
    assert left < corners[0, 0] < corners[1, 0] < right
    assert top < corners[0, 1] < corners[1, 1] < bottom


def test_boxes__a_photo_without_a_marker() -> None:
    assert marker_boxes(np.full((60, 80, 3), 128, np.uint8)) == []
