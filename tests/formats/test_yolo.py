import pytest

from drywallqa.errors import DataError
from drywallqa.formats import yolo
from drywallqa.formats.annotations import UNKNOWN_CLASS, ReadOptions
from drywallqa.formats.exports import read_export
from drywallqa.formats.geometry import Box, Outline
from tiny_exports import roboflow_yolo, write_photo, write_text


def test_read__roboflow_layout(tmp_path):
    export = yolo.read_yolo(roboflow_yolo(tmp_path), ReadOptions())
    assert {photo.split: len(photo.shapes) for photo in export.entries} == {"train": 1, "val": 1, "test": 0}
    by_split = {photo.split: photo for photo in export.entries}
    assert isinstance(by_split["train"].shapes[0].geometry, Outline)
    assert by_split["val"].shapes[0].geometry == Box(0.375, 0.375, 0.625, 0.625, relative=True)
    assert export.problems == ()


def test_read__cvat_layout(tmp_path):
    write_text(tmp_path / "obj.names", "crack\nseam\n")
    write_text(tmp_path / "obj.data", "classes = 2\nnames = data/obj.names\n")
    write_text(tmp_path / "train.txt", "data/obj_train_data/a.jpg\n")
    write_photo(tmp_path / "obj_train_data" / "a.jpg", 1)
    write_text(tmp_path / "obj_train_data" / "a.txt", "1 0.5 0.5 0.25 0.25\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [(photo.split, photo.shapes[0].class_name) for photo in export.entries] == [("train", "seam")]
    assert export.problems == ()


def test_read__cvat_ultralytics_layout(tmp_path):
    write_text(tmp_path / "data.yaml", "names:\n  0: crack\npath: .\n")
    write_photo(tmp_path / "images" / "val" / "a.jpg", 1)
    write_text(tmp_path / "labels" / "val" / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [(photo.split, len(photo.shapes)) for photo in export.entries] == [("val", 1)]


def test_read__label_studio_layout(tmp_path):
    write_text(tmp_path / "classes.txt", "crack\n")
    write_text(tmp_path / "notes.json", "{}")
    write_photo(tmp_path / "images" / "a.jpg", 1)
    write_text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [(photo.split, len(photo.shapes)) for photo in export.entries] == [(None, 1)]
    assert export.problems == ()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("3 0.5 0.5 0.2 0.2", "wrong id"),
        ("x 0.5 0.5 0.2 0.2", "wrong id"),
        ("-1 0.5 0.5 0.2 0.2", "wrong id"),
        ("0 0.5 0.5 0.2", "malformed"),
        ("0 0.5 0.5", "too few points"),
        ("0", "too few points"),
        ("0 0.5 0.5 0.2 0.2 0.9", "malformed"),
        ("0 0.5 0.5 0.2 zero", "not a number"),
    ],
)
def test_read__malformed_lines_are_named(tmp_path, line, kind):
    roboflow_yolo(tmp_path)
    write_text(tmp_path / "valid" / "labels" / "p1_jpg.rf.1.txt", f"0 0.5 0.5 0.2 0.2\n\n{line}\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [(problem.kind, problem.file, problem.where) for problem in export.problems] == [
        (kind, "valid/labels/p1_jpg.rf.1.txt", "line 3")
    ]


def test_read__a_missing_label_file_means_unknown_an_empty_one_means_nothing(tmp_path):
    roboflow_yolo(tmp_path)
    (tmp_path / "train" / "labels" / "p0_jpg.rf.1.txt").unlink()
    export = read_export(tmp_path)
    labelled = {entry.split: bool(entry.source) for entry in export.entries}
    assert labelled == {"train": False, "val": True, "test": True}
    assert [problem.kind for problem in export.problems] == ["missing labels"]


def test_read__the_nearest_class_list_counts(tmp_path):
    for name, classes in (("one", "[crack, seam]"), ("two", "[seam, crack]")):
        write_text(tmp_path / name / "data.yaml", f"names: {classes}\n")
        write_photo(tmp_path / name / "images" / f"{name}.jpg", 1)
        write_text(tmp_path / name / "labels" / f"{name}.txt", "0 0.5 0.5 0.25 0.25\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    found = {entry.path.stem: entry.shapes[0].class_name for entry in export.entries}
    assert found == {"one": "crack", "two": "seam"}


def test_read__labels_of_two_photos_belong_to_neither(tmp_path):
    write_text(tmp_path / "data.yaml", "names: [crack]\n")
    write_text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    for name in ("a.jpg", "a.png"):
        write_photo(tmp_path / "images" / name, 1)
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [(entry.shapes, entry.lost) for entry in export.entries] == [((), {UNKNOWN_CLASS})] * 2
    assert [(problem.kind, problem.file) for problem in export.problems] == [
        ("contradiction", "labels/a.txt")
    ]
    assert "images/a.jpg and images/a.png" in export.problems[0].text


def test_read__labels_of_another_spelling_are_named(tmp_path):
    write_text(tmp_path / "data.yaml", "names: [crack]\n")
    write_photo(tmp_path / "images" / "Wall 1.JPG", 1)
    write_text(tmp_path / "labels" / "wall%201.txt", "0.0 0.5 0.5 0.25 0.25\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [len(entry.shapes) for entry in export.entries] == [1]
    assert [(problem.kind, problem.file) for problem in export.problems] == [
        ("similar name", "labels/wall%201.txt")
    ]


def test_read__labels_without_a_photo_are_reported(tmp_path):
    roboflow_yolo(tmp_path)
    (tmp_path / "train" / "images" / "p0_jpg.rf.1.jpg").unlink()
    problem = yolo.read_yolo(tmp_path, ReadOptions()).problems[0]
    assert (problem.kind, problem.file) == ("missing photo", "train/labels/p0_jpg.rf.1.txt")


def test_read__binary_labels_are_reported(tmp_path):
    roboflow_yolo(tmp_path)
    (tmp_path / "train" / "labels" / "p0_jpg.rf.1.txt").write_bytes(b"\xff\xfe\x00")
    assert yolo.read_yolo(tmp_path, ReadOptions()).problems[0].kind == "unreadable"


def test_read__without_names_is_refused(tmp_path):
    roboflow_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"no file with class names.*data\.yaml"):
        yolo.read_yolo(tmp_path, ReadOptions())


@pytest.mark.parametrize("visible", [(2, 1), (0, 2), (1, 1)])
def test_read__a_box_with_keypoints_is_not_an_outline(tmp_path, visible):
    write_text(tmp_path / "data.yaml", "names: [crack]\n")
    write_photo(tmp_path / "images" / "a.jpg", 1)
    points = [(0.45, 0.5, visible[0]), (0.6, 0.55, visible[1])]
    line = " ".join(map(str, (0, 0.5, 0.5, 0.25, 0.25, *(value for point in points for value in point))))
    write_text(tmp_path / "labels" / "a.txt", f"{line}\n0 .1 .1 .9 .1 .9 .9 .8 .9 .1 .9\n")
    export = yolo.read_yolo(tmp_path, ReadOptions())
    assert [(problem.kind, problem.where) for problem in export.problems] == [("not supported", "line 1")]
    assert [type(shape.geometry) for shape in export.entries[0].shapes] == [Outline]
    assert export.entries[0].lost == {"crack"}


def test_read__a_label_file_with_the_suffix_of_its_photo(tmp_path):
    write_text(tmp_path / "data.yaml", "names: [crack]\n")
    for name in ("a.jpg", "a.png", "b.jpg"):
        write_photo(tmp_path / "images" / name, 1)
    for name in ("images/b.jpg.txt", "labels/a.png.txt"):
        write_text(tmp_path / name, "0 0.5 0.5 0.25 0.25\n")
    export = read_export(tmp_path)
    assert {entry.path.name for entry in export.entries if entry.shapes} == {"a.png", "b.jpg"}
    assert [(problem.kind, problem.file) for problem in export.problems] == [
        ("missing labels", "images/a.jpg")
    ]


def test_read__names_in_notes_contradict_the_list_of_classes(tmp_path):
    write_text(tmp_path / "classes.txt", "crack\nseam\n")
    write_photo(tmp_path / "images" / "a.jpg", 1)
    write_text(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    notes = '{"categories": [{"id": "0", "name": "%s"}, {"id": 1, "name": "%s"}]}'
    write_text(tmp_path / "notes.json", notes % ("seam", "crack"))
    with pytest.raises(
        DataError, match=r"classes\.txt names class 0 'crack', but notes\.json names it 'seam'"
    ):
        yolo.read_yolo(tmp_path, ReadOptions())
    write_text(tmp_path / "notes.json", notes % ("crack", "seam"))
    assert yolo.read_yolo(tmp_path, ReadOptions()).problems == ()
