"""Measure the gain and the CPU time of mask refinements on the val split, and choose the best refinement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from drywallqa.evaluation.evaluation import MeasuredPart
from drywallqa.evaluation.measure import PairMeasurement, measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel, Progress, choose_prompts, silent
from drywallqa.evaluation.slices import Clusters, PairSlice, concept_slice
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
"""Every single step, and combinations in which a later step may correct the result of an earlier step."""

FIGURES = ("IoU", "Dice", "F1 within 3 px", "false alarms")

LEAST_GAIN = 0.005  # smallest gain in mean IoU that is worth a refinement's computing time

EQUAL_GAIN = 0.002  # if two gains differ by less, the faster refinement is chosen

Soft = tuple[str, ...]


@dataclass(frozen=True)
class RefinementRow:
    """The metrics of one refinement on the masks of one concept.

    Attributes:
        concept: The concept.
        refinement: The steps that are applied to the model's output.
        threshold: The mask threshold with the best IoU after the soft steps.
        figures: Metric → value with its interval; see `FIGURES`.
        gains: Metric → gain over unrefined masks of the same photos.
        milliseconds: Mean CPU time of the refinement in ms on one core, over photos in which the model
            detects the concept.
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


def compare_refinements(
    model: MeasuredModel,
    part: MeasuredPart,
    candidates: Sequence[Refinement] = CANDIDATES,
    progress: Progress = silent,
) -> list[RefinementRow]:
    """Measure refinements on the photos of a split. The rows are grouped by concept and start with "none".

    A soft step changes the marked area at a fixed threshold, which could look like a gain. Therefore the mask
    threshold is chosen again on the same photos, both with the soft steps and without a refinement. The
    presence threshold does not change.

    Args:
        model: The model. The refinements in its bundle are ignored.
        part: Usually the validation split.
        candidates: The refinements to measure. "none" is always added.
        progress: Called with the name of the step, the number of finished photos and the total.

    Raises:
        PhotoError: A photo or mask cannot be read.
        DataError: Model and data share no concept, or no photo shows a shared concept.
        BackendError: The model returned NaN or infinite logits.
    """
    prompts, _ = choose_prompts(model, part.dataset)
    wanted = list(dict.fromkeys((NOTHING, *candidates)))
    evaluator = model.evaluator(part.dataset, prompts)
    softs = dict.fromkeys(each.soft for each in wanted)
    thresholds = _best_thresholds(model, prompts, softs, part, progress)
    # If no photo shows a concept, the concept keeps its threshold and only its false alarms are counted.
    asked = tuple(
        replace(query.at(thresholds.get((query.concept, each.soft), query.threshold)), refinement=each)
        for query, each in product(evaluator.queries.each, wanted)
    )
    # The first query runs twice, because the time of the first prediction includes encoding and decoding.
    evaluator.queries = PromptQueries((asked[0], *asked), evaluator.queries.embeddings)
    thin = evaluator.thin_concepts()
    pairs: dict[PromptQuery, list[PairMeasurement]] = {query: [] for query in asked}
    seconds: dict[PromptQuery, list[float]] = {query: [] for query in asked}
    for done, sample in enumerate(part.dataset, 1):
        labelled, plain = evaluator.predict(sample), 0.0
        measured = {pair.query: pair for pair in evaluator.measure(labelled, thin)}
        for query, spent in zip(asked, labelled.seconds[1:], strict=True):
            plain = plain if query.refinement else spent
            if pair := measured.get(query):
                pairs[query].append(pair)
                if pair.is_present(query.presence_threshold):
                    seconds[query].append(max(0.0, spent - plain))
        progress("measuring refinements", done, len(part.dataset))
    return list(_rows(pairs, seconds, part.clusters))


def _best_thresholds(
    model: MeasuredModel,
    prompts: Mapping[str, str],
    softs: Collection[Soft],
    part: MeasuredPart,
    progress: Progress,
) -> dict[tuple[str | None, Soft], float]:
    """For each concept that a photo shows, choose the mask threshold after each sequence of soft steps."""
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


def _rows(
    pairs: Mapping[PromptQuery, Sequence[PairMeasurement]],
    seconds: Mapping[PromptQuery, Sequence[float]],
    clusters: Clusters,
) -> Iterator[RefinementRow]:
    plain: dict[str, PairSlice] = {}
    for query, measured in pairs.items():
        if measured:
            whole = concept_slice(str(query.concept), measured, clusters)
            gains = whole.less(plain.setdefault(whole.concept, whole))
            figures = whole.figures()
            spent = seconds[query] if query.refinement else ()
            yield RefinementRow(
                whole.concept,
                query.refinement,
                query.threshold,
                {name: figures[name] for name in FIGURES if name in figures},
                {name: gains[name] for name in FIGURES if name in gains},
                1000 * float(np.mean(spent)) if spent else 0.0,
            )


def best_refinements(rows: Sequence[RefinementRow]) -> dict[str, RefinementRow]:
    """Choose the best useful refinement of each concept, or "none".

    A refinement is useful if it raises the mean IoU by at least `LEAST_GAIN`, the interval of this gain lies
    above 0, and no other metric becomes significantly worse. Of the useful refinements whose gain is within
    `EQUAL_GAIN` of the largest gain, the fastest is chosen.
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
