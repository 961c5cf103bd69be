import json

import numpy as np
import pytest

from drywallqa.errors import OutputError
from drywallqa.formats import problems
from drywallqa.formats.rle import decode_runs
from drywallqa.imaging.mask_files import file_name, write_mask_file
from drywallqa.inference.manifest import Manifest
from drywallqa.inference.predicted_labels import write_predicted_labels

SPOT = np.eye(6, 9, dtype=bool)


def _record(folder, name, prompt, mask, concept=None, place=""):
    """Write a mask file, and return its record."""
    path = f"{place}{file_name(name, prompt)}"
    write_mask_file(folder / path, mask)
    return {
        "source": f"site/{place}{name}.jpg", "image_id": name, "prompt": prompt, "concept": concept,
        "mask": path, "height": 6, "width": 9, "presence": 0.75, "settings": "drywallqa 1, compact 2 ab, x",
    }  # fmt: skip


def _manifest(folder, *records):
    manifest = Manifest(folder)
    for record in records:
        manifest.add(record)
    return manifest


def _coco(folder, name="instances_default.json"):
    data = json.loads((folder / "annotations" / name).read_text())
    classes = {category["id"]: category["name"] for category in data["categories"]}
    names = {image["id"]: image["file_name"] for image in data["images"]}
    return {
        (names[each["image_id"]], classes[each["category_id"]]): decode_runs(
            each["segmentation"]["counts"], *each["segmentation"]["size"]
        )
        for each in data["annotations"]
    }, [*names.values()]


def test_labels__are_the_masks_under_the_names_of_their_concepts(tmp_path):
    manifest = _manifest(
        tmp_path,
        _record(tmp_path, "a", "segment crack", SPOT, "crack"),
        _record(tmp_path, "a", "the red pipe", ~SPOT),
        _record(tmp_path, "a", "segment crack", SPOT[::-1], "crack", "wall/"),
        _record(tmp_path, "a", "the red pipe", SPOT & ~SPOT, None, "wall/"),
        _record(tmp_path, "b", "an earlier prompt", SPOT),
    )
    folder, written = write_predicted_labels(
        tmp_path, manifest, ("segment crack", "the red pipe"), "coco-rle"
    )
    assert folder == tmp_path / "labels-coco-rle"
    assert written.problems == ()
    masks, names = _coco(folder)
    assert names == ["a.jpg", "wall/a.jpg"]
    assert {key: mask.tolist() for key, mask in masks.items()} == {
        ("a.jpg", "crack"): SPOT.tolist(),
        ("a.jpg", "the red pipe"): (~SPOT).tolist(),
        ("wall/a.jpg", "crack"): SPOT[::-1].tolist(),
    }


def test_labels__prompts_of_one_concept_stay_apart(tmp_path):
    prompts = ("segment crack", "fissure")
    manifest = _manifest(tmp_path, *(_record(tmp_path, "a", each, SPOT, "crack") for each in prompts))
    folder, _ = write_predicted_labels(tmp_path, manifest, prompts, "coco-rle")
    assert sorted(_coco(folder)[0]) == [("a.jpg", "fissure"), ("a.jpg", "segment crack")]


def test_labels__name_the_model_and_its_confidence(tmp_path):
    manifest = _manifest(tmp_path, _record(tmp_path, "a", "segment crack", SPOT, "crack"))
    folder, _ = write_predicted_labels(tmp_path, manifest, ("segment crack",), "label-studio")
    ((prediction,),) = [task["predictions"] for task in json.loads((folder / "tasks.json").read_text())]
    assert prediction["model_version"] == "drywallqa 1, compact 2 ab"
    assert prediction["score"] == 0.75


def test_labels__failed_photos_damaged_masks_and_missing_prompts_are_told(tmp_path):
    records = [_record(tmp_path, name, "segment crack", SPOT, "crack") for name in "abcd"]
    records += [_record(tmp_path, name, "the red pipe", SPOT) for name in "abc"]
    (tmp_path / records[0]["mask"]).write_bytes(b"no picture")
    write_mask_file(tmp_path / records[1]["mask"], SPOT.T)
    manifest = _manifest(tmp_path, *records, {"source": "site/e.jpg", "error": "is empty"})
    _, written = write_predicted_labels(tmp_path, manifest, ("segment crack", "the red pipe"), "yolo")
    assert written.photos == 1
    told = [(problem.kind, problem.file) for problem in written.problems]
    assert told[:4] == [
        (problems.PASSED_OVER, "site/e.jpg"),
        (problems.UNREADABLE, "a.jpg"),
        (problems.SIZE, "b.jpg"),
        (problems.LEFT_OUT, "d.jpg"),
    ]


def test_labels__an_earlier_folder_is_replaced_but_never_masks(tmp_path):
    records = [_record(tmp_path, name, "segment crack", SPOT, "crack") for name in "ab"]
    for count in (1, 2):
        manifest = _manifest(tmp_path, *records[:count])
        folder, _ = write_predicted_labels(tmp_path, manifest, ("segment crack",), "coco-rle")
        assert len(_coco(folder)[1]) == count
    inside = _record(tmp_path, "c", "segment crack", SPOT, "crack", "labels-coco-rle/")
    with pytest.raises(OutputError, match="has masks"):
        write_predicted_labels(tmp_path, _manifest(tmp_path, inside), ("segment crack",), "coco-rle")
    assert (tmp_path / inside["mask"]).is_file()
