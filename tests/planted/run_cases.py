"""Faults of runs: what is not trained, not kept, or trained with settings that cannot work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from planted.case import Case, Severity, three
from planted.runs import edit_weights, frozen, made_in_forward, made_late, outside_optimizer, train
from planted.weight_cases import fresh

PROJECTIONS = ("decoder.prompt", *(f"decoder.scales.{level}.film" for level in range(4)))
_PARTS = (PROJECTIONS, ("decoder",), ("decoder", "neck"))


def _frozen(folder: Path, severity: Severity, parts: Sequence[str]) -> list[str]:
    with frozen(parts):
        return train(folder)


def _left_out(folder: Path, severity: Severity, parts: Sequence[str]) -> list[str]:
    with outside_optimizer(parts):
        return train(folder)


def _not_kept(folder: Path, severity: Severity, form: str) -> list[str]:
    """The three forms of the report's mistake: made after the optimizer, not saved, made in every call."""
    if form == "late":
        with made_late():  # the average takes the layers over where it is a copy, while the rate warms up
            return train(folder, {"optimisation.warmup_share": 0.5})
    if form == "every call":
        with made_in_forward():
            return train(folder)
    command = train(folder)

    edit_weights(folder, lambda name, _, value: None if name.startswith(PROJECTIONS) else value)
    return command


def _with(
    settings: Callable[[Any], Mapping[str, Any]], tuned: bool = True
) -> Callable[[Path, Severity, Any], list[str]]:
    def make(folder: Path, severity: Severity, value: Any) -> list[str]:
        return train(folder, settings(value), tuned=tuned)

    return make


def _rates(value: float) -> dict[str, Any]:
    return {"optimisation.encoder_rate": value, "optimisation.decoder_rate": value}


def _positive(value: float) -> dict[str, Any]:
    return {"loss.name": "weighted_bce_dice", "loss.pos_weight": value, "optimisation.epochs": 2}


def _small_photos(value: Sequence[float]) -> dict[str, Any]:
    return {"data.photo_scale": list(value), "validation_window": 384}


def _slow_average(folder: Path, severity: Severity, value: tuple[float, float]) -> list[str]:
    """The averaged weights, which ship, are still near the random start when the run ends."""
    import torch

    decay, share = value
    command = train(folder, {"optimisation.average_decay": decay, **_rates(1e-6)}, tuned=True)

    def stay(name: str, averaged: bool, now: Any) -> Any:
        if not averaged or not name.startswith("decoder") or now.dim() < 2:
            return now
        start = torch.from_numpy(fresh(now.float().numpy().reshape(len(now), -1))).reshape(now.shape)
        return (share * start + (1 - share) * now).to(now.dtype)

    edit_weights(folder, stay)
    return command


CASES: tuple[Case, ...] = (
    *three(
        "frozen-decoder",
        "run",
        "diagnose",
        _frozen,
        _PARTS,
        "Parts that start at random were frozen, so they were never trained.",
        (r"frozen", r"freez", r"requires_grad", r"not trainable"),
    ),
    *three(
        "outside-the-optimizer",
        "run",
        "diagnose",
        _left_out,
        (("decoder.presence",), PROJECTIONS, ("decoder", "neck")),
        "Trainable parts were not given to the optimizer, so they were never trained.",
        (r"optimi[sz]er", r"never (updated|stepped)"),
    ),
    *three(
        "projections-not-kept",
        "run",
        "diagnose",
        _not_kept,
        ("late", "not saved", "every call"),
        "The layers that bring the prompt in were made after the optimizer, in every call, or not saved.",
        (
            r"made (anew )?(in|late|after|during)",
            r"forward",
            r"optimi[sz]er",
            r"not (saved|kept|in the)",
            r"missing",
            r"lack",
            r"saved state",
        ),
    ),
    *three(
        "rate-too-high",
        "run",
        "diagnose",
        _with(_rates),
        (0.03, 0.3, 30.0),
        "The learning rate is far too high: steps destroy the weights.",
        (
            r"rates?\b.{0,40}(high|large)",
            r"(high|large).{0,20}\brates?\b",
            r"diverg",
            r"steps? (are |is )?too large",
        ),
    ),
    *three(
        "rate-too-low",
        "run",
        "diagnose",
        _with(_rates, tuned=False),
        (1e-6, 1e-8, 1e-12),
        "The learning rate is far too low: the weights hardly left their random start.",
        (
            r"rates?\b.{0,40}(low|small)",
            r"(low|small).{0,20}\brates?\b",
            r"hardly (moved|changed)",
            r"too small steps",
        ),
    ),
    *three(
        "foreground-weight-too-high",
        "run",
        "diagnose",
        _with(_positive),
        (15.0, 150.0, 10000.0),
        "Foreground weighs far too much in the loss, so that far too much is marked.",
        (r"pos_weight", r"foreground.{0,30}weigh", r"weight.{0,30}foreground", r"positive weight"),
    ),
    *three(
        "trained-at-another-scale",
        "run",
        "diagnose",
        _with(_small_photos),
        ((160, 200), (80, 100), (44, 56)),
        "Photos were shown in training at a fraction of the scale at which the model is validated and used.",
        (
            r"\bscale",
            r"resolution",
            r"window.{0,60}(train|larger|smaller)",
            r"photo_scale",
            r"size of (the )?photos",
        ),
    ),
    *three(
        "noisy-phrases",
        "run",
        "diagnose",
        _with(lambda value: {"data.phrase_jitter": value, **_rates(1e-3)}),
        (0.4, 1.5, 10.0),
        "So much noise was added to the prompts' embeddings that training could not tell prompts apart.",
        (r"jitter", r"noise", r"prompts?.{0,40}(apart|ignored|alike)"),
    ),
    *three(
        "average-too-slow",
        "run",
        "diagnose",
        _slow_average,
        ((0.9995, 0.5), (0.9999, 0.8), (0.99999, 1.0)),
        "The average of weights, which ships, is too slow for so short a run: still near its random start.",
        (r"averag", r"\bema\b", r"decay"),
    ),
)
