from pathlib import Path

import numpy as np
import pytest

from drywallqa.datasets.photo_labels import label_photo, unite_entries
from drywallqa.formats.annotations import MaskedPhoto, ReadOptions
from drywallqa.formats.exports import read_export
from drywallqa.formats.mask_writer import write_mask_folders
from tiny_exports import square, write_photo

GENERATOR = np.random.default_rng(0)
MASKS = {
    "square": square(4, 4, 20, 20),
    "hole": square(4, 4, 40, 40) & ~square(10, 10, 20, 20),
    "one pixel": square(63, 63, 64, 64),
    "diagonal": np.eye(64, dtype=bool),
    "noise": GENERATOR.random((64, 64)) < 0.3,
}


def _photos(folder: Path, *named, split=None):
    """Photos of 64 px with these names and masks, in a folder of their own."""
    made = []
    for number, (name, masks) in enumerate(named):
        path = write_photo(folder / f"{number}.png", number)
        made.append(MaskedPhoto(name, path, 64, 64, masks, split))
    return made


def _read(folder: Path, invert: str | None = None):
    """Photo → its split, and class → mask or None, as an import reads them; and the problems."""
    export = read_export(folder, "masks", ReadOptions.parse((), invert))
    photos, problems = unite_entries(export)
    found = {}
    for photo in photos:
        labels = label_photo(photo, 64, 64)
        problems += labels.problems
        found[photo.name] = photo.split, labels.masks
    return found, [*export.problems, *problems]


@pytest.mark.parametrize("name", MASKS)
def test_write__masks_come_back_to_the_pixel(name, tmp_path):
    masks = {"crack": MASKS[name], "seam": None, "stain": ~MASKS["hole"] & MASKS[name]}
    masks |= {} if masks["stain"].any() else {"stain": None}
    photos = _photos(tmp_path / "photos", ("a.png", masks), ("b.jpg", {"crack": None}), split="val")
    result = write_mask_folders(tmp_path / "out", photos, ["crack", "seam", "stain"])
    found, problems = _read(tmp_path / "out")
    assert [(split, set(read)) for split, read in found.values()] == [("val", set(masks)), ("val", {"crack"})]
    read = found["images/val/a.png"][1]
    for class_name, mask in masks.items():
        assert (read[class_name] is None) == (mask is None)
        assert mask is None or (read[class_name] == mask).all()
    assert problems == []
    assert result.problems == ()
    assert set(result.files) == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_write__a_full_mask_comes_back_if_it_is_confirmed(tmp_path):
    photos = _photos(tmp_path / "photos", ("a.png", {"crack": np.ones((64, 64), bool)}))
    write_mask_folders(tmp_path / "out", photos, ["crack"])
    found, _ = _read(tmp_path / "out", invert="no")
    assert found["images/a.png"][1]["crack"].all()


def test_write__names_that_would_fit_two_photos_are_changed_and_told(tmp_path):
    names = [
        "wall.jpg",
        "wall.png",
        "WALL.bmp",
        "wall_mask.jpg",
        "crack/wall.jpg",
        "train/wall.jpg",
        "wall.jpg.png",
    ]
    masks = [square(number, 0, number + 9, 9) for number in range(len(names))]
    named = [(name, {"crack": mask}) for name, mask in zip(names, masks, strict=True)]
    result = write_mask_folders(tmp_path / "out", _photos(tmp_path / "photos", *named), ["crack", "seam"])
    found, problems = _read(tmp_path / "out")
    assert problems == []
    assert all(split is None for split, _ in found.values())
    read = sorted(int(np.flatnonzero(labels["crack"].any(axis=0))[0]) for _, labels in found.values())
    assert read == list(range(len(names)))
    written = {problem.text.split(" is written as ")[0] for problem in result.problems}
    assert written >= {"the photo wall.png", "the photo WALL.bmp", "the photo wall_mask.jpg"}


def test_write__class_names_that_are_no_folder_names_are_told(tmp_path):
    classes = ["joint/tape", "train", "crack", "CRACK"]
    masks = {name: square(9 * number, 0, 9 * number + 5, 9) for number, name in enumerate(classes)}
    result = write_mask_folders(tmp_path / "out", _photos(tmp_path / "photos", ("a.png", masks)), classes)
    found, problems = _read(tmp_path / "out")
    assert problems == []
    (labels,) = [labels for _, labels in found.values()]
    assert len(labels) == len(classes)
    assert {"crack", "train-class", "CRACK--2"} < set(labels)
    assert (labels["train-class"] == masks["train"]).all()
    assert len(result.problems) == 3


def test_write__a_split_that_readers_do_not_know_is_told(tmp_path):
    photos = _photos(tmp_path / "photos", ("a.png", {"crack": MASKS["square"]}), split="held out")
    result = write_mask_folders(tmp_path / "out", photos, ["crack"])
    assert [str(problem) for problem in result.problems] == [
        "a.png: two splits: the split 'held out' cannot be written; the photo is in no split"
    ]
