"""What a run reaches: at the threshold of 0.5 that nobody chose, and at the one chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset
from drywallqa.evaluation.measure import PairMeasurement, measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel, Thresholds
from drywallqa.evaluation.slices import report_iou, summarise
from drywallqa.evaluation.thresholds import choose_for_concept
from drywallqa.inference.queries import PromptQueries
from drywallqa.training.open_run import open_run
from drywallqa.training.run_log import finite_figures

FIXED = 0.5
_SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1 where their logarithm is taken."""


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
    subject = MeasuredModel(f"run {run.name}", run, opened.segmenter)
    gated = opened.config.optimisation.presence_weight > 0
    prompts = {_prompt(dataset, concept): concept for concept in opened.text.concepts}
    fixed = dict.fromkeys(prompts.values(), (FIXED, FIXED if gated else 0.0))
    chosen = {}
    validated = list(measure_pairs(subject.evaluator(dataset.part("val"), prompts, gated=False)))
    for concept in prompts.values():
        choice = choose_for_concept([pair for pair in validated if pair.concept == concept])
        chosen[concept] = (choice.threshold, choice.presence_threshold if gated else 0.0)
    rules = {f"{FIXED}": fixed, "chosen on val": chosen}
    pairs, loss = look_at(subject, dataset.part(split), prompts, list(rules.values()))
    measured = [_figures(own, name, at) for (name, at), own in zip(rules.items(), pairs, strict=True)]
    return {"split": split, "loss": loss, "measured": measured}


def _prompt(dataset: Dataset, concept: str) -> str:
    return next(iter(dataset.concepts.get(concept, ())), f"segment {concept}")


def look_at(
    subject: MeasuredModel, dataset: Dataset, prompts: Mapping[str, str], rules: Sequence[Thresholds]
) -> tuple[list[list[PairMeasurement]], float | None]:
    """Measure every labelled pair under each rule, and average the loss over those that show their concept.

    Args:
        subject: The model.
        dataset: The photos.
        prompts: Prompt → concept.
        rules: Thresholds; each photo is shown once.
    """
    evaluator = subject.evaluator(dataset, prompts)
    asked = evaluator.queries
    each = [
        replace(question, threshold=at[0], presence_threshold=at[1])
        for rule in rules
        for question in asked.each
        for at in [rule[str(question.concept)]]
    ]
    evaluator.queries = PromptQueries(tuple(each), asked.embeddings)
    pairs: list[list[PairMeasurement]] = [[] for _ in rules]
    losses: list[float] = []
    for sample in dataset:
        look = evaluator.predict(sample)
        measured = list(evaluator.measure(look))
        for place, own in enumerate(pairs):
            share = len(measured) // len(rules)
            own += measured[place * share : (place + 1) * share]
        probabilities = look.probabilities
        losses += [
            pair_loss(probabilities[prompt], look.truths[concept])
            for prompt, concept in prompts.items()
            if concept in look.truths and look.truths[concept].any()
        ]
    return pairs, float(np.mean(losses)) if losses else None


def pair_loss(probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """BCE + Dice of a photo [H,W] at its own size: one formula for every recipe, whatever it trained by.

    See `losses.mask_loss` for both. Unlike there, probabilities are cut off at 1e-7.
    """
    p = np.clip(probability.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    cross = -(np.log(p[truth]).sum() + np.log1p(-p[~truth]).sum()) / truth.size
    dice = 1 - (2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1)
    return float(cross + dice)


def _figures(pairs: Sequence[PairMeasurement], rule: str, levels: Thresholds) -> dict[str, Any]:
    """Figures of each concept and their means under one rule."""
    concepts = {
        concept: finite_figures(
            {**summary.to_json(), "threshold": levels[concept][0], "presence": levels[concept][1]}
        )
        for concept, summary in summarise(pairs, list(levels)).items()
    }
    means = {}
    for name in ("iou", "dice", "pixel_accuracy", "background_accuracy", "false_alarm_rate"):
        values = [entry[name] for entry in concepts.values() if entry[name] is not None]
        means[name] = float(np.mean(values)) if values else None
    shown = [pair for pair in pairs if not pair.absent]
    return {"rule": rule, "concepts": concepts, "means": means, "report_iou": report_iou(shown)}
