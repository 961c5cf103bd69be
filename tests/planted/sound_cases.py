"""Things without a fault, which nobody may accuse; some are merely small, noisy, or not finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from drywallqa.bundle.bundle import DEFAULT
from drywallqa.datasets.dataset import save_dataset
from planted.bundle_cases import diagnosis
from planted.bundles import copy_bundle
from planted.case import Case, sound
from planted.runs import train
from planted.sets import (
    CRACK,
    TAPING,
    change_masks,
    copy_set,
    real,
    render_set,
    rendered,
    shared,
)
from planted.truth_cases import dilate
from planted.weight_cases import state_dict

_UNFINISHED = (
    r"under-?trained",
    r"(too )?few (steps|epochs)",
    r"train(ed)? (for )?longer",
    r"more (steps|epochs)",
    r"too short",
    r"not (finished|trained enough)",
)
_SMALL = (
    r"few photos",
    r"small (data|set|part|val|test)",
    r"more photos",
    r"too few (photos|photographs|pairs)",
)


def _shipped(data: Path) -> list[str]:
    return ["diagnose", str(DEFAULT), "--data", str(data)]


def _noisy(folder: Path) -> Path:
    """Labels as careful people draw them: a few pixels off, a little wider or narrower, each its own way."""

    def wobble(mask: np.ndarray, number: int) -> np.ndarray:
        generator = np.random.default_rng(number)
        moved = np.roll(mask, generator.integers(-2, 3, 2), (0, 1))
        return dilate(moved, int(generator.integers(0, 3)))

    def make(place: Path) -> None:
        data = copy_set(rendered(folder), place / "data")
        change_masks(data, 0.8, wobble)

    return shared(folder, "noisy", make) / "data"


def _one_concept(folder: Path) -> Path:
    """Cracks alone; nothing is known of taping areas."""

    def make(place: Path) -> None:
        data = copy_set(rendered(folder), place / "data")
        samples = [replace(s, labels={CRACK: s.labels[CRACK]}) for s in data]
        concepts = {CRACK: data.concepts[CRACK]}
        save_dataset(replace(data, samples=tuple(samples), concepts=concepts))

    return shared(folder, "one-concept", make) / "data"


def _few(folder: Path) -> Path:
    return shared(folder, "few", lambda place: render_set(place, {"train": 5, "val": 5, "test": 5}, 950_000))


def _without_negatives(folder: Path) -> Path:
    """Photos that show something, each labelled for what it shows and for nothing else."""

    def make(place: Path) -> None:
        data = copy_set(rendered(folder), place / "data")
        samples = [replace(s, labels={c: p for c, p in s.labels.items() if p}) for s in data]
        save_dataset(data.with_samples(s for s in samples if s.labels))

    return shared(folder, "without-negatives", make) / "data"


def _copied_bundle(folder: Path) -> list[str]:
    copy_bundle(folder)
    return diagnosis(folder, "sound")


def _tuned(folder: Path) -> list[str]:
    """A run from the shipped bundle at gentle rates."""
    rates = {"optimisation.encoder_rate": 1e-5, "optimisation.decoder_rate": 3e-5}
    return train(folder, {**rates, "data.photo_scale": [256, 560], "data.window": 128}, tuned=True)


CASES: tuple[Case, ...] = (
    sound(
        "shipped-bundle-rendered", "bundle", "diagnose", lambda f: _shipped(rendered(f)),
        "The shipped bundle on rendered walls that it has not seen.",
    ),
    sound(
        "shipped-bundle-real", "bundle", "diagnose", lambda f: _shipped(real(f)),
        "The shipped bundle on real photos; train is part of what it was trained on, val and test are not.",
    ),
    sound(
        "copied-bundle", "bundle", "diagnose", _copied_bundle, "The shipped bundle at another place.",
    ),
    sound(
        "rendered-data", "data", "audit", lambda f: ["data", "audit", str(rendered(f))],
        "Rendered walls in three parts.", _SMALL,
    ),
    sound(
        "real-data", "data", "audit", lambda f: ["data", "audit", str(real(f))],
        "Real photos, split by photograph; outlines are generous and joints are boxes, as the sets say.",
        _SMALL,
    ),
    sound(
        "few-photos", "data", "audit", lambda f: ["data", "audit", str(_few(f))],
        "Fifteen rendered walls: few, and nothing is wrong with them.", _SMALL,
    ),
    sound(
        "few-photos-diagnosed", "bundle", "diagnose", lambda f: _shipped(_few(f)),
        "The shipped bundle on fifteen rendered walls.", _SMALL,
    ),
    sound(
        "one-concept", "bundle", "diagnose", lambda f: _shipped(_one_concept(f)),
        "The shipped bundle on data that is labelled for cracks only.", (rf"{TAPING}.{{0,60}}(not|no) ",),
    ),
    sound(
        "one-concept-audited", "data", "audit", lambda f: ["data", "audit", str(_one_concept(f))],
        "Data that is labelled for cracks only.", _SMALL,
    ),
    sound(
        "honest-label-noise", "bundle", "diagnose", lambda f: _shipped(_noisy(f)),
        "The shipped bundle on labels that are a few pixels off, each its own way.",
        (r"label noise", r"few pixels"),
    ),
    sound(
        "honest-label-noise-audited", "data", "audit", lambda f: ["data", "audit", str(_noisy(f))],
        "Labels that are a few pixels off, each its own way.", _SMALL,
    ),
    sound(
        "without-negatives", "data", "audit", lambda f: ["data", "audit", str(_without_negatives(f))],
        "Every photo labelled for what it shows; no concept is known to be absent anywhere.",
        (r"negativ", r"absent", *_SMALL),
    ),
    sound(
        "under-trained-run", "run", "diagnose", lambda f: train(f, {"optimisation.epochs": 2}),
        "A run of two dozen steps from nothing, settings as usual: it has learnt nothing yet.", _UNFINISHED,
    ),
    sound(
        "tuned-run", "run", "diagnose", _tuned,
        "The shipped bundle tuned for a dozen gentle steps: as good as before.", _UNFINISHED,
    ),
    sound(
        "shipped-state", "state dict", "diagnose", lambda f: state_dict(f, "sound", lambda state: None),
        "The shipped weights as a plain state dict.", (r"threshold",),
    ),
)  # fmt: skip
