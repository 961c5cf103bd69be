"""What each refinement of masks gains and costs on validation, and which one is worth having."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from drywallqa.datasets.dataset import Sample
from drywallqa.evaluation.evaluation import MeasuredPart
from drywallqa.evaluation.measure import Evaluator, PairMeasurement, measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel, choose_prompts
from drywallqa.evaluation.part_measurements import THIN_CONCEPTS
from drywallqa.evaluation.slices import PairSlice, slice_pairs
from drywallqa.evaluation.threshold_choice import Progress, silent
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
"""Every step alone, and the combinations in which one may mend what another leaves."""

FIGURES = ("IoU", "Dice", "F1 within 3 px", "false alarms")

LEAST_GAIN = 0.005
"""Mean IoU that a refinement has to gain before it is worth its time and its surprises."""

EQUAL_GAIN = 0.002
"""Gains closer than this are equal, and the quicker one wins."""

Soft = tuple[str, ...]


@dataclass(frozen=True)
class RefinementRow:
    """One refinement of one concept's masks.

    Attributes:
        concept: The concept.
        refinement: What followed the model.
        threshold: The mask threshold of best IoU after its soft steps.
        figures: Figure → its value with interval; see `FIGURES`.
        gains: Figure → what it gains over no refinement, on the same photographs.
        milliseconds: Mean processor time, on one core, that it took a photo in which the concept was found.
    """

    concept: str
    refinement: Refinement
    threshold: float
    figures: Mapping[str, Figure]
    gains: Mapping[str, Figure]
    milliseconds: float

    def to_json(self) -> dict[str, Any]:
        """Describe as plain data."""
        return {
            "concept": self.concept,
            "refinement": str(self.refinement),
            "threshold": self.threshold,
            "milliseconds": round(self.milliseconds, 2),
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "gains": {name: figure.to_json() for name, figure in self.gains.items()},
        }


def compare_refinements(
    subject: MeasuredModel,
    part: MeasuredPart,
    candidates: Sequence[Refinement] = CANDIDATES,
    progress: Progress = silent,
) -> list[RefinementRow]:
    """Measure refinements on the photos of a part; each concept's rows follow each other, none first.

    What a model marks more or less of through a soft step would otherwise pass for its worth: so the mask
    threshold is chosen anew after the soft steps, for no refinement as well, on the very same photos. The
    presence threshold stays.

    Args:
        subject: The model; what it refines by itself is left out.
        part: Usually the validation part.
        candidates: What to measure; "none" always is.
        progress: Told how far it is.

    Raises:
        PhotoError: A photo or mask cannot be read.
        DataError: Model and data share no concept, or no photo shows it.
        BackendError: The model gave numbers that are none.
    """
    prompts, _ = choose_prompts(subject, part.dataset)
    wanted = list(dict.fromkeys((NOTHING, *candidates)))
    thresholds = _thresholds(subject, prompts, wanted, part, progress)
    looker = subject.looker(part.dataset, prompts)
    trials = [
        _Trial(replace(question.at(thresholds[str(question.concept), each.soft]), refinement=each))
        for question in looker.questions.each
        for each in wanted
    ]
    asked = tuple(trial.question for trial in trials)
    # The first question is asked twice: its first answer pays for encoding and decoding.
    looker.questions = PromptQueries((asked[0], *asked), looker.questions.embeddings)
    for done, sample in enumerate(part.dataset, 1):
        _measure(looker, sample, trials)
        progress("measuring refinements", done, len(part.dataset))
    return list(_rows(trials, part))


def _thresholds(
    subject: MeasuredModel,
    prompts: Mapping[str, str],
    wanted: Sequence[Refinement],
    part: MeasuredPart,
    progress: Progress,
) -> dict[tuple[str, Soft], float]:
    """Choose the mask threshold of each concept after each of the soft steps."""
    softs = [Refinement(soft=soft) for soft in dict.fromkeys(each.soft for each in wanted)]
    shown = part.dataset.with_samples(
        s for s in part.dataset if any(s.labels.get(c) for c in prompts.values())
    )
    looker = subject.looker(shown, prompts, gated=False)
    asked = looker.questions
    each = tuple(replace(question, refinement=soft) for question in asked.each for soft in softs)
    looker.questions = PromptQueries(each, asked.embeddings)
    pairs: dict[tuple[str, Soft], list[PairMeasurement]] = {}
    for pair in measure_pairs(looker, lambda done: progress("choosing thresholds", done, len(shown))):
        if not pair.absent:
            pairs.setdefault((pair.concept, pair.question.refinement.soft), []).append(pair)
    # a concept that no photo shows keeps its threshold: only false alarms are counted of it
    kept = {(str(q.concept), soft.soft): q.threshold for q in asked.each for soft in softs}
    return kept | {key: best_mask_threshold(members) for key, members in pairs.items()}


@dataclass
class _Trial:
    """One refinement of one concept's masks, while it is measured."""

    question: PromptQuery
    pairs: list[PairMeasurement] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def refinement(self) -> Refinement:
        """The step that follows the model."""
        return self.question.refinement


def _measure(looker: Evaluator, sample: Sample, trials: Sequence[_Trial]) -> None:
    """Measure one photo under every trial, and the processor time by which each outlasts no refinement."""
    look = looker.look(sample)
    pairs = {pair.question: pair for pair in looker.measure(look, THIN_CONCEPTS)}
    plain = 0.0
    for trial, spent in zip(trials, look.seconds[1:], strict=True):
        plain = plain if trial.refinement else spent
        pair = pairs.get(trial.question)
        if pair is not None:
            trial.pairs.append(pair)
            if pair.presence >= trial.question.presence_threshold:
                trial.seconds.append(max(0.0, spent - plain))


def _rows(trials: Sequence[_Trial], part: MeasuredPart) -> Iterator[RefinementRow]:
    plain: dict[str, PairSlice] = {}
    for trial in trials:
        if not trial.pairs:
            continue
        concept = str(trial.question.concept)
        whole = next(each for each in slice_pairs(trial.pairs, part.clusters) if each.kind == "concept")
        first = plain.setdefault(concept, whole)
        spent = 1000 * float(np.mean(trial.seconds)) if trial.seconds else 0.0
        figures, gains = whole.figures(), whole.less(first)
        yield RefinementRow(
            concept,
            trial.refinement,
            trial.question.threshold,
            {name: figures[name] for name in FIGURES if name in figures},
            {name: gains[name] for name in FIGURES if name in gains},
            spent if trial.refinement else 0.0,
        )


def best_refinements(rows: Sequence[RefinementRow]) -> dict[str, RefinementRow]:
    """Say which refinement of each concept is worth having, and "none" where none is.

    It has to gain at least `LEAST_GAIN` mean IoU, with an interval above 0, and no other figure may be worse
    beyond doubt. Of gains that are equal within `EQUAL_GAIN` the quickest wins.
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
