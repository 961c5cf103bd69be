import numpy as np
import pytest

from drywallqa.errors import DataError
from drywallqa.formats import labelme
from drywallqa.formats.annotations import Export, ReadOptions
from drywallqa.formats.geometry import Box, Outline, Runs, rasterise
from tiny_exports import SIDE, write_photo, write_text
from tool_exports import MARKED, RING, clean_labelme, labelme_json, labelme_mask, labelme_shape


def _read(root, *shapes, name: object = "a.png", **fields) -> Export:
    write_photo(root / "a.png", 1)
    write_text(root / "a.json", labelme_json(name, *shapes, **fields))
    return labelme.read_labelme(root, ReadOptions())


def _geometry(root, shape):
    export = _read(root, shape)
    assert export.problems == ()
    return export.entries[0].shapes[0].geometry


def test_read__photos_with_a_file_each(tmp_path):
    export = labelme.read_labelme(clean_labelme(tmp_path), ReadOptions())
    assert [[shape.class_name for shape in entry.shapes] for entry in export.entries] == [["crack"], ["seam"]]
    assert {entry.declared for entry in export.entries} == {frozenset({"crack", "seam"})}
    mask = export.entries[1].shapes[0].geometry
    assert isinstance(mask, Runs)
    assert (rasterise(mask, SIDE, SIDE) == MARKED).all()


def test_read__without_a_list_of_classes_nothing_is_absent_unless_stated(tmp_path):
    (clean_labelme(tmp_path) / "labels.txt").unlink()
    assert {entry.declared for entry in labelme.read_labelme(tmp_path, ReadOptions()).entries} == {
        frozenset()
    }
    stated = labelme.read_labelme(tmp_path, ReadOptions(fully_labelled=True))
    assert {entry.declared for entry in stated.entries} == {frozenset({"crack", "seam"})}


def test_read__the_nearest_list_of_classes_counts(tmp_path):
    write_text(tmp_path / "labels.txt", "crack\n")
    write_text(tmp_path / "site" / "labels.txt", "seam\n")
    for folder in (tmp_path, tmp_path / "site"):
        write_photo(folder / "a.png", len(folder.parts))
        write_text(folder / "a.json", labelme_json("a.png"))
    export = labelme.read_labelme(tmp_path, ReadOptions())
    assert [entry.declared for entry in export.entries] == [{"crack"}, {"seam"}]


@pytest.mark.parametrize("points", [[[40, 9], [2, 2]], [[2, 9], [40, 2]], [["2", 2.0], [40, "9"]]])
def test_read__the_corners_of_a_rectangle_come_in_any_order(tmp_path, points):
    assert _geometry(tmp_path, labelme_shape("rectangle", points)) == Box(2, 2, 40, 9)


@pytest.mark.parametrize("kind", ["rectangle", "rotation", "polygon"])
def test_read__four_corners_are_an_outline(tmp_path, kind):
    geometry = _geometry(tmp_path, labelme_shape(kind, RING))
    assert isinstance(geometry, Outline)
    assert geometry.rings[0].tolist() == RING


def test_read__a_circle_is_a_centre_and_a_point_on_it(tmp_path):
    geometry = _geometry(tmp_path, labelme_shape("circle", [[32, 32], [32, 52]]))
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    wanted = (x - 32) ** 2 + (y - 32) ** 2 <= 20**2
    assert (rasterise(geometry, SIDE, SIDE) ^ wanted).sum() <= 12


@pytest.mark.parametrize(
    ("shape", "kind", "lost"),
    [
        (labelme_shape("linestrip", RING), "not supported", "crack"),
        (labelme_shape("point", [[1, 1]]), "not supported", "crack"),
        (labelme_shape("polygon", RING[:2]), "too few points", "crack"),
        (labelme_shape("polygon", 7), "too few points", "crack"),
        (labelme_shape("polygon", [[1, 1], [2, 2], [3]]), "malformed", "crack"),
        (labelme_shape("circle", [[1, 1], [1, 1]]), "degenerate", "crack"),
        (labelme_shape("rectangle", [[1, 1]]), "too few points", "crack"),
        (labelme_shape("rectangle", [[1, 1], [5, 5], [7, 7]]), "malformed", "crack"),
        (labelme_shape("mask", [[1, 1], [9, 9]], mask="no picture"), "unreadable", "crack"),
        (labelme_mask(MARKED) | {"points": [[10, 10], [20, 20]]}, "wrong size", "crack"),
        (labelme_mask(MARKED) | {"points": [[30, 30], [69, 49]]}, "malformed", "crack"),
        (labelme_mask(MARKED) | {"points": [[1e300, 30], [69, 49]]}, "not a number", "crack"),
        (labelme_shape("polygon", RING, None), "wrong id", ""),
        ("nonsense", "wrong id", ""),
    ],
)
def test_read__bad_shapes_are_named(tmp_path, shape, kind, lost):
    export = _read(tmp_path, labelme_shape("polygon", RING, "seam"), shape)
    assert [(problem.kind, problem.where) for problem in export.problems] == [(kind, "shape no. 2")]
    assert export.entries[0].lost == {lost}
    assert len(export.entries[0].shapes) == 1


def test_read__shapes_that_are_no_list_leave_the_photo_unknown(tmp_path):
    export = _read(tmp_path, shapes={"label": "crack", "points": []})
    assert export.entries[0].lost == {""}
    assert export.problems[0].kind == "malformed"


def test_read__a_picture_only_inside_the_file_is_named(tmp_path):
    export = _read(tmp_path, labelme_shape("polygon", RING), name="gone.png", imageData="iVBORw0KGgo=")
    assert {problem.kind for problem in export.problems} == {"missing photo"}
    assert any("labelme_export_json" in problem.text for problem in export.problems)
    assert export.entries[0].path.name == "a.png"  # the photo beside the file: perhaps its photo, so unknown
    assert export.entries[0].lost == {""}


def test_read__a_damaged_file_costs_the_labels_of_its_photo_only(tmp_path):
    clean_labelme(tmp_path)
    path = tmp_path / "a.json"
    path.write_text(path.read_text()[:-20])
    export = labelme.read_labelme(tmp_path, ReadOptions())
    assert [(problem.kind, problem.file) for problem in export.problems] == [("unreadable", "a.json")]
    assert {entry.path.name: entry.lost for entry in export.entries} == {"a.jpg": {""}, "b.jpg": frozenset()}


def test_read__a_list_of_classes_that_is_no_text_is_refused(tmp_path):
    (clean_labelme(tmp_path) / "labels.txt").write_bytes(b"\xff\xfecrack")
    with pytest.raises(DataError, match=r"labels\.txt.*UTF-8"):
        labelme.read_labelme(tmp_path, ReadOptions())


def test_read__a_class_that_only_a_flag_of_the_photo_states_is_unknown(tmp_path):
    write_text(tmp_path / "labels.txt", "crack\nseam\n")
    flags = {"crack": True, "seam": False, "blurred": True}
    export = _read(tmp_path, flags=flags)
    assert export.entries[0].declared == {"seam"}
    assert [problem.kind for problem in export.problems] == ["passed over"]
    assert _read(tmp_path, labelme_shape("polygon", RING), flags=flags).problems == ()
