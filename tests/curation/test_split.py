from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.checks.data_checks import PARTS
from drywallqa.curation.split import (
    hold_out,
    natural_key,
    parse_ratios,
    split_by_csv,
    split_dataset,
    split_notes,
)
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import ConfigError, DataError
from tiny_exports import photo, write_photo, write_text


def sample(source: str, copy: int = 0, set_name: str = "x", setting: str | None = None) -> Sample:
    name = f"{source}.rf.{copy}"
    photo_name = f"photos/{set_name}/{name}.png"
    return Sample(name, photo_name, set_name, source, 64, 64, {"crack": None}, "train", setting)


def dataset(copies: list[int], **about) -> Dataset:
    """One photograph for each number, with that many copies."""
    samples = [sample(f"IMG_{n}", copy, **about) for n, count in enumerate(copies) for copy in range(count)]
    return Dataset(Path("none"), tuple(samples))


def sides(split: Dataset) -> dict[tuple[str, str], set[str | None]]:
    found = defaultdict(set)
    for item in split:
        found[item.set_name, item.source_photo].add(item.split)
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=40),
    st.integers(0, 1000),
    st.booleans(),
    st.sampled_from([(70.0, 15.0, 15.0), (1.0, 1.0, 1.0), (90.0, 0.0, 10.0), (100.0, 0.0, 0.0)]),
)
def test_split_dataset__keeps_copies_together_and_leaves_no_part_empty(copies, seed, blocks, ratios):
    split = split_dataset(dataset(copies), ratios, seed=seed, blocks=blocks)
    assert all(len(found) == 1 for found in sides(split).values())
    wanted = {part for part, ratio in zip(PARTS, ratios, strict=True) if ratio}
    assert {item.split for item in split} == wanted
    assert [item.image_id for item in split] == [item.image_id for item in dataset(copies)]


@pytest.mark.parametrize("blocks", [True, False])
def test_split_dataset__comes_near_the_ratios(blocks):
    split = split_dataset(dataset([3] * 100), blocks=blocks)
    assert [len(split.part(part)) for part in PARTS] == pytest.approx([210, 45, 45], abs=4)


def test_split_dataset__is_seeded_and_does_not_depend_on_the_order():
    whole = dataset([2] * 30)
    shuffled = whole.with_samples(reversed(whole.samples))
    first = {item.image_id: item.split for item in split_dataset(whole, seed=1)}
    assert first == {item.image_id: item.split for item in split_dataset(shuffled, seed=1)}
    assert first != {item.image_id: item.split for item in split_dataset(whole, seed=2)}


def test_split_dataset__blocks_follow_each_other_by_name():
    split = split_dataset(dataset([1] * 40), blocks=True, seed=5)
    order = [item.split for item in sorted(split, key=lambda item: natural_key(item.image_id))]
    changes = sum(first != second for first, second in pairwise(order))
    assert changes <= 3


def test_hold_out__a_setting_is_for_the_test_alone():
    samples = [sample(f"{place}{n}", setting=place) for place in "AB" for n in range(9)]
    known = hold_out(split_dataset(Dataset(Path(), tuple(samples), {"crack": ()})), "B")
    assert {s.split for s in known if s.setting == "B"} == {"test"}
    assert {s.split for s in known if s.setting == "A"} == {"train", "val", "unused"}
    with pytest.raises(ConfigError, match="no photo has the setting 'C'"):
        hold_out(known, "C")
    with pytest.raises(ConfigError, match="none is left for training"):
        hold_out(known.with_samples(s for s in known if s.setting == "B"), "B")


def test_split_dataset__each_set_and_setting_is_split_for_itself():
    samples = [
        sample(f"{set_name}{setting}{n}", set_name=set_name, setting=setting)
        for set_name in "xy"
        for setting in "AB"
        for n in range(20)
    ]
    split = split_dataset(Dataset(Path("none"), tuple(samples)))
    counts = defaultdict(int)
    for item in split:
        counts[item.set_name, item.setting, item.split] += 1
    assert all(counts[set_name, setting, "test"] == 3 for set_name in "xy" for setting in "AB")


def test_split_dataset__near_duplicates_stay_together(tmp_path):
    samples = [sample(f"IMG_{n}") for n in range(12)]
    for number, item in enumerate(samples):
        pixels = photo(number // 2)
        write_photo(tmp_path / item.photo, pixels if number % 2 else pixels[::-1])
    split = split_dataset(Dataset(tmp_path, tuple(samples)), (1, 1, 1), grouping="near-duplicates")
    order = [item.split for item in split]
    assert order[::2] == order[1::2]
    assert set(order) == set(PARTS)


def test_split_dataset__fewer_photographs_than_parts_are_refused():
    with pytest.raises(DataError, match="2 source photos"):
        split_dataset(dataset([4, 4]))
    with pytest.raises(ConfigError, match="source, near-duplicates"):
        split_dataset(dataset([1] * 5), grouping="colour")


@pytest.mark.parametrize("text", ["70/30", "a/b/c", "-1/1/1", "0/1/1", "nan/1/1", ""])
def test_parse_ratios__nonsense_is_refused(text):
    with pytest.raises(ConfigError, match="--ratios"):
        parse_ratios(text)


def test_parse_ratios__any_unit():
    assert parse_ratios("8/1/1") == (8, 1, 1)


def _csv(tmp_path: Path, text: str) -> Path:
    return write_text(tmp_path / "split.csv", text)


def test_split_by_csv__by_stem_with_photo_and_setting(tmp_path):
    rows = "file,photo,setting,split\nd/IMG_0.rf.0.jpg,first,A,test\nIMG_1.rf.0.png,,,\ngone.jpg,,,train\n"
    done, unnamed, unmatched = split_by_csv(dataset([1, 1, 1]), _csv(tmp_path, rows))
    first, second, third = done.samples
    assert (first.split, first.source_photo, first.setting) == ("test", "first", "A")
    assert (second.split, second.source_photo) == (None, "IMG_1")
    assert third.split is None
    assert unnamed == [third.photo]
    assert unmatched == ["gone.jpg"]


def test_split_by_csv__one_stem_in_two_sets_goes_by_the_path(tmp_path):
    both = Dataset(Path("none"), (sample("a", set_name="x"), sample("a", set_name="y")))
    rows = "file,split\nx.coco/train/a.rf.0.jpg,train\ny.yolov8/a.rf.0.jpg,test\n"
    assert [item.split for item in split_by_csv(both, _csv(tmp_path, rows))[0]] == ["train", "test"]


def test_split_by_csv__a_leak_is_refused_but_what_is_dropped_is_no_side(tmp_path):
    rows = "file,split\nIMG_0.rf.0.jpg,train\nIMG_0.rf.1.jpg,{}\n"
    with pytest.raises(DataError, match=r"'IMG_0' in test and train"):
        split_by_csv(dataset([2]), _csv(tmp_path, rows.format("test")))
    done, *_ = split_by_csv(dataset([2]), _csv(tmp_path, rows.format("dropped")))
    assert [item.split for item in done] == ["train", "dropped"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("name,split\na,train\n", "file,split"),
        ("", "file,split"),
        ("file,split\nother.jpg,train\n", "matches no photo"),
        ("file,split\nIMG_0.rf.0.jpg,train\nIMG_0.rf.0.jpg,test\n", "train and test"),
    ],
)
def test_split_by_csv__unusable_files_are_refused(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        split_by_csv(dataset([1]), _csv(tmp_path, rows))


def test_split_by_csv__a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv"):
        split_by_csv(dataset([1]), tmp_path / "gone.csv")


def test_natural__orders_numbers_by_value():
    assert sorted(["IMG_10", "IMG_9", "a", "IMG_9b"], key=natural_key) == ["a", "IMG_9", "IMG_9b", "IMG_10"]


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize(("sets", "photographs"), [(12, 1), (12, 2), (40, 1), (30, 3), (7, 5)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_split_dataset__shares_hold_over_many_small_sets(blocks, sets, photographs, seed):
    samples = [sample(f"{n}", set_name=f"set{name}") for name in range(sets) for n in range(photographs)]
    split = split_dataset(Dataset(Path("none"), tuple(samples)), blocks=blocks, seed=seed)
    shares = [len(split.part(part)) / len(samples) for part in PARTS]
    assert shares == pytest.approx([0.70, 0.15, 0.15], abs=1.5 / len(samples) + 0.02)


def test_split_dataset__chance_decides_which_of_many_small_sets_are_for_the_test():
    whole = Dataset(Path("none"), tuple(sample("one", set_name=f"set{n}") for n in range(12)))
    tests = {tuple(s.set_name for s in split_dataset(whole, seed=seed).part("test")) for seed in range(5)}
    assert len(tests) > 1


def test_notes__empty_parts_and_sets_in_one_part():
    whole = Dataset(Path("none"), tuple(sample(f"{n}", set_name=name) for name in "ab" for n in range(9)))
    assert split_notes(split_dataset(whole)) == []
    assert split_notes(split_dataset(whole, (80, 20, 0))) == ["test: no photo is in this split"]
    alone = split_dataset(Dataset(Path("none"), tuple(sample("one", set_name=f"set{n}") for n in range(12))))
    assert split_notes(alone) == [
        f"12 of 12 sets are in only one split, such as 'set0' in {alone.samples[0].split}"
    ]
