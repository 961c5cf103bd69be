import json

import pytest

from drywallqa.errors import DataError
from drywallqa.formats import coco
from drywallqa.formats.annotations import UNKNOWN_CLASS, ReadOptions
from drywallqa.formats.geometry import Box, Outline, Runs
from tiny_exports import roboflow_coco, write_coco, write_photo, write_text


def _one(tmp_path, *annotations, names=("a.jpg",)):
    for number, name in enumerate(names):
        write_photo(tmp_path / "train" / name, number)
    write_coco(tmp_path / "train" / "_annotations.coco.json", list(names), list(annotations))
    return coco.read_coco(tmp_path, ReadOptions())


def test_read__roboflow_layout(tmp_path):
    export = coco.read_coco(roboflow_coco(tmp_path), ReadOptions())
    assert [photo.split for photo in export.entries] == ["train", "train", "val"]
    assert export.entries[0].shapes[0].geometry == Box(8, 8, 24, 32)
    assert export.entries[1].shapes == ()
    assert isinstance(export.entries[2].shapes[0].geometry, Outline)
    assert export.problems == ()
    assert export.used_classes() == ("crack",)


def test_read__cvat_layout(tmp_path):
    write_photo(tmp_path / "images" / "train" / "a.jpg", 1)
    write_photo(tmp_path / "images" / "b.jpg", 2)
    box = {"bbox": [8, 8, 16, 24]}
    write_coco(tmp_path / "annotations" / "instances_train.json", ["a.jpg"], [box])
    write_coco(tmp_path / "annotations" / "instances_default.json", ["b.jpg"], [box])
    export = coco.read_coco(tmp_path, ReadOptions())
    assert {photo.path.name: photo.split for photo in export.entries} == {"a.jpg": "train", "b.jpg": None}
    assert export.problems == ()


@pytest.mark.parametrize("name", ["images/a.jpg", "images\\a.jpg", "../../data/upload/1/a.jpg"])
def test_read__label_studio_layout(tmp_path, name):
    write_photo(tmp_path / "images" / "a.jpg", 1)
    write_coco(tmp_path / "result.json", [name], [{"bbox": [8, 8, 16, 24]}])
    export = coco.read_coco(tmp_path, ReadOptions())
    assert export.entries[0].path == tmp_path / "images" / "a.jpg"
    assert export.entries[0].split is None


def test_read__a_photo_outside_the_export_is_not_touched(tmp_path):
    write_photo(tmp_path / "secret.jpg", 1)
    write_coco(tmp_path / "export" / "result.json", ["../secret.jpg"], [])
    export = coco.read_coco(tmp_path / "export", ReadOptions())
    assert export.entries == ()
    assert export.problems[0].kind == "missing photo"


def test_read__both_kinds_of_run_lengths(tmp_path):
    plain = {"segmentation": {"size": [64, 64], "counts": [100, 50, 3946]}}
    packed = {"segmentation": {"size": [64, 64], "counts": "T3b1Zk3"}}
    shapes = _one(tmp_path, plain, packed).entries[0].shapes
    assert shapes[0].geometry == Runs((100, 50, 3946), 64, 64)
    assert shapes[1].geometry == Runs("T3b1Zk3", 64, 64)


@pytest.mark.parametrize(
    ("annotation", "kind", "where"),
    [
        ({"image_id": 99, "bbox": [1, 1, 9, 9]}, "wrong id", "annotation id 1"),
        ({"category_id": 7, "bbox": [1, 1, 9, 9]}, "wrong id", "annotation id 1"),
        ({"category_id": None, "bbox": [1, 1, 9, 9]}, "wrong id", "annotation id 1"),
        ({"segmentation": [[1, 1, 9, 9]]}, "too few points", "annotation id 1"),
        ({"segmentation": [[1, 1, 9, 9, 5, 5, 4]]}, "malformed", "annotation id 1"),
        ({"segmentation": [[1, 1, 9, "x", 5, 5]]}, "not a number", "annotation id 1"),
        ({"segmentation": {"size": [64], "counts": [1]}}, "malformed", "annotation id 1"),
        ({"segmentation": {"size": [64, 64]}}, "malformed", "annotation id 1"),
        ({"bbox": [1, 1, 9]}, "malformed", "annotation id 1"),
        ({}, "malformed", "annotation id 1"),
        ({"id": None}, "malformed", "annotation no. 1"),
    ],
)
def test_read__malformed_annotations_are_named(tmp_path, annotation, kind, where):
    export = _one(tmp_path, annotation)
    assert [(problem.kind, problem.where) for problem in export.problems] == [(kind, where)]
    assert export.problems[0].file == "train/_annotations.coco.json"
    assert export.entries[0].shapes == ()


def test_read__what_was_dropped_is_no_proof_of_absence(tmp_path):
    assert _one(tmp_path, {"segmentation": [[1, 1]]}).entries[0].lost == {"crack"}


def test_read__missing_photo_and_duplicate_ids(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    path = write_coco(tmp_path / "result.json", ["a.jpg", "gone.jpg"], [])
    data = json.loads(path.read_text())
    data["images"].append({"id": 1, "file_name": "b.jpg"})
    data["images"].append({"file_name": "no id.jpg"})
    data["categories"].append({"id": 1, "name": "other"})
    data["annotations"].append("nonsense")
    write_text(path, json.dumps(data))
    kinds = sorted(problem.kind for problem in coco.read_coco(tmp_path, ReadOptions()).problems)
    assert kinds == ["duplicate", "duplicate", "malformed", "malformed", "missing photo", "missing photo"]


@pytest.mark.parametrize(
    "text", ['{"images": [', '{"images": {}, "annotations": [], "categories": []}', "{}"]
)
def test_read__no_coco_is_refused_by_name(tmp_path, text):
    write_text(tmp_path / "result.json", text)
    with pytest.raises(DataError, match=r"result\.json.*export"):
        coco.read_coco(tmp_path, ReadOptions())


@pytest.mark.parametrize("flag", [{"ignore": 1}, {"deleted": True}, {"ignore": "1"}])
def test_read__an_annotation_marked_as_ignored_is_no_label(tmp_path, flag):
    export = _one(tmp_path, {"bbox": [8, 8, 16, 24]} | flag)
    assert [problem.kind for problem in export.problems] == ["not supported"]
    assert (export.entries[0].shapes, export.entries[0].lost) == ((), {"crack"})
    assert _one(tmp_path, {"bbox": [8, 8, 16, 24], "ignore": 0, "deleted": False}).problems == ()


def test_read__annotations_inside_an_image_leave_it_unknown(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    path = write_coco(tmp_path / "result.json", ["a.jpg"], [])
    data = json.loads(path.read_text())
    data["images"][0]["annotations"] = [{"bbox": [8, 8, 16, 24], "category_id": 1}]
    write_text(path, json.dumps(data))
    export = coco.read_coco(tmp_path, ReadOptions())
    assert [(problem.kind, problem.where) for problem in export.problems] == [("not supported", "image id 1")]
    assert export.entries[0].lost == {UNKNOWN_CLASS}


def test_read__a_rotation_that_is_not_a_number_is_named(tmp_path):
    box = {"bbox": [8, 8, 16, 24]}
    export = _one(
        tmp_path, box | {"attributes": {"rotation": "30deg"}}, box | {"attributes": {"rotation": None}}
    )
    assert [problem.kind for problem in export.problems] == ["not a number"]
    assert len(export.entries[0].shapes) == 1
    assert export.entries[0].lost == {"crack"}


@pytest.mark.parametrize(("side", "kinds"), [("64px", []), ("64 mm", ["unreadable size"]), (None, [])])
def test_read__a_size_with_a_unit(tmp_path, side, kinds):
    path = tmp_path / "train" / "_annotations.coco.json"
    write_photo(tmp_path / "train" / "a.jpg", 1)
    write_coco(path, ["a.jpg"], [{"bbox": [8, 8, 16, 24]}])
    data = json.loads(path.read_text())
    data["images"][0] |= {"width": side, "height": side}
    path.write_text(json.dumps(data))
    export = coco.read_coco(tmp_path, ReadOptions())
    assert [problem.kind for problem in export.problems] == kinds
    assert export.entries[0].declared_size == ((64, 64) if side == "64px" else None)


@pytest.mark.parametrize(("flag", "kept"), [("true", 0), ("1", 0), ("false", 1), (0, 1)])
def test_read__flags_of_any_type(tmp_path, flag, kept):
    export = _one(tmp_path, {"bbox": [8, 8, 16, 24], "ignore": flag})
    assert len(export.entries[0].shapes) == kept
