import json

import pytest

from drywallqa.errors import DataError
from drywallqa.formats import supervisely
from drywallqa.formats.annotations import Export, ReadOptions
from drywallqa.formats.geometry import Box, Runs, rasterise
from tiny_exports import SIDE, square, write_photo, write_text
from tool_exports import MARKED, clean_supervisely, sly_bitmap, sly_json, sly_polygon


def _read(root, *objects) -> Export:
    write_photo(root / "ds" / "img" / "a.png", 1)
    write_text(root / "ds" / "ann" / "a.png.json", sly_json(*objects))
    return supervisely.read_supervisely(root, ReadOptions())


def test_read__a_project(tmp_path):
    export = supervisely.read_supervisely(clean_supervisely(tmp_path), ReadOptions())
    assert export.problems == ()
    assert [[shape.class_name for shape in entry.shapes] for entry in export.entries] == [["crack"], ["seam"]]
    assert {entry.declared for entry in export.entries} == {frozenset({"crack", "seam"})}
    bitmap = export.entries[1].shapes[0].geometry
    assert (rasterise(bitmap, SIDE, SIDE) == MARKED).all()


def test_read__holes_of_a_polygon_are_kept(tmp_path):
    hole = [[20, 15], [40, 15], [40, 25], [20, 25]]
    geometry = _read(tmp_path, sly_polygon(holes=(hole,))).entries[0].shapes[0].geometry
    assert isinstance(geometry, Runs)
    assert (rasterise(geometry, SIDE, SIDE) == MARKED & ~square(20, 15, 40, 25)).all()


def test_read__a_rectangle_and_no_meta_file(tmp_path):
    points = {"exterior": [[40, 9], [2, 2]], "interior": []}
    export = _read(tmp_path, {"classTitle": "crack", "geometryType": "rectangle", "points": points})
    assert export.entries[0].shapes[0].geometry == Box(2, 2, 40, 9)
    assert export.entries[0].declared == frozenset()


@pytest.mark.parametrize(
    ("entry", "kind", "lost"),
    [
        (sly_polygon() | {"geometryType": "line"}, "not supported", "crack"),
        (sly_polygon() | {"points": {"exterior": [[1, 1]]}}, "too few points", "crack"),
        (sly_polygon() | {"points": sly_polygon()["points"] | {"interior": "x"}}, "malformed", "crack"),
        (sly_polygon() | {"classTitle": None}, "wrong id", ""),
        (sly_bitmap(MARKED) | {"bitmap": {"data": "AAAA", "origin": [0, 0]}}, "unreadable", "crack"),
        (sly_bitmap(MARKED) | {"bitmap": {"data": "AAAA", "origin": [0]}}, "malformed", "crack"),
    ],
)
def test_read__bad_objects_are_named(tmp_path, entry, kind, lost):
    export = _read(tmp_path, entry)
    assert [(problem.kind, problem.where) for problem in export.problems] == [
        (kind, f"object id {entry['id']}")
    ]
    assert export.entries[0].lost == {lost}


def test_read__a_damaged_list_of_classes_is_refused(tmp_path):
    write_text(clean_supervisely(tmp_path) / "meta.json", '{"classes": 5}')
    with pytest.raises(DataError, match=r"meta\.json: the list 'classes' is missing"):
        supervisely.read_supervisely(tmp_path, ReadOptions())


def test_read__a_class_that_only_a_tag_of_the_photo_states_is_unknown(tmp_path):
    clean_supervisely(tmp_path)
    for path, name in zip(sorted(tmp_path.rglob("ann/*.json")), ("seam", "crack"), strict=True):
        path.write_text(
            path.read_text().replace('"tags": []', f'"tags": [{{"name": "{name}"}}, {{"name": "dark"}}]')
        )
    export = supervisely.read_supervisely(tmp_path, ReadOptions())
    assert [entry.declared for entry in export.entries] == [{"crack"}, {"seam"}]
    assert [problem.kind for problem in export.problems] == ["passed over"] * 2


def test_read__a_size_that_is_not_a_number_is_named(tmp_path):
    path = _read(tmp_path, sly_polygon()).root / "ds" / "ann" / "a.png.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"size": {"width": "wide", "height": SIDE}}))
    export = supervisely.read_supervisely(tmp_path, ReadOptions())
    assert [(problem.kind, problem.file) for problem in export.problems] == [
        ("unreadable size", "ds/ann/a.png.json")
    ]
