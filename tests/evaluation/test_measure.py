from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.measure import Evaluator, PairMeasurement, measure_part
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBackend, FakeBundle
from measured_walls import SIDE, make_dataset

CORNER = np.zeros((SIDE, SIDE), bool)
CORNER[: SIDE // 2] = True


def _measure(dataset: Dataset):
    segmenter = Segmenter(FakeBundle(window=Letterbox(SIDE), backend=FakeBackend(stride=1)))
    queries = segmenter.ask_for([("segment crack", "crack"), ("segment taping area", "taping area")])
    return measure_part(Evaluator(segmenter, dataset, queries), lambda done: None)


def _size(pair: PairMeasurement) -> int:
    return int(pair.histogram.inside.sum() + pair.histogram.outside.sum())


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path, ("val",))


@pytest.fixture
def ignoring(data: Dataset) -> Dataset:
    """The same photos, but nobody labelled cracks in their upper half, and the truth there is wrong."""
    Image.fromarray(CORNER.astype(np.uint8) * 255).save(data.folder / "ignored.png")
    samples = [replace(sample, ignored={"crack": "ignored.png"}) for sample in data]
    for sample in data:
        if name := sample.labels["crack"]:
            truth = data.read_mask(sample, "crack") ^ CORNER
            Image.fromarray(truth.astype(np.uint8) * 255).save(data.folder / name)
    return data.with_samples(samples)


def test_measure__unlabelled_pixels_count_nowhere(data, ignoring) -> None:
    half = SIDE * SIDE // 2
    found = _measure(ignoring)
    cracks = [pair for pair in found.pairs if pair.concept == "crack"]
    others = [pair for pair in found.pairs if pair.concept == "taping area"]
    assert {_size(pair) for pair in cracks} == {half}
    assert {_size(pair) for pair in others} == {2 * half}
    for pair in cracks:
        counts = pair.counts
        assert counts.tp + counts.fp + counts.fn + counts.tn == half
    shown = [pair for pair in cracks if not pair.absent]
    assert len(shown) > 0
    assert min(pair.counts.precision for pair in shown) > 0.5  # the wrong truth of the upper half is unseen
    assert sum(sum(row.values()) for row in found.regions.values()) <= len(ignoring) * half + half


def test_measure__wrong_truth_counts_if_it_is_labelled(ignoring) -> None:
    labelled = ignoring.with_samples(replace(sample, ignored={}) for sample in ignoring)
    shown = [pair for pair in _measure(labelled).pairs if pair.concept == "crack" and not pair.absent]
    assert max(pair.counts.recall for pair in shown) < 0.2
