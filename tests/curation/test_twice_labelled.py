"""One picture under two names, labelled by two people: how far they agree is told by the audit."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.cli import main
from drywallqa.datasets import dataset
from drywallqa.synthetic.walls import render_wall


def picture(folder: Path, name: str, photo: np.ndarray, box: tuple[int, int, int, int]) -> dataset.Sample:
    (folder / "photos").mkdir(exist_ok=True)
    Image.fromarray(photo).save(folder / "photos" / f"{name}.png")
    mask = np.zeros(photo.shape[:2], np.uint8)
    top, bottom, left, right = box
    mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(folder / f"{name}.png")
    height, width = mask.shape
    labels = {"crack": f"{name}.png"}
    return dataset.Sample(name, f"photos/{name}.png", "set", name, height, width, labels, "train")


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """One wall twice, the second time upside down and labelled half as wide; another wall once."""
    wall, other = (render_wall(seed, (160, 160), "crack").photo for seed in (3, 4))
    samples = (
        picture(tmp_path, "one", wall, (40, 80, 20, 140)),
        picture(tmp_path, "two", np.ascontiguousarray(np.rot90(wall, 2)), (100, 120, 20, 140)),
        picture(tmp_path, "other", other, (40, 80, 20, 140)),
    )
    dataset.save_dataset(dataset.Dataset(tmp_path, samples, {"crack": ()}))
    return tmp_path


def test_audit__says_how_far_two_labels_of_one_picture_agree(
    twice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "audit", str(twice), "--json", str(twice / "audit.json")]) == 1
    assert "'crack': 1 pairs of labels of 1 source photos labelled twice agree with a mean IoU of 0.500" in (
        capsys.readouterr().out
    )
    (told,) = json.loads((twice / "audit.json").read_text("utf-8"))["labelled_twice"]
    assert told["iou"] == pytest.approx(0.5)
    assert told["dice"] == pytest.approx(2 / 3)


def test_audit__is_silent_where_nothing_was_labelled_twice(
    twice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = dataset.load_dataset(twice)
    dataset.save_dataset(known.with_samples(s for s in known if s.image_id != "two"))
    main(["data", "audit", str(twice)])
    assert "labelled twice" not in capsys.readouterr().out


def test_audit__passes_over_a_label_that_cannot_be_read(
    twice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (twice / "two.png").write_bytes(b"no picture")
    assert main(["data", "audit", str(twice)]) == 1
    told = capsys.readouterr().out
    assert "two.png" in told
    assert "labelled twice" not in told


def _audit(folder: Path) -> list[dict]:
    main(["data", "audit", str(folder), "--json", str(folder / "audit.json")])
    return json.loads((folder / "audit.json").read_text("utf-8"))["contradictions"]


def test_audit__names_identical_photos_with_other_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wall = render_wall(3, (160, 160), "crack").photo
    one, two = (
        picture(tmp_path, name, wall, (40, 80, 20, right)) for name, right in (("one", 140), ("two", 60))
    )
    none = picture(tmp_path, "none", wall, (0, 0, 0, 0))
    samples = (one, two, dataclasses.replace(none, labels={"crack": None, "seam": None}))
    dataset.save_dataset(dataset.Dataset(tmp_path, samples, {"crack": ()}))
    found = {(each["first"], each["second"]): each["iou"] for each in _audit(tmp_path)}
    assert found == {
        ("photos/one.png", "photos/two.png"): pytest.approx(1 / 3),
        ("photos/one.png", "photos/none.png"): None,
    }
    assert "contradictory labels of one photo: 2 pairs" in capsys.readouterr().out


def test_audit__names_copies_whose_labels_do_not_overlap(twice: Path) -> None:
    assert _audit(twice) == []  # an IoU of 0.5 is no contradiction between two shots
    wall = render_wall(3, (160, 160), "crack").photo
    picture(twice, "two", np.ascontiguousarray(np.rot90(wall, 2)), (20, 60, 20, 140))
    (found,) = _audit(twice)
    assert (found["identical"], found["iou"]) == (False, 0.0)
