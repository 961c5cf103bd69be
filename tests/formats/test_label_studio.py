import base64
import json

import pytest

from drywallqa.datasets.photo_labels import label_photo, unite_entries
from drywallqa.errors import DataError
from drywallqa.formats import label_studio
from drywallqa.formats.annotations import Export, ReadOptions
from drywallqa.formats.label_studio import photo_name
from tiny_exports import SIDE, write_photo, write_text
from tool_exports import clean_label_studio, clean_label_studio_min, ls_polygon, ls_task


def _read(root, *tasks, names=("a.jpg", "b.jpg"), **options) -> Export:
    for seed, name in enumerate(names):
        write_photo(root / name, seed)
    write_text(root / "project.json", json.dumps(tasks))
    return label_studio.read_label_studio(root, ReadOptions(**options))


@pytest.mark.parametrize("make", [clean_label_studio, clean_label_studio_min])
def test_read__json_and_json_min(tmp_path, make):
    export = label_studio.read_label_studio(make(tmp_path), ReadOptions())
    assert export.problems == ()
    assert [[shape.class_name for shape in entry.shapes] for entry in export.entries] == [["crack"], ["seam"]]
    assert {entry.declared for entry in export.entries} == {frozenset({"crack", "seam"})}
    assert {entry.declared_size for entry in export.entries} == {(SIDE, SIDE)}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/upload/12/1a2b3c4d-IMG%201.jpg", "1a2b3c4d-IMG%201.jpg"),
        ("/data/local-files/?d=walls%2Fa.jpg", "walls/a.jpg"),
        ("s3://bucket/walls/a.jpg", "walls/a.jpg"),
        ("https://host.example/walls/a.jpg?token=1", "walls/a.jpg"),
        ("/tasks/3/presign/?fileuri=" + base64.b64encode(b"s3://bucket/a.jpg").decode(), "a.jpg"),
        ("/tasks/3/presign/?fileuri=%", "/tasks/3/presign/?fileuri=%"),
        ("walls\\a#1.jpg", "walls\\a#1.jpg"),
        ("http://[broken/a.jpg", "http://[broken/a.jpg"),
    ],
)
def test_photo_name__urls_of_label_studio(url, name):
    assert photo_name(url) == name


def test_read__the_prefix_of_an_upload_goes_only_if_one_upload_has_the_name(tmp_path):
    one = ls_task(1, "/data/upload/1/11111111-a.jpg", [ls_polygon()])
    assert _read(tmp_path / "one", one).entries[0].path.name == "a.jpg"
    other = ls_task(2, "/data/upload/1/22222222-a.jpg", [])
    export = _read(tmp_path / "two", one, other)
    assert [problem.kind for problem in export.problems] == ["missing photo", "missing photo"]


def test_read__two_annotators_who_contradict_each_other_leave_the_label_unknown(tmp_path):
    export = _read(tmp_path, ls_task(1, "a.jpg", [ls_polygon()], []), ls_task(2, "b.jpg", []))
    photos, _ = unite_entries(export)
    first, second = (label_photo(photo, SIDE, SIDE) for photo in photos)
    assert first.conflicts == {"crack"}
    assert "annotation id 11 and project.json, task id 1, annotation id 12" in first.problems[0].text
    assert second.masks == {"crack": None}


def test_read__cancelled_annotations_predictions_and_drafts_are_no_labels(tmp_path):
    task = ls_task(1, "a.jpg", [ls_polygon()], predictions=[{"result": [ls_polygon()]}], drafts=[{}])
    task["annotations"][0]["was_cancelled"] = True
    export = _read(tmp_path, task)
    assert export.entries[0].source == ""
    assert export.used_classes() == ()
    assert sorted(problem.kind for problem in export.problems) == ["missing labels", "passed over"]
    assert "1 predictions, 1 drafts, 1 cancelled annotations" in str(export.problems[0])


def test_read__a_file_declares_the_labels_it_uses_and_all_files_do_if_stated(tmp_path):
    write_text(tmp_path / "other.json", json.dumps([ls_task(9, "b.jpg", [ls_polygon(["seam"])])]))
    task = ls_task(1, "a.jpg", [ls_polygon()])
    declared = {entry.path.name: entry.declared for entry in _read(tmp_path, task).entries}
    assert declared == {"a.jpg": {"crack"}, "b.jpg": {"seam"}}
    stated = _read(tmp_path, task, fully_labelled=True)
    assert {entry.declared for entry in stated.entries} == {frozenset({"crack", "seam"})}


def test_read__labels_of_a_task_without_a_photo_may_belong_to_any_photo(tmp_path):
    export = _read(tmp_path, ls_task(1, "", [ls_polygon()]), ls_task(2, "a.jpg", [ls_polygon(["seam"])]))
    assert export.entries[0].declared == {"seam"}
    assert export.problems[0].where == "task id 1"
    assert _read(tmp_path, ls_task(2, "a.jpg", [ls_polygon()]), 5).entries[0].declared == frozenset()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"image": "a.jpg", "thumb": "b.jpg"}, "a.jpg"),
        ({"photo": "a.jpg", "note": "dry"}, "a.jpg"),
        ({"left": "a.jpg", "right": "b.jpg"}, None),
    ],
)
def test_read__the_labelled_picture_of_several(tmp_path, data, found):
    task = ls_task(1, "a.jpg", [ls_polygon()])
    task["data"] = data
    names = [entry.path.name for entry in _read(tmp_path, task).entries]
    assert names == ([found] if found else [])


def test_read__an_annotation_without_results_leaves_its_photo_unknown(tmp_path):
    task = ls_task(1, "a.jpg", [ls_polygon()])
    task["annotations"].append(17)
    export = _read(tmp_path, task)
    assert [entry.lost for entry in export.entries] == [frozenset(), {""}]
    assert export.problems[0].where == "task id 1, annotation id no. 2"


@pytest.mark.parametrize("text", ['[{"annotations": [', '{"annotations": []}'])
def test_read__a_damaged_file_is_refused_by_name(tmp_path, text, monkeypatch):
    path = write_text(tmp_path / "project.json", text)
    monkeypatch.setattr(label_studio, "find_label_studio_files", lambda root: [path])
    with pytest.raises(DataError, match=r"project\.json.*export the project again"):
        label_studio.read_label_studio(tmp_path, ReadOptions())


def test_find__coco_results_and_other_lists_are_not_tasks(tmp_path):
    write_text(tmp_path / "result.json", '{"images": [], "annotations": [], "categories": []}')
    write_text(tmp_path / "numbers.json", "[1, 2]")
    write_text(tmp_path / "createml.json", '[{"image": "a.jpg", "annotations": [{"coordinates": {}}]}]')
    assert label_studio.find_label_studio_files(tmp_path) == []


def test_read__a_label_that_only_a_choice_states_is_unknown(tmp_path):
    answers = {"id": "c", "type": "choices", "value": {"choices": ["crack", "dry"]}}
    tasks = ls_task(1, "a.jpg", [answers]), ls_task(2, "b.jpg", [ls_polygon(), answers])
    export = _read(tmp_path, *tasks)
    assert [entry.declared for entry in export.entries] == [set(), {"crack"}]
    assert [problem.where for problem in export.problems] == ["", "task id 1, annotation id 11"]


def test_read__json_min_with_one_region_instead_of_a_list(tmp_path):
    (path,) = clean_label_studio_min(tmp_path).glob("*.json")
    tasks = json.loads(path.read_text())
    tasks[0] |= {"label": tasks[0]["label"][0], "annotator": {"id": 1, "email": "ada@example.org"}}
    path.write_text(json.dumps(tasks))
    export = label_studio.read_label_studio(tmp_path, ReadOptions())
    assert [[shape.class_name for shape in entry.shapes] for entry in export.entries] == [["crack"], ["seam"]]
    assert export.problems == ()
