"""Further odd exports, through the command line: right labels, exit codes, and a line for each loss."""

import json
import os
import zipfile

import pytest

from drywallqa.cli import main
from drywallqa.datasets.dataset import load_dataset
from drywallqa.datasets.set_files import read_problems
from tiny_exports import write_coco, write_photo, write_text

RING = [4, 8, 60, 8, 60, 16, 4, 16]
HIGH = {"segmentation": [RING], "bbox": [4, 8, 56, 8]}
BOX = "0 0.5 0.5 0.5 0.5"


def imported(tmp_path, *options, source="x"):
    """Import; return the exit code, the crack's pixels by photo, and the kinds of problems."""
    out = tmp_path / "out"
    options = options or ("--concept", "crack=crack")
    code = main(["data", "import", str(tmp_path / source), "--out", str(out), "--replace", *options])
    data = load_dataset(out)
    pixels = {
        sample.image_id: int(data.read_mask(sample, "crack").sum()) if "crack" in sample.labels else None
        for sample in data
    }
    return code, pixels, [problem.kind for _, problem in read_problems(out)]


def refused(tmp_path, capsys, source="x"):
    """Import in vain; return the message."""
    code = main(
        ["data", "import", str(tmp_path / source), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    )
    assert code == 3
    assert not (tmp_path / "out" / "dataset.json").exists()
    return capsys.readouterr().err


def coco(tmp_path, *annotations, path="i.json", names=("a.jpg", "b.jpg"), **changes):
    for number, name in enumerate(names, 1):
        write_photo(tmp_path / "x" / "images" / name, number)
    file = write_coco(tmp_path / "x" / path, list(names), list(annotations))
    data = json.loads(file.read_text())
    for key, change in changes.items():
        for entry, values in zip(data[key], change, strict=True):
            entry.update(values)
    file.write_text(json.dumps(data))
    return file


def yolo(tmp_path, label=BOX, names="names: [crack, seam]\n", photos=("a.jpg",)):
    for number, name in enumerate(photos, 1):
        write_photo(tmp_path / "x" / "images" / name, number)
        write_text(tmp_path / "x" / "labels" / f"{name[:-4]}.txt", label)
    write_text(tmp_path / "x" / "data.yaml", names)
    return ("--concept", "crack=crack", "--concept", "seam=seam")


@pytest.mark.parametrize(
    "ids", [(2**53, 2**53 + 1), (str(2**63), str(2**63 + 1)), ("1e1", "10"), (-1, 1), (0.0, "1.0")]
)
def test_ids_stay_apart(tmp_path, ids):
    coco(tmp_path, HIGH | {"image_id": ids[1]}, images=[{"id": ids[0]}, {"id": ids[1]}])
    assert imported(tmp_path) == (0, {"a": 0, "b": 448}, [])


def test_run_lengths_as_floats(tmp_path):
    coco(tmp_path, {"segmentation": {"size": [64.0, "64"], "counts": [512.0, "512", 3072]}})
    assert imported(tmp_path) == (0, {"a": 512, "b": 0}, [])
    coco(tmp_path, {"segmentation": {"size": [64, 64], "counts": [512.5, 511.5, 3072]}})
    assert imported(tmp_path) == (3, {"a": None, "b": 0}, ["malformed"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings_of_windows(tmp_path, encoding):
    file = coco(tmp_path, HIGH)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file.write_text(mark + file.read_text(), encoding=encoding)
    assert imported(tmp_path) == (0, {"a": 448, "b": 0}, [])


@pytest.mark.parametrize(
    "folders", [("site1", "site2"), ("valid", "train"), ("site1/labels", "site2/images")]
)
def test_a_file_does_not_label_photos_of_another_folder(tmp_path, folders):
    write_photo(tmp_path / "x" / folders[0] / "b.jpg", 1)
    write_photo(tmp_path / "x" / folders[1] / "a.jpg", 2)
    write_coco(tmp_path / "x" / folders[0] / "_annotations.coco.json", ["a.jpg", "b.jpg"], [HIGH])
    code, pixels, kinds = imported(tmp_path)
    assert (code, pixels) == (3, {"a": None, "b": 0})
    assert sorted(kinds) == ["missing labels", "missing photo"]


def test_a_name_that_fits_two_folders(tmp_path):
    write_photo(tmp_path / "x" / "a.jpg", 3)
    file = coco(tmp_path, HIGH, names=("a.jpg",), path="annotations/i.json")
    code, pixels, kinds = imported(tmp_path)
    assert (code, pixels) == (3, {"a": None, "a--2": None})
    assert sorted(kinds) == ["missing labels", "missing labels", "missing photo"]
    file.rename(tmp_path / "x" / "i.json")  # a photo beside the file comes before the other
    assert imported(tmp_path) == (0, {"a": 448, "a--2": None}, ["missing labels"])


def test_a_key_with_two_values(tmp_path, capsys):
    file = coco(tmp_path, HIGH)
    file.write_text(file.read_text().rstrip("}") + ', "annotations": []}')
    assert "two different values for 'annotations'" in refused(tmp_path, capsys)


def test_an_image_that_nobody_has_annotated_yet(tmp_path):
    coco(tmp_path, HIGH, images=[{"annotated": True}, {"annotated": False}])
    assert imported(tmp_path) == (0, {"a": 448, "b": None}, ["missing labels"])


def test_what_cannot_be_reached_is_said(tmp_path, capsys):
    coco(tmp_path, HIGH)
    (tmp_path / "x" / "other.json").symlink_to("nowhere.json")
    coco(tmp_path / "elsewhere", HIGH)
    (tmp_path / "x" / "more").symlink_to(tmp_path / "elsewhere" / "x")
    os.mkfifo(tmp_path / "x" / "pipe.json")
    assert imported(tmp_path) == (3, {"a": 448, "b": 0}, ["unreadable"] * 3)
    (tmp_path / "x" / "i.json").unlink()
    (tmp_path / "out" / "dataset.json").unlink()
    assert "cannot detect the layout; more links to a folder elsewhere" in refused(tmp_path, capsys)


def test_what_permissions_hide_is_said(tmp_path, monkeypatch):
    coco(tmp_path, HIGH)
    coco(tmp_path, path="second.txt")
    monkeypatch.setattr(os, "access", lambda path, mode: "second" not in str(path))
    assert imported(tmp_path) == (3, {"a": 448, "b": 0}, ["unreadable"])


def test_a_folder_of_links(tmp_path):
    options = yolo(tmp_path)
    (tmp_path / "x" / "labels").rename(tmp_path / "x" / "labels_v2")
    (tmp_path / "x" / "labels").symlink_to("labels_v2")
    assert imported(tmp_path, *options) == (0, {"a": 1024}, [])
    (tmp_path / "x" / "labels").unlink()
    (tmp_path / "x" / "labels_v2").rename(tmp_path / "elsewhere")
    (tmp_path / "x" / "labels").symlink_to(tmp_path / "elsewhere")
    assert imported(tmp_path, *options) == (0, {"a": 1024}, [])


def test_a_zip_in_a_zip(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as opened:
        opened.writestr("task_1.zip", b"")
    assert "unpack task_1.zip" in refused(tmp_path, capsys, "x.zip")


def test_numbers_beside_an_export(tmp_path):
    options = yolo(tmp_path)
    write_text(tmp_path / "x" / "summary.json", '{"images": 120}')
    assert imported(tmp_path, *options) == (0, {"a": 1024}, ["passed over"])


def test_an_output_that_is_a_file(tmp_path, capsys):
    coco(tmp_path, HIGH)
    write_text(tmp_path / "out", "")
    code = main(
        ["data", "import", str(tmp_path / "x"), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    )
    assert code == 2
    assert "results cannot be written to this folder" in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["[2, 2]", "[2, 3]"])
def test_keypoints_are_no_outline(tmp_path, shape):
    points = " .3 .3 .6 .6" if shape == "[2, 2]" else " .3 .3 1 .6 .6 1"
    options = yolo(tmp_path, f"{BOX}{points}\n", f"names: [crack, seam]\nkpt_shape: {shape}\n")
    assert imported(tmp_path, *options) == (3, {"a": None}, ["not supported"])
    options = yolo(tmp_path, BOX, f"names: [crack, seam]\nkpt_shape: {shape}\n")
    assert imported(tmp_path, *options) == (0, {"a": 1024}, [])


def test_photos_named_like_lists(tmp_path):
    options = yolo(tmp_path, photos=("test.jpg", "train.jpg", "a.jpg"))
    write_text(tmp_path / "x" / "train.txt", "./images/a.jpg\r\n")
    write_text(tmp_path / "x" / "val.txt", "/home/u/d/images/test.jpg\n")
    assert imported(tmp_path, *options) == (0, {"test": 1024, "train": 1024, "a": 1024}, [])
    splits = {sample.image_id: sample.split for sample in load_dataset(tmp_path / "out")}
    assert splits == {"a": "train", "test": "val", "train": None}
    write_text(tmp_path / "x" / "test.txt", "images/a.jpg\n")
    assert imported(tmp_path, *options) == (0, {"test": 1024, "train": 1024, "a": 1024}, ["two splits"])


def test_folders_in_capitals(tmp_path):
    options = yolo(tmp_path)
    for name in ("images", "labels"):
        (tmp_path / "x" / name).rename(tmp_path / "x" / name.title())
    (tmp_path / "x" / "Labels" / "a.txt").rename(tmp_path / "x" / "Labels" / "A.TXT")
    assert imported(tmp_path, *options) == (0, {"a": 1024}, ["similar name"])


def test_label_files_in_another_unicode_form(tmp_path):
    options = yolo(tmp_path, photos=("k\u00fcche.jpg",))
    labels = tmp_path / "x" / "labels"
    (labels / "k\u00fcche.txt").rename(labels / "ku\u0308che.txt")
    code, pixels, kinds = imported(tmp_path, *options)
    assert (code, list(pixels.values()), kinds) == (0, [1024], [])


@pytest.mark.parametrize(
    "names", ["names: crack\n", "names:\n- 0: crack\n", "names: {0: a, 0: crack}\n", "[" * 5000]
)
def test_class_lists_that_mean_nothing(tmp_path, capsys, names):
    yolo(tmp_path, names=names)
    assert "data.yaml: the class names cannot be read" in refused(tmp_path, capsys)


def test_a_lost_annotation_may_belong_to_any_photo(tmp_path):
    coco(tmp_path, HIGH, HIGH | {"image_id": 9})
    assert imported(tmp_path) == (3, {"a": 448, "b": None}, ["wrong id"])
    assert [sample.incomplete for sample in load_dataset(tmp_path / "out")] == [("crack",), ()]


@pytest.mark.parametrize("name", ["site%2Fa.jpg", "site\\a.jpg", "https%3A//host/site/a.jpg"])
def test_escaped_separators_are_no_other_name(tmp_path, name):
    write_photo(tmp_path / "x" / "site" / "a.jpg", 1)
    write_coco(tmp_path / "x" / "i.json", [name], [HIGH])
    assert imported(tmp_path) == (0, {"a": 448}, [])


@pytest.mark.parametrize(
    ("degrees", "pixels"), [(0, 320), ("0.0", 320), (90.0, 320), (180, 320), (float("nan"), None)]
)
def test_turned_boxes_of_cvat(tmp_path, degrees, pixels):
    box = {"segmentation": [], "bbox": [12, 27, 40, 8], "attributes": {"rotation": degrees}}
    coco(tmp_path, box)
    code, labels, _ = imported(tmp_path)
    assert (code, labels["a"]) == (0 if pixels else 3, pixels)
    if degrees == 90:
        data = load_dataset(tmp_path / "out")
        assert data.read_mask(data.samples[0], "crack")[11:51, 28:36].all()
