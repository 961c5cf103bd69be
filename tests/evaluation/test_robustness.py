import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from drywallqa.cli import main
from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.robustness import CHANGES, CLEAN, measure_robustness, robustness_lines
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBackend, FakeBundle, FakeText
from measured_walls import SIDE, make_dataset, wall

PROMPTS = {"crack": "segment crack", "taping area": "segment taping area"}
PHRASINGS = {"crack": ("segment crack", "segment fissure", "segment dog"), "taping area": ("joint", "seam")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data"), ("val",))


def measure(data: Dataset, backend: FakeBackend):
    segmenter = Segmenter(FakeBundle(window=Letterbox(SIDE), backend=backend))
    return measure_robustness(segmenter, data, PROMPTS, phrasings=PHRASINGS)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_changes__truth_moves_with_the_photo(change) -> None:
    photo, truth = wall(7, "taping area")
    changed = change.photo(photo, np.random.default_rng(0)).astype(int)
    moved = change.truth(truth)
    assert changed.shape[:2] == moved.shape
    blue = changed[:, :, 2] - changed[:, :, :2].max(axis=2) > 40
    assert (blue & moved).sum() / (blue | moved).sum() > 0.8
    assert not np.array_equal(changed, photo)


def test_robustness__a_model_of_colours_stays_itself_when_the_photo_is_turned(data) -> None:
    found = measure(data, FakeBackend(stride=1))
    assert found.photos == 8
    for concept in PROMPTS:
        assert found.ious[concept][CLEAN] > 0.5
        for quarter in (90, 180, 270):
            assert found.share(concept, f"turned by {quarter}°") == pytest.approx(1, abs=0.03)
        assert found.agreements[concept].iou == 1.0
        assert found.agreements[concept].steady_photos == 1.0


@dataclass
class Upright(FakeBackend):
    """Sees the upper half of a photo only."""

    def decode(self, features, embeddings):
        logits, presence = super().decode(features, embeddings)
        logits[:, :, logits.shape[2] // 2 :] = -9
        return logits, presence


def test_robustness__a_model_that_knows_one_way_up_is_found_out(data) -> None:
    found = measure(data, Upright())
    assert found.share("taping area", "turned by 180°") < 0.85
    told = "\n".join(robustness_lines(found))
    row = next(line for line in told.splitlines() if line.startswith("turned by 180°"))
    assert "below 85%" in row


@dataclass
class Wordy(FakeBackend):
    """Marks less where it is asked for in other words."""

    def encode_prompts(self, given: Sequence[str]):
        rows = super().encode_prompts(given)
        return rows * np.array([[0.45 if "fissure" in prompt else 1.0] for prompt in given], np.float32)

    def decode(self, features, embeddings):
        logits, presence = super().decode(features, embeddings)
        return logits - 1.0, presence


def test_agreement__words_that_change_the_mask_are_found_out(data) -> None:
    found = measure(data, Wordy()).agreements["crack"]
    assert found.phrasings == ("segment crack", "segment fissure")
    assert found.refused == ("segment dog",)
    assert found.iou < 0.95
    assert found.steady_photos < 1
    assert "not understood: segment dog" in "\n".join(robustness_lines(measure(data, Wordy())))


def test_robustness__without_a_photo_of_a_concept_says_nothing_about_it(data) -> None:
    cracks = data.with_samples(s for s in data if s.labels["crack"])
    found = measure(cracks, FakeBackend())
    assert np.isnan(found.ious["taping area"][CLEAN])
    assert np.isnan(found.agreements["taping area"].iou)
    assert FakeText().understand("joint") == "taping area"
    assert "below" not in next(line for line in robustness_lines(found) if line.startswith(CLEAN))


def test_suite_release__measures_robustness_where_it_is_asked_for(
    fake_bundle, tmp_path, capsys, monkeypatch
) -> None:
    pytest.importorskip("skimage", reason="its pictures are the ones that are no walls")
    monkeypatch.setattr("drywallqa.workflows.suites.load_bundle", lambda model: fake_bundle)
    make_dataset(tmp_path / "data", ("train", "val"), each=2)
    given = ["--data", str(tmp_path / "data"), "--split", "val"]
    old = ["benchmark", *given, "--composites", "2", "--json", str(tmp_path / "b.json"), "--steadiness"]
    assert main(old) == 0
    told = capsys.readouterr()
    assert "turned by 90°" in told.out
    assert "crack with 5 phrasings" in told.out
    assert "note: '--steadiness' is now '--robustness'" in told.err
    measured = json.loads((tmp_path / "b.json").read_text())["steadiness"]
    assert measured["photos"] == 4
    assert set(measured["ious"]["taping area"]) == {CLEAN, *(change.name for change in CHANGES)}
    assert main(["evaluate", "--suite", "release", *given, "--count", "2", "-q"]) == 0
    told = capsys.readouterr()
    assert "turned by" not in told.out
    assert not told.err
