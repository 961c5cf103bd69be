"""Truly large validation pictures: rendered phone walls and mosaics, as sets of a data set."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa import cli
from drywallqa.curation import rendered_sets
from drywallqa.datasets import dataset
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DataError
from drywallqa.synthetic.phone_walls import render_phone_wall


@pytest.fixture
def small_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered_sets, "render_phone_wall", partial(render_phone_wall, size=(330, 440)))


def crack_photos(folder: Path, count: int) -> Dataset:
    """Photos of 640 px, each with a crack of its own place."""
    samples = []
    for number in range(count):
        mask = np.zeros((640, 640), np.uint8)
        mask[100 + number : 110 + number, 50:600] = 255
        for name, pixels in (("photos", np.full((640, 640, 3), 10 * number, np.uint8)), ("masks", mask)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
        labels = {"crack": f"masks/{number}.png"}
        samples.append(
            Sample(str(number), f"photos/{number}.png", "site", str(number), 640, 640, labels, "val")
        )
    made = Dataset(folder, tuple(samples), {"crack": ("segment crack",)})
    dataset.save_dataset(made)
    return made


@pytest.mark.usefixtures("small_walls")
def test_render__phone_walls_are_labelled_as_people_would(tmp_path: Path) -> None:
    command = ["data", "render", str(tmp_path / "d"), "--phone", "--count", "8", "--split", "val", "--set"]
    assert cli.main([*command, "rendered-phone"]) == 0
    made = dataset.load_dataset(tmp_path / "d")
    shown = [sample.labels["crack"] is not None for sample in made]
    assert shown == [kind in ("crack", "both") for kind in rendered_sets.CYCLE]
    assert all(sample.rendered and sample.split == "val" for sample in made)
    for number, sample in enumerate(made):
        if sample.labels["crack"]:
            wall = rendered_sets.render_phone_wall([0, number], kind=rendered_sets.CYCLE[number])
            outline = made.read_mask(sample, "crack")
            assert outline[wall.crack_mask].all()
            assert outline.sum() > wall.crack_mask.sum()
    with pytest.raises(DataError, match="already has a set 'rendered-phone'"):
        rendered_sets.add_phone_walls(tmp_path / "d", 1, set_name="rendered-phone", seed=0, split="val")


def test_mosaics__hold_each_photograph_once(tmp_path: Path) -> None:
    crack_photos(tmp_path / "source", 9)
    command = ["data", "mosaics", str(tmp_path / "d"), "--of", str(tmp_path / "source"), "--columns", "2"]
    assert cli.main(command) == 0
    made = dataset.load_dataset(tmp_path / "d")
    assert [(sample.height, sample.width) for sample in made] == [(1280, 1280)] * 2
    truth = made.read_mask(made.samples[1], "crack")
    assert truth[104:114, 50:600].all()  # the fifth photo
    assert truth[640 + 106, 50]  # the seventh, below it
    assert truth.sum() == 4 * 10 * 550


def test_mosaics__too_few_photographs(tmp_path: Path) -> None:
    few = crack_photos(tmp_path / "source", 3)
    with pytest.raises(
        DataError, match="only 3 source photos of 640×640 px show a crack, but a mosaic needs 4"
    ):
        rendered_sets.add_mosaics(tmp_path / "d", few, columns=2, set_name="mosaics", split="val")
