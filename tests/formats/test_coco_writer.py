import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import ExifTags, Image

from drywallqa.formats import problems
from drywallqa.formats.coco_writer import write_coco
from odd_masks import odd_masks
from written_labels import large_mask, masked_photo, read_back

many = settings(max_examples=60, deadline=None)
both = pytest.mark.parametrize("rle", [False, True])


def _load(path):
    return json.loads(path.read_text())


def _write(folder, photos, classes=("crack",), *, rle=False):
    (folder / "out").mkdir()
    return write_coco(folder / "out", photos, classes, rle=rle)


@both
@many
@given(odd_masks())
def test_coco__our_reader_returns_each_pixel(rle, mask):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, [masked_photo(folder, "a.png", {"crack": mask})], rle=rle)
        labels = read_back(folder / "out", "coco")["images/default/a.png"]
    assert labels.problems == []
    found = labels.masks["crack"]
    assert (found is None) == (not mask.any())
    assert found is None or (found == mask).all()


@both
@many
@given(odd_masks())
def test_coco__pycocotools_returns_each_pixel(rle, mask):
    oracle = pytest.importorskip("pycocotools.coco")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, [masked_photo(folder, "a.png", {"crack": mask})], rle=rle)
        data = oracle.COCO(folder / "out/annotations/instances_default.json")
    found = np.zeros(mask.shape, bool)
    for annotation in data.loadAnns(data.getAnnIds()):
        part = data.annToMask(annotation).astype(bool)
        assert annotation["area"] == part.sum()
        rows, columns = np.nonzero(part)
        left, top, width, height = annotation["bbox"]
        assert (columns.min(), columns.max() + 1) == (left, left + width)
        assert (rows.min(), rows.max() + 1) == (top, top + height)
        assert not (found & part).any()
        found |= part
    assert (found == mask).all()


@both
def test_coco__twelve_megapixels(tmp_path, rle):
    oracle = pytest.importorskip("pycocotools.mask")
    mask = large_mask()
    _write(tmp_path, [masked_photo(tmp_path, "a.png", {"crack": mask})], rle=rle)
    labels = read_back(tmp_path / "out", "coco")["images/default/a.png"]
    assert labels.problems == []
    assert (labels.masks["crack"] == mask).all()
    annotations = _load(tmp_path / "out/annotations/instances_default.json")["annotations"]
    parts = [annotation["segmentation"] for annotation in annotations]
    runs = parts[0] if rle else oracle.merge(oracle.frPyObjects([part[0] for part in parts], *mask.shape))
    assert (np.array(oracle.decode(runs)) == mask).all()


def test_coco__a_file_declares_only_classes_that_are_known_in_its_photos(tmp_path):
    spot = np.eye(8, dtype=bool)
    photos = [
        masked_photo(tmp_path, "a.png", {"crack": spot, "seam": None}, split="train"),
        masked_photo(tmp_path, "b.png", {"crack": spot}, split="train"),
        masked_photo(tmp_path, "c.png", {"seam": spot}, split="val"),
        masked_photo(tmp_path, "d.png", {"other": spot}, split="val"),
    ]
    result = _write(tmp_path, photos, ("crack", "seam"))
    names = {path.name: _load(path) for path in (tmp_path / "out/annotations").iterdir()}
    declared = {name: [(c["id"], c["name"]) for c in data["categories"]] for name, data in names.items()}
    assert declared == {
        "instances_train.json": [(1, "crack"), (2, "seam")],
        "instances_train2.json": [(1, "crack")],
        "instances_val.json": [(2, "seam")],
    }
    labels = {name: each.masks for name, each in read_back(tmp_path / "out", "coco").items()}
    assert {name: sorted(masks) for name, masks in labels.items()} == {
        "images/train/a.png": ["crack", "seam"],
        "images/train/b.png": ["crack"],
        "images/val/c.png": ["seam"],
    }
    assert labels["images/train/a.png"]["seam"] is None
    assert [str(problem) for problem in result.problems] == [
        "d.png: left out: no class is known in this photo"
    ]
    assert result.losses == 1


def test_coco__a_predicted_mask_keeps_its_score(tmp_path):
    photo = masked_photo(tmp_path, "a.png", {"crack": np.ones((8, 8), bool)}, scores={"crack": 0.75})
    _write(tmp_path, [photo])
    (annotation,) = _load(tmp_path / "out/annotations/instances_default.json")["annotations"]
    assert annotation["score"] == 0.75


def test_coco__the_viewed_size_is_declared(tmp_path):
    photo = masked_photo(tmp_path, "a.jpg", {"crack": np.ones((6, 9), bool)})
    with Image.open(photo.path) as image:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(photo.path, exif=exif)
    result = _write(tmp_path, [photo])
    (image,) = _load(tmp_path / "out/annotations/instances_default.json")["images"]
    assert (image["height"], image["width"]) == (6, 9)
    assert [problem.kind for problem in result.problems] == [problems.TURNED]
    assert result.losses == 0
