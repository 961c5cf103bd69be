"""Thresholds chosen on validation: photos shown whole and large photos decide about their own kind."""

from dataclasses import replace
from pathlib import Path

import pytest

from drywallqa.bundle.bundle import load_bundle, save_head
from drywallqa.evaluation.choosing import Chosen, choose_on_validation
from drywallqa.evaluation.subject import open_bundle
from drywallqa.exporting.card import render_card
from drywallqa.reports.evaluating import store_thresholds
from drywallqa.window import Window
from measured_walls import SIDE, make_bundle, make_dataset


def choose(tmp_path: Path, window: int) -> Chosen:
    made = make_bundle(tmp_path / "bundle")
    concepts = {name: replace(each, native=name == "crack") for name, each in made.concepts.items()}
    bundle = save_head(replace(made, window=Window(window, multiple=8), concepts=concepts))
    subject = open_bundle(replace(made, window=bundle.window, concepts=concepts, files=bundle.files))
    return choose_on_validation(subject, make_dataset(tmp_path / "data"))


def test_choose__small_photos_decide_about_photos_shown_whole(tmp_path: Path) -> None:
    chosen = choose(tmp_path, SIDE)
    assert set(chosen.choices) == {"crack", "taping area"}
    assert not chosen.closer
    assert chosen.subject.closer == {}


def test_choose__large_photos_decide_about_closer_views_and_are_stored(tmp_path: Path) -> None:
    chosen = choose(tmp_path, 32)
    assert (set(chosen.choices), set(chosen.closer)) == ({"taping area"}, {"crack"})
    crack = chosen.closer["crack"]
    assert crack.iou > 0.5
    assert chosen.subject.levels["crack"] == (0.5, 0.5), "what was chosen for photos shown whole stays"
    assert chosen.subject.closer["crack"] == (crack.threshold, crack.presence_threshold)
    stored = load_bundle(tmp_path / "bundle")
    save_head(store_thresholds(stored, chosen))
    kept = load_bundle(tmp_path / "bundle").concepts
    assert kept["crack"].closer == pytest.approx((crack.threshold, crack.presence_threshold))
    assert kept["taping area"].closer is None
    assert f"| crack, large photos | {crack.threshold:.3f} |" in render_card(load_bundle(tmp_path / "bundle"))
