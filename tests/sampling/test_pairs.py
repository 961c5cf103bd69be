from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("cv2")

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.sampling.settings import DataConfig
from measured_walls import make_dataset

PHRASES = {"crack": np.eye(4, dtype=np.float32)[:2], "taping area": np.eye(4, dtype=np.float32)[2:]}


@pytest.fixture
def data(tmp_path) -> Dataset:
    """Cracks, seams, and a wall with neither."""
    return make_dataset(tmp_path, ("train",))


def items(data: Dataset, count: int = 24, **settings: object) -> list:
    config = DataConfig(window=64, composite_share=0.0, **settings)
    pairs = TrainingPairs(data, PHRASES, config, seed=0, epoch=0)
    return [pairs[index] for index in range(count)]


def asked_for_nothing(drawn: list) -> int:
    """Pairs that count although nothing of the concept is there."""
    return sum(
        int(k) for item in drawn for k, t in zip(item["known"], item["truth"], strict=True) if not t.any()
    )


def test_negative_share__says_how_often_an_absent_concept_is_asked_for(data) -> None:
    everything = items(data, augment=False)
    assert all(item["known"].tolist() == [1.0, 1.0] for item in everything)
    assert asked_for_nothing(items(data, augment=False, negative_share=0.0)) == 0
    some = asked_for_nothing(items(data, augment=False, negative_share=0.5))
    assert 0 < some < asked_for_nothing(everything)


def test_negative_share__present_concepts_are_always_asked_for(data) -> None:
    for item in items(data, augment=False, negative_share=0.0):
        for known, truth in zip(item["known"], item["truth"], strict=True):
            assert bool(known) == bool(truth.any())


def test_augment__without_it_a_photo_is_drawn_the_same_every_time(data) -> None:
    first = data.with_samples(list(data)[:1])
    still = items(first, 3, augment=False)
    moved = items(first, 3)
    assert all(np.array_equal(item["image"], still[0]["image"]) for item in still)
    assert not any(np.array_equal(item["image"], moved[0]["image"]) for item in moved[1:])


def test_settings__left_alone_change_no_picture(data) -> None:
    """Runs made before these settings existed are repeated to the last digit."""
    for one, other in zip(items(data, 4), items(data, 4, augment=True, negative_share=1.0), strict=True):
        assert np.array_equal(one["image"], other["image"])


@pytest.fixture
def ignoring(data) -> Dataset:
    """The same photos; exactly the crack of each photo was labelled by nobody."""
    samples = []
    for sample in _without_boards(data):
        mask = sample.labels["crack"]
        ignored = {"crack": mask} if mask else {}
        samples.append(replace(sample, labels=dict.fromkeys(sample.labels), ignored=ignored))
    return data.with_samples(samples)


def _without_boards(data: Dataset) -> Dataset:
    return data.with_samples(sample for sample in data if not sample.labels["taping area"])


@pytest.mark.parametrize("augment", [False, True])
def test_ignored__moves_with_the_photo(data, ignoring, augment) -> None:
    marked = items(_without_boards(data), augment=augment)
    unknown = items(ignoring, augment=augment)
    for one, other in zip(marked, unknown, strict=True):
        assert np.array_equal(one["image"], other["image"])
        assert np.array_equal(one["truth"][0] > 0, other["ignored"][0])
        assert not other["ignored"][1].any()
    assert any(item["ignored"].any() for item in unknown)
    assert all("ignored" not in item for item in marked)


def test_ignored__absent_concepts_that_are_left_out_ignore_nothing(ignoring) -> None:
    for item in items(ignoring, augment=False, negative_share=0.0):
        assert not item["ignored"].any()


@pytest.fixture
def fat_labels(tmp_path) -> Dataset:
    """A board with a dark line, and a bare board, under the same wide label."""
    label = np.zeros((128, 128), np.uint8)
    label[54:75, 10:118] = 255
    (tmp_path / "fat.png").write_bytes(_png(label))
    samples = []
    for name in ("cracked", "bare"):
        grey = 180 + np.random.default_rng(3).normal(0, 2, (128, 128))
        if name == "cracked":
            grey[62:66, 10:118] -= 70
        photo = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        (tmp_path / f"{name}.png").write_bytes(_png(photo))
        labels = {"crack": "fat.png", "taping area": None}
        samples.append(Sample(name, f"{name}.png", "walls", name, 128, 128, labels, "train", "A"))
    return Dataset(tmp_path, tuple(samples), {name: (f"segment {name}",) for name in PHRASES})


def _png(pixels: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def test_traced__labels_become_the_cracks_own_pixels(fat_labels: Dataset) -> None:
    cracked = fat_labels.with_samples(list(fat_labels)[:1])
    (fat,) = items(cracked, 1, augment=False)
    (traced,) = items(cracked, 1, augment=False, traced=("crack",))
    assert fat["truth"][0].sum() / traced["truth"][0].sum() == pytest.approx(21 / 4, rel=0.3)
    assert not traced["ignored"].any()


def test_traced__a_label_without_a_visible_line_is_ignored(fat_labels: Dataset) -> None:
    bare = fat_labels.with_samples(list(fat_labels)[1:])
    (fat,) = items(bare, 1, augment=False)
    (traced,) = items(bare, 1, augment=False, traced=("crack",))
    assert not traced["truth"][0].any()
    assert np.array_equal(traced["ignored"][0], fat["truth"][0] > 0)
