import numpy as np
import pytest

from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto
from drywallqa.formats.label_folder import LabelFolder
from written_labels import masked_photo

SPOT = np.eye(8, dtype=bool)


def _take(folder, photos, *, all_known=True):
    target = LabelFolder(folder, ("crack",))
    return target, list(target.take(photos, all_known=all_known))


def _named(*names):
    return [MaskedPhoto(name, None, 8, 8, {"crack": SPOT}) for name in names]


def test_take__names_are_unique_without_suffix_and_case(tmp_path):
    target, taken = _take(tmp_path, _named("a.jpg", "A.jpg", "a.png", "b/a.jpg"))
    assert [photo.name for photo in taken] == ["a.jpg", "A--2.jpg", "a--3.png", "b/a.jpg"]
    kinds = [(problem.kind, problem.file) for problem in target.problems]
    assert kinds == [(problems.SIMILAR_NAME, "A.jpg"), (problems.SIMILAR_NAME, "a.png")]


def test_take__photos_of_two_splits_may_share_a_name(tmp_path):
    photos = [MaskedPhoto("a.jpg", None, 8, 8, {"crack": SPOT}, split) for split in ("train", "val", None)]
    target, taken = _take(tmp_path, photos)
    assert [(photo.name, photo.split) for photo in taken] == [
        ("a.jpg", "train"),
        ("a.jpg", "val"),
        ("a.jpg", "default"),
    ]
    assert target.problems == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/a.jpg", "etc/a.jpg"),
        ("/tmp/a.jpg", "tmp/a.jpg"),
        (".a.jpg", "_.a.jpg"),
        ("images/a.jpg", "images_/a.jpg"),
        ("valid/a.jpg", "valid_/a.jpg"),
        ("classes.jpg", "classes_.jpg"),
        ("a_mask.png", "a_mask_.png"),
        ("", "photo"),
    ],
)
def test_take__a_name_is_safe_and_without_meaning_for_readers(tmp_path, name, safe):
    _, (photo,) = _take(tmp_path, _named(name))
    assert photo.name == safe


@pytest.mark.parametrize("name", ["a:b.jpg", "con.jpg", "x\x00y.jpg", "\udcff.jpg", "wall?/a.jpg"])
def test_take__a_name_that_some_system_forbids_changes(tmp_path, name):
    target, (photo,) = _take(tmp_path, _named(name))
    assert not set(photo.name) & set(':\x00?\udcff"')
    assert photo.name.endswith(".jpg")
    assert [problem.kind for problem in target.problems] == [problems.SIMILAR_NAME]


def test_take__copies_photos_byte_for_byte(tmp_path):
    photo = masked_photo(tmp_path, "b/a.png", {"crack": SPOT}, split="train")
    target, _ = _take(tmp_path, [photo])
    assert (tmp_path / "images/train/b/a.png").read_bytes() == photo.path.read_bytes()
    assert target.result().files == (tmp_path / "images/train/b/a.png",)


def test_take__an_empty_mask_means_absent_and_other_classes_are_dropped(tmp_path):
    masks = {"seam": SPOT, "crack": np.zeros((8, 8), bool)}
    _, (photo,) = _take(tmp_path, [MaskedPhoto("a.png", None, 8, 8, masks)])
    assert photo.masks == {"crack": None}


@pytest.mark.parametrize("all_known", [True, False])
def test_take__a_photo_without_any_known_class_is_left_out(tmp_path, all_known):
    target, taken = _take(tmp_path, [MaskedPhoto("a.png", None, 8, 8, {"seam": SPOT})], all_known=all_known)
    assert taken == []
    assert [problem.text for problem in target.problems] == ["no class is known in this photo"]
