"""Thresholds chosen on validation: photos shown whole and large photos decide about their own kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drywallqa.bundle.bundle import load_bundle, save_head
from drywallqa.datasets.dataset import Sample
from drywallqa.errors import DataError
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.measured_model import (
    FEWEST,
    ChosenThresholds,
    choose_by_kind,
    choose_on_validation,
    measured_bundle,
)
from drywallqa.exporting.card import render_card
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.queries import PromptQuery
from drywallqa.metrics import Histogram
from drywallqa.workflows.evaluate import store_thresholds
from measured_walls import SIDE, make_bundle, make_dataset


def choose(tmp_path: Path, window: int) -> ChosenThresholds:
    made = make_bundle(tmp_path / "bundle")
    concepts = {name: replace(each, native=name == "crack") for name, each in made.concepts.items()}
    bundle = save_head(replace(made, window=Letterbox(window, multiple=8), concepts=concepts))
    subject = measured_bundle(replace(made, window=bundle.window, concepts=concepts, files=bundle.files))
    return choose_on_validation(subject, make_dataset(tmp_path / "data", each=6))


def test_choose__small_photos_decide_about_photos_shown_whole(tmp_path: Path) -> None:
    chosen = choose(tmp_path, SIDE)
    assert set(chosen.choices) == {"crack", "taping area"}
    assert not chosen.closer
    assert all(each.closer is None for each in chosen.model.segmenter.bundle.concepts.values())


def test_choose__large_photos_decide_about_closer_views_and_are_stored(tmp_path: Path) -> None:
    chosen = choose(tmp_path, 32)
    assert (set(chosen.choices), set(chosen.closer)) == ({"taping area"}, {"crack"})
    crack = chosen.closer["crack"]
    assert crack.iou > 0.5
    assert chosen.model.thresholds["crack"] == (0.5, 0.5), "what was chosen for photos shown whole stays"
    kept = chosen.model.segmenter.bundle.concepts["crack"].closer
    assert kept == (crack.threshold, crack.presence_threshold)
    stored = load_bundle(tmp_path / "bundle")
    save_head(store_thresholds(stored, chosen))
    kept = load_bundle(tmp_path / "bundle").concepts
    assert kept["crack"].closer == pytest.approx((crack.threshold, crack.presence_threshold))
    assert kept["taping area"].closer is None
    assert f"| crack, large photos | {crack.threshold:.3f} |" in render_card(load_bundle(tmp_path / "bundle"))


def pair(
    concept: str, place: int, *, shown: bool, closer: bool = False, set_name: str = "site"
) -> PairMeasurement:
    truth = np.zeros((8, 8), bool)
    truth[:4] = shown
    probability = np.where(truth, 0.8, 0.1).astype(np.float32)
    sample = Sample(f"{place}", f"{place}.png", set_name, f"{place}", 8, 8, {concept: None}, "val")
    histogram = Histogram.of(probability, truth)
    question = PromptQuery(concept, concept, 0.5, 0.5)
    return PairMeasurement(
        sample, question, 0.9 if shown else 0.1, histogram, histogram.counts(0.5), None, closer
    )


def test_choose_by_kind__a_kind_without_the_concept_chooses_nothing() -> None:
    whole = [pair("crack", number, shown=number % 2 == 0) for number in range(6)]
    choices, closer = choose_by_kind([*whole, pair("crack", 7, shown=False, closer=True)])
    assert (set(choices), set(closer)) == ({"crack"}, set())
    few = [pair("crack", number, shown=True, closer=True) for number in range(FEWEST - 1)]
    assert choose_by_kind([*whole, *few])[1] == {}, "too few photographs to choose by"
    choices, closer = choose_by_kind([*few, pair("crack", 9, shown=True, closer=True)])
    assert (set(choices), set(closer)) == (set(), {"crack"})
    with pytest.raises(DataError, match="no validation photo shows the concept"):
        choose_by_kind([pair("crack", 1, shown=False), pair("crack", 2, shown=False, closer=True)])


def test_choose_by_kind__rendered_pictures_decide_about_closer_views_alone() -> None:
    real = [pair("joint", number, shown=number % 2 == 0) for number in range(6)]
    drawn = [
        replace(pair("joint", number, shown=False, set_name="rendered-phone"), presence=0.95)
        for number in range(6)
    ]
    assert choose_by_kind([*real, *drawn])[0] == choose_by_kind(real)[0]
