from collections import Counter
from pathlib import Path

import pytest

from drywallqa.curation.subset import take_subset
from drywallqa.datasets.dataset import load_dataset, replace
from drywallqa.errors import DataError
from measured_walls import make_dataset

SIZES = {"crack": {"train": 3, "val": 1}, "taping area": {"train": 2}}


def test_take__so_many_photos_of_each_concept_and_part(tmp_path: Path) -> None:
    known = make_dataset(tmp_path / "data")
    take_subset(known, SIZES, tmp_path / "small")
    small = load_dataset(tmp_path / "small")
    shown = Counter((next(c for c, m in s.labels.items() if m), s.split) for s in small)
    assert shown == {("crack", "train"): 3, ("crack", "val"): 1, ("taping area", "train"): 2}
    for sample in small:
        assert small.read_photo(sample).shape == (sample.height, sample.width, 3)
        assert any(small.read_mask(sample, concept).any() for concept in sample.labels)
    assert small.concepts == known.concepts


def test_take__copies_of_a_photograph_come_last(tmp_path: Path) -> None:
    """Of the four crack photos two are copies of one photograph."""
    known = make_dataset(tmp_path / "data", ("train",))
    for seed in range(6):
        small = take_subset(known, {"crack": {"train": 3}}, tmp_path / str(seed), seed=seed)
        assert len({s.source_photo for s in small}) == 3


def test_take__equal_seeds_take_equal_photos(tmp_path: Path) -> None:
    known = make_dataset(tmp_path / "data", each=8)
    backwards = known.with_samples(reversed(known.samples))
    size = {"taping area": {"train": 2}}
    first, same, other = (
        {s.photo for s in take_subset(data, size, tmp_path / name, seed=seed)}
        for name, data, seed in (("a", known, 1), ("b", backwards, 1), ("c", known, 4))
    )
    assert first == same != other


def test_take__too_few_photos_are_told(tmp_path: Path) -> None:
    known = make_dataset(tmp_path / "data")
    with pytest.raises(DataError, match="9 photos that show 'crack' are needed in 'val', but there are only"):
        take_subset(known, {"crack": {"val": 9}}, tmp_path / "small")
    assert not (tmp_path / "small" / "dataset.json").exists()


def test_take__rendered_pictures_are_passed_over(tmp_path: Path) -> None:
    known = make_dataset(tmp_path / "data", ("train",))
    drawn = known.with_samples(replace(s, set_name="rendered") for s in known)
    with pytest.raises(DataError, match="there are only 0"):
        take_subset(drawn, {"crack": {"train": 1}}, tmp_path / "small")
