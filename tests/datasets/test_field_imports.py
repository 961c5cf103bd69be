"""Odd but real exports: each imports with the right labels, or says what is wrong with which file."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from drywallqa.datasets.dataset import load_dataset
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.errors import DataError
from tiny_exports import square, write_coco, write_photo, write_text

HIGH, LOW = (
    {"segmentation": [[4, top, 60, top, 60, top + 8, 4, top + 8]], "bbox": [4, top, 56, 8]} for top in (8, 40)
)
UPPER = square(4, 8, 60, 16)
CRACK = ["crack=crack"]


def imported(tmp_path, *concepts, **options):
    """Import the export `x`; return labels by photo, and the kinds of problems."""
    out = tmp_path / "out"
    result = import_export(tmp_path / "x", out, ImportOptions(concepts or CRACK, replace_set=True, **options))
    masks = {}
    for sample in result.added:
        known = {c: result.dataset.read_mask(sample, c) for c in sample.labels}
        masks[sample.image_id] = {c: int(mask.sum()) for c, mask in known.items()}
    return masks, [problem.kind for problem in result.problems], result


def photos(tmp_path, *names, first=1):
    for number, name in enumerate(names, first):
        write_photo(tmp_path / "x" / name, number)


def edit(path, **changes):
    data = json.loads(path.read_text())
    for key, change in changes.items():
        data[key] = change(data[key])
    path.write_text(json.dumps(data))


def test_one_file_under_two_ids(tmp_path):
    photos(tmp_path, "images/frame.png", "images/other.png")
    path = write_coco(
        tmp_path / "x" / "annotations.json",
        ["frame.png", "frame.png", "other.png"],
        [HIGH, LOW | {"image_id": 2}, HIGH | {"image_id": 3}],
    )
    labels, kinds, result = imported(tmp_path)
    assert labels == {"frame": {}, "other": {"crack": 448}}
    assert kinds == ["contradiction"]
    assert "image id 1 and annotations.json, image id 2" in result.problems[0].text
    edit(path, annotations=lambda entries: [entries[0], {**entries[0], "image_id": 2}])
    assert imported(tmp_path)[:2] == ({"frame": {"crack": 448}, "other": {"crack": 0}}, [])


def test_one_json_for_each_class(tmp_path):
    names = ["a.jpg", "b.jpg", "c.jpg"]
    photos(tmp_path, *(f"images/{name}" for name in names))
    cracks = [HIGH | {"image_id": number} for number in (1, 2, 3)]
    write_coco(tmp_path / "x" / "annotations" / "cracks.json", names, cracks)
    write_coco(tmp_path / "x" / "annotations" / "seams.json", names[:2], [LOW], ("seam",))
    labels, kinds, _ = imported(tmp_path, *CRACK, "seam=seam")
    assert labels == {
        "a": {"crack": 448, "seam": 448},
        "b": {"crack": 448, "seam": 0},
        "c": {"crack": 448},  # no file that declares seams lists this photo
    }
    assert kinds == []


def test_a_backup_beside_the_file(tmp_path):
    names = ["a.jpg", "b.jpg"]
    photos(tmp_path, *(f"images/{name}" for name in names))
    write_coco(tmp_path / "x" / "result.json", names, [HIGH, HIGH | {"image_id": 2}])
    write_coco(tmp_path / "x" / "result (1).json", names, [HIGH])
    labels, kinds, result = imported(tmp_path)
    assert labels == {"a": {"crack": 448}, "b": {}}
    assert kinds == ["contradiction"]
    assert "result (1).json, image id 2 and result.json, image id 2" in result.problems[0].text


def test_the_same_file_for_train_and_val(tmp_path):
    photos(tmp_path, "images/a.jpg", "train/b.jpg")
    for split in ("train", "val"):
        path = tmp_path / "x" / "annotations" / f"instances_{split}.json"
        write_coco(path, ["a.jpg", "b.jpg"], [HIGH])
    labels, kinds, result = imported(tmp_path)
    assert labels == {"a": {"crack": 448}, "b": {"crack": 0}}
    assert kinds == ["missing photo", "two splits"]  # train claims b.jpg; val has no b.jpg of its own
    assert {sample.image_id: sample.split for sample in result.added} == {"a": None, "b": "train"}


@pytest.mark.parametrize("kind", [str, float, lambda value: f" {value} "])
def test_ids_of_another_type(tmp_path, kind):
    photos(tmp_path, "a.jpg", "b.jpg")
    path = write_coco(tmp_path / "x" / "result.json", ["a.jpg", "b.jpg"], [HIGH | {"image_id": 2}])
    edit(path, annotations=lambda entries: [{**e, "image_id": kind(e["image_id"])} for e in entries])
    assert imported(tmp_path)[:2] == ({"a": {"crack": 0}, "b": {"crack": 448}}, [])


def test_a_label_without_image_id_leaves_its_class_unknown(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg")
    path = write_coco(tmp_path / "x" / "result.json", ["a.jpg", "b.jpg"], [HIGH, LOW], ("crack", "seam"))
    edit(path, annotations=lambda entries: [entries[0], {**entries[1], "image_id": None, "item_id": 2}])
    labels, kinds, result = imported(tmp_path, *CRACK, "seam=seam")
    assert labels == {"a": {"crack": 448, "seam": 0}, "b": {"seam": 0}}
    assert (kinds, result.losses) == (["wrong id"], 1)


@pytest.mark.parametrize("segmentation", ["rle", 7, {"polygon": [1, 2]}, [{"x": 1, "y": 2}]])
def test_a_segmentation_of_unknown_type_is_never_the_box(tmp_path, segmentation):
    photos(tmp_path, "a.jpg")
    write_coco(tmp_path / "x" / "result.json", ["a.jpg"], [HIGH | {"segmentation": segmentation}])
    labels, kinds, result = imported(tmp_path)
    assert labels == {"a": {}}
    assert result.losses == len(kinds) == 1


def test_one_bad_ring_costs_that_ring(tmp_path):
    photos(tmp_path, "a.jpg")
    rings = [*HIGH["segmentation"], [1, 2, 3], [5, 5, float("nan"), 9, 9, 9]]
    write_coco(tmp_path / "x" / "result.json", ["a.jpg"], [HIGH | {"segmentation": rings}])
    labels, kinds, result = imported(tmp_path)
    assert labels == {"a": {"crack": 448}}
    assert kinds == ["malformed", "not a number"]
    assert [problem.text[:11] for problem in result.problems] == ["ring 2 of 3", "one of its "]
    assert load_dataset(tmp_path / "out").samples[0].incomplete == ("crack",)


def test_a_bridge_between_two_slivers_marks_nothing(tmp_path):
    write_text(tmp_path / "x" / "data.yaml", "names: [crack]\n")
    photos(tmp_path, "images/a.jpg")
    one, two = (
        np.array([[2, 4], [22, 4], [22, 6], [2, 6]]),
        np.array([[40, 50], [60, 50], [60, 52], [40, 52]]),
    )
    ring = [*one, one[0], *two, two[0], one[0]]
    line = " ".join(f"{value / 64:.6f}" for point in ring for value in point)
    write_text(tmp_path / "x" / "labels" / "a.txt", f"0 {line}\n")
    labels, kinds, _ = imported(tmp_path)
    assert (labels, kinds) == ({"a": {"crack": 80}}, [])


def test_an_outline_that_leaves_the_photo_is_cropped(tmp_path):
    photos(tmp_path, "a.jpg")
    triangle = [[-40, 0, 40, 0, 0, 40]]
    write_coco(tmp_path / "x" / "result.json", ["a.jpg"], [{"segmentation": triangle}])
    labels, kinds, result = imported(tmp_path)
    assert labels["a"]["crack"] == pytest.approx(800, abs=40)
    assert (kinds, result.losses) == (["cropped"], 0)


@pytest.mark.parametrize(
    ("on_disk", "known"),
    [
        (["site_a/IMG_1.jpg"], {"IMG_1": {"crack": 448}}),
        (["images/IMG_1.jpg"], {"IMG_1": {}}),  # one file is left of two
    ],
)
def test_equal_names_in_two_folders(tmp_path, on_disk, known):
    photos(tmp_path, *on_disk)
    names = ["site_a/IMG_1.jpg", "site_b/IMG_1.jpg"]
    write_coco(tmp_path / "x" / "instances.json", names, [HIGH, LOW | {"image_id": 2}])
    labels, kinds, _ = imported(tmp_path)
    assert labels == known
    assert "missing photo" in kinds
    assert "cropped" not in kinds


def test_a_photo_of_another_site_is_not_taken(tmp_path):
    photos(tmp_path, "site_a/IMG_1.jpg")
    write_coco(tmp_path / "x" / "instances.json", ["site_b/IMG_1.jpg"], [HIGH])
    labels, kinds, result = imported(tmp_path)
    assert labels == {"IMG_1": {}}
    assert kinds == ["missing photo", "missing labels"]
    assert "site_a/IMG_1.jpg may be another photo" in result.problems[0].text


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ("images/Küche 1.jpg", "images\\Küche 1.jpg"),
        ("images/Ku\u0308che.jpg", "Küche.jpg"),
        ("images/a b.jpg", "a%20b.jpg"),
        ("images/a.jpg", "C:\\data\\images\\a.jpg"),
        ("images/a.JPG", "a.jpg"),
    ],
)
def test_names_of_another_spelling(tmp_path, stored, named):
    photos(tmp_path, stored)
    write_coco(tmp_path / "x" / "instances.json", [named], [HIGH])
    labels, kinds, _ = imported(tmp_path)
    assert list(labels.values()) == [{"crack": 448}]
    assert kinds == (["similar name"] if stored.endswith("JPG") else [])


def test_a_name_that_is_no_text(tmp_path):
    (tmp_path / "x" / "images").mkdir(parents=True)
    name = os.fsdecode(b"K\xfcche")
    try:
        write_photo(tmp_path / "x" / "images" / f"{name}.jpg", 1)
    except (OSError, UnicodeError):
        pytest.skip("this system's names are always text")
    write_text(tmp_path / "x" / "data.yaml", "names: [crack]\n")
    write_text(tmp_path / "x" / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    labels, kinds, result = imported(tmp_path)
    assert (list(labels.values()), kinds) == ([{"crack": 1024}], [])
    assert result.added[0].photo.isascii()


def turned(tmp_path, orientation, boxes, size, kind="coco"):
    """A portrait of 48×64 px as viewed, stored turned by EXIF, with one label as a box of px [x, y, w, h]."""
    viewed = Image.fromarray(np.full((64, 48, 3), 99, np.uint8))
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "x" / "images").mkdir(parents=True)
    viewed.transpose(back[orientation]).save(tmp_path / "x" / "images" / "p.jpg", exif=exif)
    left, top, width, height = boxes
    if kind == "coco":
        path = write_coco(tmp_path / "x" / "instances.json", ["images/p.jpg"], [{"bbox": boxes}])
        edit(path, images=lambda images: [{**images[0], "width": size[0], "height": size[1]}])
    elif kind == "yolo":
        middle = (left + width / 2) / size[0], (top + height / 2) / size[1], width / size[0], height / size[1]
        write_text(tmp_path / "x" / "data.yaml", "names: [crack]\n")
        write_text(tmp_path / "x" / "labels" / "p.txt", f"0 {' '.join(map(str, middle))}\n")


UPRIGHT = (8, 4, 4, 48)  # px on the viewed picture


@pytest.mark.parametrize(
    ("orientation", "box", "size"),
    [(6, UPRIGHT, (48, 64)), (6, (4, 36, 48, 4), (64, 48)), (8, (12, 8, 48, 4), (64, 48))],
)
def test_exif__the_declared_size_tells_which_picture_was_labelled(tmp_path, orientation, box, size):
    turned(tmp_path, orientation, box, size)
    _, kinds, result = imported(tmp_path)
    mask = result.dataset.read_mask(result.added[0], "crack")
    assert kinds == []
    assert (np.flatnonzero(mask.any(axis=0)) == np.arange(8, 12)).all()
    assert (np.flatnonzero(mask.any(axis=1)) == np.arange(4, 52)).all()


@pytest.mark.parametrize(
    ("orientation", "box", "size", "kind"),
    [(3, (36, 12, 4, 48), (48, 64), "coco"), (6, (4, 36, 48, 4), (64, 48), "yolo")],
)
def test_exif__an_open_question_is_said_and_an_option_decides(tmp_path, orientation, box, size, kind):
    turned(tmp_path, orientation, box, size, kind)
    _, kinds, result = imported(tmp_path)
    assert kinds == ["turned photo"]
    assert "EXIF turns 1 photo" in result.problems[0].text
    for exif, columns in (("stored", np.arange(8, 12)), ("viewed", None)):
        _, kinds, result = imported(tmp_path, exif=exif)
        mask = result.dataset.read_mask(result.added[0], "crack")
        same = np.array_equal(np.flatnonzero(mask.any(axis=0)), np.arange(8, 12))
        assert (kinds, same) == ([], columns is not None)


def test_two_layouts_in_one_folder(tmp_path):
    write_text(tmp_path / "x" / "data.yaml", "names: [crack]\n")
    photos(tmp_path, "images/a.jpg", "images/b.jpg")
    for name in "ab":
        write_text(tmp_path / "x" / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    write_photo(tmp_path / "x" / "masks" / "a.png", UPPER.astype(np.uint8) * 255)
    with pytest.raises(DataError, match=r"YOLO \(2 files .*mask files \(1 .*--format yolo\|masks"):
        imported(tmp_path)
    labels, kinds, result = imported(tmp_path, layout="yolo")
    assert labels == {"a": {"crack": 1024}, "b": {"crack": 1024}}
    assert kinds == ["passed over"]
    assert "1 mask file" in result.problems[0].text
    labels, kinds, _ = imported(tmp_path, "mask=crack", layout="masks")
    assert labels == {"a": {"crack": 448}, "b": {}}
    assert kinds == ["missing labels", "passed over"]


def test_two_yolo_exports_in_one_folder(tmp_path):
    for folder, names in (("v1", "[crack, seam]"), ("v2", "[seam, crack]")):
        write_text(tmp_path / "x" / folder / "data.yaml", f"names: {names}\n")
        write_text(tmp_path / "x" / folder / "train" / "labels" / f"{folder}.txt", "0 0.5 0.5 0.5 0.5\n")
        photos(tmp_path, f"{folder}/train/images/{folder}.jpg", first=int(folder[1]))
    labels, kinds, _ = imported(tmp_path, *CRACK, "seam=seam")
    assert labels == {"v1": {"crack": 1024, "seam": 0}, "v2": {"seam": 1024, "crack": 0}}
    assert kinds == []


def test_every_problem_is_fatal_with_strict(tmp_path):
    photos(tmp_path, "a.jpg", "unlisted.jpg")
    write_coco(tmp_path / "x" / "instances.json", ["a.jpg"], [HIGH])
    with pytest.raises(DataError, match=r"unlisted\.jpg: missing labels.*--strict: nothing was imported"):
        imported(tmp_path, strict=True)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_files_that_are_passed_over_are_counted(tmp_path):
    photos(tmp_path, "a.jpg")
    write_coco(tmp_path / "x" / "instances.json", ["a.jpg"], [HIGH])
    for name in ("README.roboflow.txt", "b.dng", "c.dng", "notes.pdf"):
        write_text(tmp_path / "x" / name, "x")
    _, kinds, result = imported(tmp_path)
    assert kinds == ["passed over"]
    assert result.problems[0].text == "2 .dng files, 1 .pdf file"
