import json

import numpy as np
import pytest
from PIL import Image

from drywallqa.datasets.dataset import load_dataset
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.datasets.set_files import read_problems
from drywallqa.errors import ConfigError, DataError
from tiny_exports import (
    roboflow_coco,
    roboflow_yolo,
    square,
    write_coco,
    write_photo,
    write_text,
)

CRACK = ImportOptions(["crack=crack"])


def _coco(folder, annotations, names=("a.jpg",), classes=("crack",)):
    for number, name in enumerate(names):
        write_photo(folder / name, number)
    write_coco(folder / "_annotations.coco.json", list(names), annotations, classes)
    return folder


def test_import_export__photos_masks_splits_and_sources(tmp_path):
    result = import_export(roboflow_coco(tmp_path / "x.coco"), tmp_path / "out", CRACK)
    dataset = load_dataset(tmp_path / "out")
    assert dataset.samples == result.added
    assert [(s.image_id, s.source_photo, s.split, s.set_name) for s in dataset] == [
        ("a_jpg.rf.1", "a_jpg", "train", "x"),
        ("b_jpg.rf.1", "b_jpg", "train", "x"),
        ("c_jpg.rf.1", "c_jpg", "val", "x"),
    ]
    first, second, _ = dataset.samples
    assert (dataset.read_mask(first, "crack") == square(8, 8, 24, 32)).all()
    assert second.labels == {"crack": None}
    assert dataset.photo_path(first).read_bytes() == (tmp_path / "x.coco/train/a_jpg.rf.1.jpg").read_bytes()
    assert dataset.concepts == {"crack": ("segment crack",)}


def test_import_export__masks_are_black_and_white_png(tmp_path):
    import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", CRACK)
    with Image.open(tmp_path / "out" / "masks" / "crack" / "x" / "a_jpg.rf.1.png") as image:
        assert image.mode == "L"
        assert set(np.unique(np.asarray(image)).tolist()) == {0, 255}


def test_import_export__a_second_set_joins_the_first(tmp_path):
    import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", ImportOptions(["crack=crack"], ["seam"]))
    import_export(roboflow_yolo(tmp_path / "y"), tmp_path / "out", ImportOptions(["crack=seam"], ["crack"]))
    dataset = load_dataset(tmp_path / "out")
    assert len(dataset) == 6
    assert set(dataset.concepts) == {"crack", "seam"}
    assert all(set(sample.labels) == {"crack", "seam"} for sample in dataset)
    assert not dataset.read_mask(dataset.samples[0], "seam").any()


def test_import_export__the_same_set_again_needs_replace(tmp_path):
    export = roboflow_coco(tmp_path / "x")
    import_export(export, tmp_path / "out", CRACK)
    with pytest.raises(ConfigError, match=r"already has a set 'x'.*--set.*--replace"):
        import_export(export, tmp_path / "out", CRACK)
    (export / "valid" / "_annotations.coco.json").unlink()
    import_export(export, tmp_path / "out", ImportOptions(["crack=crack"], replace_set=True))
    labels = [dict(sample.labels) for sample in load_dataset(tmp_path / "out")]
    assert labels == [{"crack": "masks/crack/x/a_jpg.rf.1.png"}, {"crack": None}, {}]
    assert len(list((tmp_path / "out" / "masks" / "crack" / "x").iterdir())) == 1


def test_import_export__classes_of_one_concept_are_united(tmp_path):
    boxes = [{"bbox": [0, 0, 10, 10]}, {"category_id": 2, "bbox": [20, 20, 10, 10]}]
    export = _coco(
        tmp_path / "x", [*boxes, {"category_id": 3, "bbox": [40, 40, 9, 9]}], classes=("a", "b", "c")
    )
    options = ImportOptions(["a=crack", "b=crack", "c=ignore"])
    dataset = import_export(export, tmp_path / "out", options).dataset
    expected = square(0, 0, 10, 10) | square(20, 20, 30, 30)
    assert (dataset.read_mask(dataset.samples[0], "crack") == expected).all()


def test_import_export__where_all_was_dropped_the_truth_is_unknown(tmp_path):
    export = _coco(tmp_path / "x", [{"bbox": [5, 5, 0.3, 0.9]}])
    result = import_export(export, tmp_path / "out", CRACK)
    sample = result.added[0]
    assert sample.labels == {}
    assert "degenerate" in sample.notes[0]
    assert "annotation id 1" in sample.notes[0]
    assert read_problems(tmp_path / "out")[0][1] == result.problems[0]


def test_import_export__a_class_that_could_not_be_told_leaves_all_unknown(tmp_path):
    export = _coco(tmp_path / "x", [{"category_id": 9, "bbox": [5, 5, 20, 20]}])
    assert import_export(export, tmp_path / "out", CRACK).added[0].labels == {}


def test_import_export__strict_refuses_and_leaves_nothing_behind(tmp_path):
    export = _coco(tmp_path / "x", [{"bbox": [5, 5, 0.3, 0.9]}])
    with pytest.raises(DataError, match=r"_annotations\.coco\.json, annotation id 1: degenerate"):
        import_export(export, tmp_path / "out", ImportOptions(["crack=crack"], strict=True))
    assert list((tmp_path / "out").iterdir()) == []


def test_import_export__unreadable_photos_cost_a_line_each(tmp_path):
    export = _coco(tmp_path / "x", [], names=("a.jpg", "b.jpg", "c.jpg"))
    (export / "a.jpg").write_bytes(b"")
    (export / "b.jpg").write_bytes((export / "c.jpg").read_bytes()[:300])
    result = import_export(export, tmp_path / "out", CRACK)
    assert [sample.image_id for sample in result.added] == ["c"]
    assert [(problem.kind, problem.file) for problem in result.problems] == [
        ("unreadable", "a.jpg"),
        ("unreadable", "b.jpg"),
    ]
    assert result.losses == 2


def test_import_export__not_one_photo_is_an_error(tmp_path):
    export = _coco(tmp_path / "x", [])
    (export / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="no photo could be imported"):
        import_export(export, tmp_path / "out", CRACK)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_import_export__annotations_follow_a_photo_of_another_scale(tmp_path):
    export = _coco(tmp_path / "x", [{"bbox": [8, 8, 16, 24]}])
    write_photo(export / "a.jpg", np.full((128, 128, 3), 99, np.uint8))
    dataset = import_export(export, tmp_path / "out", CRACK).dataset
    assert (dataset.read_mask(dataset.samples[0], "crack") == square(16, 16, 48, 64, 128)).all()


def test_import_export__a_photo_of_another_shape_keeps_no_annotations(tmp_path):
    export = _coco(tmp_path / "x", [{"bbox": [8, 8, 16, 24]}])
    write_photo(export / "a.jpg", np.full((128, 64, 3), 99, np.uint8))
    result = import_export(export, tmp_path / "out", CRACK)
    assert [problem.kind for problem in result.problems] == ["wrong size"]
    assert result.added[0].labels == {}


def test_import_export__equal_stems_get_names_of_their_own(tmp_path):
    export = _coco(tmp_path / "x", [{"image_id": 2, "bbox": [8, 8, 16, 24]}], names=("a.jpg", "b/A.png"))
    samples = import_export(export, tmp_path / "out", CRACK).added
    assert [sample.image_id for sample in samples] == ["a", "A--2"]
    assert samples[1].labels == {"crack": "masks/crack/x/A--2.png"}


def test_import_export__phrasings_are_kept_and_added_to(tmp_path):
    words = write_text(tmp_path / "p.txt", "find the crack\n")
    options = ImportOptions(["crack=crack"], phrasings=words)
    import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", options)
    more = write_text(tmp_path / "q.txt", "[crack]\nhairline fissure\n")
    import_export(
        roboflow_yolo(tmp_path / "y"), tmp_path / "out", ImportOptions(["crack=crack"], phrasings=more)
    )
    assert load_dataset(tmp_path / "out").concepts == {"crack": ("find the crack", "hairline fissure")}


def test_import_export__phrasings_of_a_stranger_are_refused(tmp_path):
    words = write_text(tmp_path / "p.txt", "[seam]\nthe seam\n")
    with pytest.raises(ConfigError, match="'seam'"):
        import_export(
            roboflow_coco(tmp_path / "x"), tmp_path / "out", ImportOptions(["crack=crack"], phrasings=words)
        )


def test_import_export__nan_and_far_outside_in_real_files(tmp_path):
    export = _coco(tmp_path / "x", [{"bbox": [float("nan"), 1, 9, 9]}, {"bbox": [-30, 4, 60, 20]}])
    assert "NaN" in (export / "_annotations.coco.json").read_text()
    result = import_export(export, tmp_path / "out", CRACK)
    assert [(p.kind, p.where) for p in result.problems] == [
        ("not a number", "annotation id 1"),
        ("cropped", "annotation id 2"),
    ]
    mask = result.dataset.read_mask(result.added[0], "crack")
    assert (mask == square(0, 4, 30, 24)).all()


def test_import_export__run_lengths_become_masks(tmp_path):
    flat = square(3, 5, 20, 40).T.reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    export = _coco(tmp_path / "x", [{"segmentation": {"size": [64, 64], "counts": counts}}])
    dataset = import_export(export, tmp_path / "out", CRACK).dataset
    assert (dataset.read_mask(dataset.samples[0], "crack") == square(3, 5, 20, 40)).all()


def test_import_export__set_names_are_safe_as_folders(tmp_path):
    options = ImportOptions(["crack=crack"], set_name="../my set/1")
    import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", options)
    names = [path.name for path in (tmp_path / "out" / "photos").iterdir()]
    assert names == ["_my_set_1"]


def test_read_problems__a_damaged_line_is_named(tmp_path):
    write_text(tmp_path / "problems" / "x.jsonl", json.dumps({"kind": "a"}) + "\n")
    with pytest.raises(DataError, match=r"x\.jsonl, line 1"):
        read_problems(tmp_path)


def _voc_masks(root):
    """Photo a: a crack with a border that nobody labelled. Photo b: a border only. Photo c: nothing."""
    border, crack = square(4, 4, 20, 6), square(4, 6, 20, 20)
    masks = {"a": crack + border * 255, "b": border * 255, "c": crack * 0}
    for number, (name, mask) in enumerate(masks.items()):
        write_photo(root / "images" / f"{name}.jpg", number)
        write_photo(root / "masks" / "crack" / f"{name}.png", mask.astype(np.uint8))
    return root, crack, border


def test_import_export__pixels_that_nobody_labelled_stay_unknown(tmp_path):
    root, crack, border = _voc_masks(tmp_path / "x")
    result = import_export(root, tmp_path / "out", CRACK)
    dataset = load_dataset(tmp_path / "out")
    first, second, third = dataset.samples
    assert (dataset.read_mask(first, "crack") == crack).all()
    assert (dataset.read_ignored(first, "crack") == border).all()
    assert second.labels == {"crack": None}
    assert (dataset.read_ignored(second, "crack") == border).all()
    assert dataset.read_ignored(third, "crack") is None
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert ["ignored" in line for line in lines] == [True, True, False]
    assert [problem.kind for problem in result.problems] == ["unknown pixels"]
    assert result.losses == 0


def test_import_export__replacing_a_set_removes_its_unknown_pixels(tmp_path):
    root, _, _ = _voc_masks(tmp_path / "x")
    import_export(root, tmp_path / "out", CRACK)
    before = load_dataset(tmp_path / "out").digest()
    for name in "ab":
        (root / "masks" / "crack" / f"{name}.png").unlink()
    import_export(root, tmp_path / "out", ImportOptions(["crack=crack"], replace_set=True))
    assert not (tmp_path / "out" / "ignored" / "crack" / "x").exists()
    assert load_dataset(tmp_path / "out").digest() != before


def test_import_export__a_pixel_that_one_class_of_a_concept_marks_is_known(tmp_path):
    root, _, border = _voc_masks(tmp_path / "x")
    write_photo(root / "masks" / "hairline" / "a.png", border.astype(np.uint8) * 255)
    result = import_export(root, tmp_path / "out", ImportOptions(["crack=crack", "hairline=crack"]))
    assert "crack" not in result.added[0].ignored
    assert result.dataset.read_mask(result.added[0], "crack")[border].all()


def test_import_export__masks_that_agree_but_for_unknown_pixels_do_not_contradict(tmp_path):
    root, crack, border = _voc_masks(tmp_path / "x")
    write_photo(root / "masks" / "crack" / "a_mask.png", (crack | border).astype(np.uint8))
    result = import_export(root, tmp_path / "out", CRACK)
    assert [problem.kind for problem in result.problems] == ["unknown pixels"]
    assert (result.dataset.read_mask(result.added[0], "crack") & ~border == crack).all()
