import numpy as np
import pytest

from drywallqa.formats.geometry import Box, Outline, Runs, fit_geometry, rasterise
from drywallqa.formats.label_studio_regions import read_regions
from tiny_exports import SIDE
from tool_exports import MARKED, ls_brush, ls_polygon, ls_region


def _geometry(result):
    regions = read_regions([result], "p.json", "task id 1")
    assert regions.problems == []
    assert regions.size == (SIDE, SIDE)
    return fit_geometry(regions.shapes[0].geometry, SIDE, SIDE, (1.0, 1.0)).geometry


def test_read__a_brush_is_decoded_to_the_pixel():
    geometry = _geometry(ls_brush(MARKED))
    assert isinstance(geometry, Runs)
    assert (rasterise(geometry, SIDE, SIDE) == MARKED).all()


def test_read__a_polygon_and_a_rectangle_in_percent():
    assert (rasterise(_geometry(ls_polygon()), SIDE, SIDE) == MARKED).all()
    value = {"x": 25.0, "y": 50.0, "width": 50.0, "height": 12.5, "rotation": 0}
    assert _geometry(ls_region("rectangle", value)) == Box(16, 32, 48, 40)


def test_read__a_rectangle_is_turned_around_its_upper_left_corner_in_pixels():
    """The photo is twice as wide as high, so the turn differs from a turn in percent."""
    value = {"x": 50.0, "y": 0.0, "width": 25.0, "height": 10.0, "rotation": 90}
    result = ls_region("rectangle", value, original_width=200, original_height=100)
    (shape,) = read_regions([result], "p.json", "").shapes
    geometry = fit_geometry(shape.geometry, 100, 200, (1.0, 1.0)).geometry
    assert isinstance(geometry, Outline)
    assert geometry.rings[0] == pytest.approx(np.array([[100, 0], [100, 50], [90, 50], [90, 0]]), abs=1e-6)


def test_read__an_ellipse_is_filled():
    value = {"x": 50.0, "y": 50.0, "radiusX": 31.25, "radiusY": 12.5, "rotation": 90}
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    wanted = ((x - 32) / 8) ** 2 + ((y - 32) / 20) ** 2 <= 1
    assert (rasterise(_geometry(ls_region("ellipse", value)), SIDE, SIDE) ^ wanted).sum() <= 8


def test_read__geometry_and_labels_may_be_two_results_of_one_region():
    value = {"x": 25.0, "y": 50.0, "width": 50.0, "height": 12.5, "rotation": 0}
    drawn = {"id": "r1", "type": "rectangle", "value": value}
    named = {"id": "r1", "type": "labels", "value": {**value, "labels": ["crack", "seam"]}}
    text = {"id": "r1", "type": "textarea", "value": {**value, "text": ["wide"]}}
    for results in ([drawn, named, text], [value, {**value, "labels": ["crack", "seam"]}]):
        regions = read_regions(results, "p.json", "")
        assert [shape.class_name for shape in regions.shapes] == ["crack", "seam"]
        assert regions.problems == []


def test_read__answers_about_the_whole_photo_are_counted():
    choice = {"id": "c", "type": "choices", "value": {"choices": ["dry"]}}
    assert read_regions([choice], "p.json", "").others == {"choices": 1}


@pytest.mark.parametrize(
    ("result", "kind", "lost"),
    [
        (ls_region("keypoint", {"x": 1, "y": 1, "width": 1}), "not supported", "crack"),
        (
            ls_region("polygon", {"points": [[1, 1], [9, 9], [3, 9]], "closed": False}),
            "not supported",
            "crack",
        ),
        (ls_region("bitmask", {"imageDataURL": "data:"}), "not supported", "crack"),
        (ls_polygon(image_rotation=90), "not supported", "crack"),
        (ls_polygon([]), "wrong id", ""),
        (ls_region("brush", {}), "malformed", "crack"),
        (ls_region("brush", {"rle": [1, 2, 3]}), "malformed", "crack"),
        (ls_brush(MARKED, original_width=None), "malformed", "crack"),
        (ls_brush(MARKED, original_width=10**9), "wrong size", "crack"),
        (ls_region("polygon", {"points": [[1, 1], [2]]}), "malformed", "crack"),
        (ls_region("polygon", {"points": [[1, 1], ["x", 2], [3, 3]]}), "not a number", "crack"),
        (ls_region("rectangle", {"x": 1, "y": None, "width": 5, "height": 5}), "not a number", "crack"),
        (
            ls_region("ellipse", {"x": 9, "y": 9, "radiusX": 2, "radiusY": 2}, original_width=0),
            "malformed",
            "crack",
        ),
        ("nonsense", "malformed", ""),
    ],
)
def test_read__bad_regions_are_named(result, kind, lost):
    regions = read_regions([result], "p.json", "task id 1")
    assert [problem.kind for problem in regions.problems] == [kind]
    assert regions.problems[0].where.startswith("task id 1")
    assert regions.lost == {lost}
    assert regions.shapes == []
