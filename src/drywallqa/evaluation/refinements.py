"""Measure the gain and cost of each mask refinement on validation, and choose the best."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from drywallqa.evaluation.evaluation import MeasuredPart
from drywallqa.evaluation.measure import Evaluator, LabelledPrediction, PairMeasurement, measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel, Progress, choose_prompts, silent
from drywallqa.evaluation.slices import PairSlice, concept_slice
from drywallqa.evaluation.thresholds import best_mask_threshold
from drywallqa.inference.queries import PromptQueries, PromptQuery
from drywallqa.inference.refinement import NOTHING, Refinement, parse_refinements
from drywallqa.intervals import Figure

CANDIDATES = tuple(
    parse_refinements(
        (
            "none", "morphology", "guided", "crf", "join", "morphology+join", "guided+morphology",
            "guided+join", "crf+morphology", "crf+join", "guided+crf", "guided+crf+morphology+join",
        )
    )
)  # fmt: skip
"""Each single step, and combinations in which a later step may correct an earlier step."""

FIGURES = ("IoU", "Dice", "F1 within 3 px", "false alarms")

LEAST_GAIN = 0.005  # smallest gain in mean IoU that is worth a refinement's computing time

EQUAL_GAIN = 0.002  # gains that differ by less count as equal, and the faster refinement wins

Soft = tuple[str, ...]


@dataclass(frozen=True)
class RefinementRow:
    """One refinement of one concept's masks.

    Attributes:
        concept: The concept.
        refinement: The steps applied to the model's output.
        threshold: The mask threshold with the best IoU after the soft steps.
        figures: Figure → its value with interval; see `FIGURES`.
        gains: Figure → gain over no refinement, on the same photographs.
        milliseconds: Mean CPU time of the refinement in ms on one core, over photos with a detected concept.
    """

    concept: str
    refinement: Refinement
    threshold: float
    figures: Mapping[str, Figure]
    gains: Mapping[str, Figure]
    milliseconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON data."""
        return {
            "concept": self.concept,
            "refinement": str(self.refinement),
            "threshold": self.threshold,
            "milliseconds": round(self.milliseconds, 2),
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "gains": {name: figure.to_json() for name, figure in self.gains.items()},
        }


@dataclass
class _Trial:
    """One refinement of one concept's masks, with the measurements collected so far."""

    query: PromptQuery
    pairs: list[PairMeasurement] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def compare_refinements(
    model: MeasuredModel,
    part: MeasuredPart,
    candidates: Sequence[Refinement] = CANDIDATES,
    progress: Progress = silent,
) -> list[RefinementRow]:
    """Measure refinements on the photos of a part; rows are grouped by concept and start with "none".

    A soft step changes how much a model marks at a fixed threshold, which could look like a gain. Therefore
    the mask threshold is chosen again on the same photos, both with the soft steps and without a refinement.
    The presence threshold does not change.

    Args:
        model: The model; the refinements in its bundle are ignored.
        part: Usually the validation part.
        candidates: The refinements to measure; "none" is always added.
        progress: Called with the name of the step, the number of finished photos and the total.

    Raises:
        PhotoError: A photo or mask cannot be read.
        DataError: Model and data share no concept, or no photo shows it.
        BackendError: The model returned NaN or infinite logits.
    """
    prompts, _ = choose_prompts(model, part.dataset)
    wanted = list(dict.fromkeys((NOTHING, *candidates)))
    evaluator = model.evaluator(part.dataset, prompts)
    softs = dict.fromkeys(each.soft for each in wanted)
    thresholds = _best_thresholds(model, prompts, softs, part, progress)
    trials = []
    for query, each in product(evaluator.queries.each, wanted):
        # A concept that no photo shows keeps its threshold, and only its false alarms are counted.
        threshold = thresholds.get((query.concept, each.soft), query.threshold)
        trials.append(_Trial(replace(query.at(threshold), refinement=each)))
    asked = tuple(trial.query for trial in trials)
    # The first query runs twice, because its first prediction includes encoding and decoding.
    evaluator.queries = PromptQueries((asked[0], *asked), evaluator.queries.embeddings)
    thin = evaluator.thin_concepts()
    for done, sample in enumerate(part.dataset, 1):
        _measure(evaluator.predict(sample), evaluator, trials, thin)
        progress("measuring refinements", done, len(part.dataset))
    return list(_rows(trials, part))


def _best_thresholds(
    model: MeasuredModel,
    prompts: Mapping[str, str],
    softs: Collection[Soft],
    part: MeasuredPart,
    progress: Progress,
) -> dict[tuple[str | None, Soft], float]:
    """Choose a mask threshold for each pair of soft steps and concept, if a photo shows the concept."""
    shown = part.dataset.with_samples(
        s for s in part.dataset if any(s.labels.get(c) for c in prompts.values())
    )
    evaluator = model.evaluator(shown, prompts, gated=False)
    each = product(evaluator.queries.each, softs)
    queries = tuple(replace(query, refinement=Refinement(soft=soft)) for query, soft in each)
    evaluator.queries = PromptQueries(queries, evaluator.queries.embeddings)
    pairs: dict[tuple[str | None, Soft], list[PairMeasurement]] = {}
    for pair in measure_pairs(evaluator, lambda done: progress("choosing thresholds", done, len(shown))):
        if not pair.absent:
            pairs.setdefault((pair.concept, pair.query.refinement.soft), []).append(pair)
    return {key: best_mask_threshold(members) for key, members in pairs.items()}


def _measure(
    labelled: LabelledPrediction, evaluator: Evaluator, trials: Sequence[_Trial], thin: Collection[str]
) -> None:
    """Measure one photo in every trial, and the CPU time that each refinement adds."""
    pairs = {pair.query: pair for pair in evaluator.measure(labelled, thin)}
    plain = 0.0
    for trial, spent in zip(trials, labelled.seconds[1:], strict=True):
        plain = plain if trial.query.refinement else spent
        if pair := pairs.get(trial.query):
            trial.pairs.append(pair)
            if pair.is_present(trial.query.presence_threshold):
                trial.seconds.append(max(0.0, spent - plain))


def _rows(trials: Sequence[_Trial], part: MeasuredPart) -> Iterator[RefinementRow]:
    plain: dict[str, PairSlice] = {}
    for trial in trials:
        if trial.pairs:
            query = trial.query
            whole = concept_slice(str(query.concept), trial.pairs, part.clusters)
            gains = whole.less(plain.setdefault(whole.concept, whole))
            figures = whole.figures()
            spent = 1000 * float(np.mean(trial.seconds)) if trial.seconds and query.refinement else 0.0
            yield RefinementRow(
                whole.concept,
                query.refinement,
                query.threshold,
                {name: figures[name] for name in FIGURES if name in figures},
                {name: gains[name] for name in FIGURES if name in gains},
                spent,
            )


def best_refinements(rows: Sequence[RefinementRow]) -> dict[str, RefinementRow]:
    """Choose the best useful refinement of each concept, or "none".

    A useful refinement raises the mean IoU by at least `LEAST_GAIN`, with an interval above 0, and makes no
    other figure significantly worse. Among gains equal within `EQUAL_GAIN`, the fastest refinement wins.
    """
    best = {row.concept: row for row in rows if not row.refinement}
    for concept in best:
        worthy = [row for row in rows if row.concept == concept and row.refinement and _worthy(row)]
        if worthy:
            top = max(row.gains["IoU"].value for row in worthy)
            equal = [row for row in worthy if row.gains["IoU"].value >= top - EQUAL_GAIN]
            best[concept] = min(equal, key=lambda row: row.milliseconds)
    return best


def _worthy(row: RefinementRow) -> bool:
    gain = row.gains.get("IoU")
    if gain is None or not (gain.value >= LEAST_GAIN and gain.low > 0):
        return False
    worse = [row.gains[name].high < 0 for name in ("Dice", "F1 within 3 px") if name in row.gains]
    alarms = row.gains.get("false alarms")
    return not any(worse) and not (alarms and alarms.value > 0)
