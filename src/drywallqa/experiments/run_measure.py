"""What a run reaches: at the threshold of 0.5 that nobody chose, and at the one chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.collect import Looker, PairScore
from drywallqa.evaluation.examine import Pair
from drywallqa.evaluation.figures import report_iou
from drywallqa.evaluation.subject import Question
from drywallqa.evaluation.summary import summarise
from drywallqa.evaluation.thresholds import choose
from drywallqa.training.opening import OpenedRun, open_run
from drywallqa.training.run_log import clean

FIXED = 0.5
_SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1 where their logarithm is taken."""

Levels = Mapping[str, tuple[float, float]]


def measure_run(run: Path, dataset: Dataset, split: str) -> dict[str, Any]:
    """Measure a run's best weights on a part, thresholds from the val part.

    A run that learnt no belief in presence is measured by its mask alone, as the original report did.

    Args:
        run: The run's folder.
        dataset: With a val part.
        split: The part to measure.

    Returns:
        "measured": a row of figures a threshold rule, as plain data.

    Raises:
        DataError: No val photo shows a concept.
    """
    opened = open_run(run)
    gated = opened.config.optimisation.presence_weight > 0
    prompts = {concept: _prompt(dataset, concept) for concept in opened.text.concepts}
    chosen_on, _ = look_at(opened, dataset.part("val"), prompts)
    scores, loss = look_at(opened, dataset.part(split), prompts)
    fixed = dict.fromkeys(prompts, (FIXED, FIXED if gated else 0.0))
    chosen = {}
    for concept in prompts:
        choice = choose([score for score in chosen_on if score.concept == concept])
        chosen[concept] = (choice.threshold, choice.presence_threshold if gated else 0.0)
    rules = {f"{FIXED}": fixed, "chosen on val": chosen}
    return {"split": split, "loss": loss, "measured": [_figures(scores, n, at) for n, at in rules.items()]}


def _prompt(dataset: Dataset, concept: str) -> str:
    return next(iter(dataset.concepts.get(concept, ())), f"segment {concept}")


def look_at(
    opened: OpenedRun, dataset: Dataset, prompts: Mapping[str, str]
) -> tuple[list[PairScore], float | None]:
    """Score every labelled pair, and average the loss over those that show their concept."""
    concepts = {prompt: concept for concept, prompt in prompts.items()}
    looker = Looker(opened.backend, opened.window, dataset, concepts)
    scores: list[PairScore] = []
    losses: list[float] = []
    for sample in dataset:
        look = looker.look(sample)
        for prompt, concept in concepts.items():
            if concept in look.truths:
                scores.append(look.score(prompt, concept))
                if look.truths[concept].any():
                    losses.append(pair_loss(look.probabilities[prompt], look.truths[concept]))
    return scores, float(np.mean(losses)) if losses else None


def pair_loss(probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """BCE + Dice of a photo [H,W] at its own size: one formula for every recipe, whatever it trained by.

    See `losses.mask_loss` for both. Unlike there, probabilities are cut off at 1e-7.
    """
    p = np.clip(probability.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    cross = -(np.log(p[truth]).sum() + np.log1p(-p[~truth]).sum()) / truth.size
    dice = 1 - (2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1)
    return float(cross + dice)


def _figures(scores: Sequence[PairScore], rule: str, levels: Levels) -> dict[str, Any]:
    """Figures of each concept and their means under one rule."""
    summaries = summarise(scores, levels)
    concepts = {
        concept: clean({**summary.to_json(), "threshold": levels[concept][0], "presence": levels[concept][1]})
        for concept, summary in summaries.items()
    }
    shown = [score for score in scores if not score.absent]
    asked = {s.concept: Question(s.prompt, s.concept, *levels[s.concept]) for s in shown}
    pairs = [Pair(asked[s.concept], s, s.counts(*levels[s.concept])) for s in shown]
    means = {}
    for name in ("iou", "dice", "pixel_accuracy", "background_accuracy", "false_alarm_rate"):
        values = [entry[name] for entry in concepts.values() if entry[name] is not None]
        means[name] = float(np.mean(values)) if values else None
    return {"rule": rule, "concepts": concepts, "means": means, "report_iou": report_iou(pairs)}
