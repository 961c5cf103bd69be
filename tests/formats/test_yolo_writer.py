import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings

from drywallqa.formats import problems
from drywallqa.formats.yolo_writer import write_yolo
from odd_masks import odd_masks
from written_labels import large_mask, masked_photo, read_back

many = settings(max_examples=60, deadline=None)


def _write(folder, photos, classes=("crack",)):
    (folder / "out").mkdir()
    return write_yolo(folder / "out", photos, classes)


def _filled_by_opencv(file, height, width, *, rounded):
    """Read a label file as tools do that scale polygons to pixels and fill them with OpenCV."""
    cv2 = pytest.importorskip("cv2")
    drawn = np.zeros((height, width), np.uint8)
    for line in file.read_text().splitlines():
        ring = np.array(line.split()[1:], float).reshape(-1, 2) * (width, height)
        cv2.fillPoly(drawn, [(np.rint(ring) if rounded else ring).astype(np.int32)], 1)
    return drawn > 0


@many
@given(odd_masks())
def test_yolo__our_reader_returns_each_pixel(mask):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, [masked_photo(folder, "a.png", {"crack": mask})])
        labels = read_back(folder / "out", "yolo")["images/default/a.png"]
    assert labels.problems == []
    found = labels.masks["crack"]
    assert (found is None) == (not mask.any())
    assert found is None or (found == mask).all()


@pytest.mark.parametrize("rounded", [True, False])
@many
@given(odd_masks())
def test_yolo__opencv_adds_as_many_pixels_as_the_note_says(rounded, mask):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = _write(folder, [masked_photo(folder, "a.png", {"crack": mask})])
        file = folder / "out/labels/default/a.txt"
        added = int(_filled_by_opencv(file, *mask.shape, rounded=rounded).sum() - mask.sum())
    if added:
        (note,) = result.problems
        assert (note.kind, note.is_loss) == (problems.INEXACT, False)
        assert f" {added} px more than the {mask.sum()} marked px" in note.text
    else:
        assert result.problems == ()


def test_yolo__twelve_megapixels(tmp_path):
    mask = large_mask()
    _write(tmp_path, [masked_photo(tmp_path, "a.png", {"crack": mask})])
    labels = read_back(tmp_path / "out", "yolo")["images/default/a.png"]
    assert labels.problems == []
    assert (labels.masks["crack"] == mask).all()


def test_yolo__splits_are_folders_and_coordinates_stay_within_0_and_1(tmp_path):
    photos = [
        masked_photo(tmp_path, "a.png", {"crack": np.ones((7, 11), bool), "no": None}, split="train"),
        masked_photo(tmp_path, "b.png", {"crack": None, "no": None}, split="val"),
    ]
    _write(tmp_path, photos, ("crack", "no"))
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert content == {"train": "images/train", "val": "images/val", "names": {0: "crack", 1: "no"}}
    ring = "0.00000000 0.00000000 1.00000000 0.00000000 1.00000000 1.00000000 0.00000000 1.00000000"
    assert (tmp_path / "out/labels/train/a.txt").read_text() == f"0 {ring}\n"
    assert (tmp_path / "out/labels/val/b.txt").read_text() == ""
    labels = read_back(tmp_path / "out", "yolo")
    assert labels["images/val/b.png"].masks == {"crack": None, "no": None}


def test_yolo__a_photo_with_an_unknown_class_is_left_out(tmp_path):
    photos = [
        masked_photo(tmp_path, "a.png", {"crack": np.eye(8, dtype=bool)}),
        masked_photo(tmp_path, "b.png", {"crack": np.eye(8, dtype=bool), "seam": None}),
    ]
    result = _write(tmp_path, photos, ("crack", "seam"))
    assert sorted(path.name for path in (tmp_path / "out/labels/default").iterdir()) == ["b.txt"]
    (lost,) = [problem for problem in result.problems if problem.is_loss]
    assert (lost.kind, lost.file) == (problems.LEFT_OUT, "a.png")
    assert "no label for 'seam'" in lost.text
