"""`drywallqa diagnose`, on walls whose cracks are red and whose seams are blue."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import drywallqa.diagnosis.probe
import drywallqa.workflows.diagnose
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.cli import main
from drywallqa.datasets import dataset as datasets
from measured_walls import SIDE, ColourBackend, ColourBundle, make_bundle, make_dataset, resolve


class Bundle(ColourBundle):
    """Understands prompts, too."""

    @property
    def text(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(resolve=resolve, understand=resolve, embed=ColourBackend().encode_prompts)


def bundle_of(folder: Path, **options: Any) -> Bundle:
    made = make_bundle(folder, **options)
    return Bundle(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "data", each=4)
    return tmp_path / "data"


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make the command line load these bundles, by folder; any other folder is the bundled model."""
    known = {"default": bundle_of(tmp_path / "default")}

    def add(change: Any = lambda bundle: bundle, **options: Any) -> Path:
        folder = tmp_path / "bundle"
        known[str(folder)] = change(bundle_of(folder, **options))
        return folder

    def load(path: Path | None = None) -> Bundle:
        return known.get(str(path), known["default"])

    monkeypatch.setattr(drywallqa.workflows.diagnose, "load_bundle", load)
    monkeypatch.setattr(drywallqa.diagnosis.probe, "GRID", SIDE)  # the walls' own size: finer shows no more
    return add


def diagnose(model: Path, data: Path, out: Path) -> tuple[int, list[str]]:
    code = main(["diagnose", str(model), "--data", str(data), "--json", str(out / "found.json")])
    found = json.loads((out / "found.json").read_text(encoding="utf-8"))
    return code, [each["name"] for each in found["findings"]]


def change_masks(data: Path, change: Any) -> None:
    for path in sorted((data / "masks").glob("*.png")):
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)


def test_diagnose__a_sound_model_on_sound_data(data, use, tmp_path, capsys) -> None:
    assert diagnose(use(), data, tmp_path) == (0, [])
    told = capsys.readouterr().out
    assert "verdict: no fault was found" in told
    assert "crack: IoU at thresholds  0.1" in told


def test_diagnose__says_evidence_cause_remedy_and_command(data, use, tmp_path, capsys) -> None:
    change_masks(data, lambda mask: np.roll(mask, (9, 9), (0, 1)))
    code, names = diagnose(use(), data, tmp_path)
    assert (code, names[0]) == (1, "labels-shifted")
    told = capsys.readouterr().out
    for word in ("1. labels-shifted", "evidence: ", "cause:    ", "remedy:   ", "command:  drywallqa"):
        assert word in told


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("labels-turned", lambda mask: mask[:, ::-1]),
        ("labels-inverted", lambda mask: 255 - mask),
        ("masks-range", lambda mask: mask // 255),
        ("masks-empty", lambda mask: mask * 0),
        ("masks-size", lambda mask: mask[::2, ::2]),
    ],
)
def test_diagnose__faults_of_labels(data, use, tmp_path, case: str, change: Any) -> None:
    change_masks(data, change)
    code, names = diagnose(use(), data, tmp_path)
    assert code == 1
    assert names[0] == case


def test_diagnose__exchanged_concepts_in_the_data(data, use, tmp_path) -> None:
    known = datasets.load_dataset(data)
    turned = [
        dataclasses.replace(s, labels=dict(zip(s.labels, reversed(list(s.labels.values())), strict=True)))
        for s in known
    ]
    datasets.save_dataset(known.with_samples(turned))
    assert diagnose(use(), data, tmp_path)[1][0] == "labels-exchanged"


def test_diagnose__a_damaged_file_is_named_first(data, use, tmp_path) -> None:
    model = use()
    (model / "weights.bin").write_bytes(b"others")
    assert diagnose(model, data, tmp_path)[1][0] == "bundle-damaged"


def with_levels(threshold: float, presence: float) -> Any:
    def change(bundle: Bundle) -> Bundle:
        settings = {
            c: ConceptSettings((c,), threshold, presence, bundle.window.size) for c in bundle.concepts
        }
        return dataclasses.replace(bundle, concepts=settings)

    return change


@pytest.mark.parametrize(
    ("case", "threshold", "presence"),
    [
        ("mask-threshold-high", 0.99999, 0.5),
        ("presence-threshold", 0.5, 1.0),
        ("presence-threshold", 0.5, 0.985),  # below the belief in any wall, and above all that is chosen
    ],
)
def test_diagnose__stale_thresholds(
    data, use, tmp_path, case: str, threshold: float, presence: float
) -> None:
    assert diagnose(use(with_levels(threshold, presence)), data, tmp_path)[1][0] == case


def test_diagnose__a_window_that_is_not_that_of_the_thresholds(data, use, tmp_path) -> None:
    model = use(lambda b: dataclasses.replace(b, window=dataclasses.replace(b.window, size=64)))
    assert diagnose(model, data, tmp_path)[1][0] == "window-size"


def test_diagnose__training_photos_in_test(data, use, tmp_path) -> None:
    model = use(trained_on=datasets.load_dataset(data).part("test"))
    assert diagnose(model, data, tmp_path)[1][0] == "trained-on-test"


class Exchanged(ColourBackend):
    """Answers with the other concept."""

    def encode_prompts(self, prompts: Any) -> np.ndarray:
        return super().encode_prompts(prompts)[:, ::-1]


class Doubled(ColourBackend):
    """Gives probabilities for logits."""

    def decode(self, features: Any, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, presence = super().decode(features, embeddings)
        return 1 / (1 + np.exp(-logits)), presence


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        ("prompts-exchanged", Exchanged()),
        ("sigmoid-twice", Doubled()),
        ("weights-not-finite", ColourBackend(broken=tuple(range(999)))),
    ],
)
def test_diagnose__faults_of_the_model(data, use, tmp_path, case: str, backend: Any) -> None:
    code, names = diagnose(use(backend=backend), data, tmp_path)
    assert code == 1
    assert names[0] == case


def test_diagnose__what_is_no_model_or_no_data_is_refused(data, use, tmp_path, capsys) -> None:
    assert main(["diagnose", str(tmp_path / "nothing"), "--data", str(data)]) == 2
    assert "neither a bundle" in capsys.readouterr().err
    assert main(["diagnose", str(use()), "--data", str(tmp_path / "nothing")]) == 3
