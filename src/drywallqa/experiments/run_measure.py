"""Measures a run at a fixed threshold of 0.5, and at thresholds chosen on the val split."""

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
from drywallqa.training.config import load_config
from drywallqa.training.open_run import open_run
from drywallqa.training.run_folder import CONFIG
from drywallqa.training.run_log import finite_figures

FIXED = 0.5
_SMALLEST = 1e-7  # probabilities are clipped to [1e-7, 1 - 1e-7] before taking logarithms


def measure_run(run: Path, dataset: Dataset, split: str) -> dict[str, Any]:
    """Measure a run's best weights on a split, at threshold 0.5 and at thresholds chosen on val.

    If the run does not train presence, its masks do not depend on presence.

    Args:
        run: The run's folder.
        dataset: A data set with a val split.
        split: The split to measure.

    Returns:
        JSON data with the keys "split", "loss" and "measured". The value of "measured" lists the metrics for
        each threshold rule.

    Raises:
        DataError: A concept does not appear in any photo of the val split.
    """
    model = open_run(run)
    gated = load_config(run / CONFIG).optimisation.presence_weight > 0
    prompts = {
        next(iter(dataset.concepts.get(concept, ())), f"segment {concept}"): concept
        for concept in model.thresholds
    }
    validated = list(measure_pairs(model.evaluator(dataset.part("val"), prompts, gated=False)))
    fixed, chosen = {}, {}
    for concept in prompts.values():
        choice = choose_for_concept([pair for pair in validated if pair.concept == concept])
        fixed[concept] = (FIXED, FIXED if gated else 0.0)
        chosen[concept] = (choice.threshold, choice.presence_threshold if gated else 0.0)
    rules = {f"{FIXED}": fixed, "chosen on val": chosen}
    pairs, loss = _measure_part(model, dataset.part(split), prompts, list(rules.values()))
    measured = [_figures(own, name, at) for (name, at), own in zip(rules.items(), pairs, strict=True)]
    return {"split": split, "loss": loss, "measured": measured}


def _measure_part(
    model: MeasuredModel, dataset: Dataset, prompts: Mapping[str, str], rules: Sequence[Thresholds]
) -> tuple[list[list[PairMeasurement]], float | None]:
    """Measure every labelled photo-prompt pair with each rule, and average the loss over non-empty truths.

    Args:
        model: The model. It encodes each photo only once for all rules.
        dataset: The photos.
        prompts: Prompt → concept.
        rules: The thresholds of each rule.
    """
    evaluator = model.evaluator(dataset, prompts)
    queries = evaluator.queries
    each = [
        replace(query, threshold=threshold, presence_threshold=presence)
        for rule in rules
        for query in queries.each
        for threshold, presence in [rule[str(query.concept)]]
    ]
    evaluator.queries = PromptQueries(tuple(each), queries.embeddings)
    pairs: list[list[PairMeasurement]] = [[] for _ in rules]
    losses: list[float] = []
    for sample in dataset:
        shown = evaluator.predict(sample)
        measured = list(evaluator.measure(shown))
        share = len(measured) // len(rules)
        for place, own in enumerate(pairs):
            own += measured[place * share : (place + 1) * share]
        probabilities = shown.probabilities
        for prompt, concept in prompts.items():
            if concept in shown.truths and shown.truths[concept].any():
                maps = probabilities[prompt], shown.truths[concept]
                losses.append(pair_loss(*shown.known_pixels(concept, *maps)))
    return pairs, float(np.mean(losses)) if losses else None


def pair_loss(probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Return the BCE + Dice loss of a photo at its original size [H,W].

    This loss makes it possible to compare recipes that train with different losses. The formulas are the same
    as in `losses.mask_loss`, but the probabilities are clipped to [1e-7, 1 - 1e-7].
    """
    p = np.clip(probability.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    cross = -(np.log(p[truth]).sum() + np.log1p(-p[~truth]).sum()) / truth.size
    dice = 1 - (2 * p[truth].sum() + 1) / (p.sum() + truth.sum() + 1)
    return float(cross + dice)


def _figures(pairs: Sequence[PairMeasurement], rule: str, levels: Thresholds) -> dict[str, Any]:
    """Return the metrics of each concept at a rule's thresholds, and their means over concepts."""
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
