"""What each refinement of masks gains and costs on validation, and which one is worth having."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.collect import Look, Looker, PairScore
from drywallqa.evaluation.evaluate import Part, Progress, silent
from drywallqa.evaluation.examine import THIN_CONCEPTS, Pair
from drywallqa.evaluation.figures import Slice, cut
from drywallqa.evaluation.intervals import Figure
from drywallqa.evaluation.subject import Question, Subject, ask
from drywallqa.evaluation.thresholds import best_threshold
from drywallqa.inference.refine import NOTHING, Refinement, parse_all
from drywallqa.metrics import Counts, ThinScore

CANDIDATES = tuple(
    parse_all(
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
class Row:
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
    subject: Subject,
    part: Part,
    candidates: Sequence[Refinement] = CANDIDATES,
    progress: Progress = silent,
) -> list[Row]:
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
    questions, _ = ask(subject, part.dataset)
    concepts = {question.prompt: question.concept for question in questions}
    looker = Looker(subject.backend, subject.window, part.dataset, concepts)
    wanted = list(dict.fromkeys((NOTHING, *candidates)))
    thresholds = _thresholds(looker, questions, wanted, part, progress)
    trials = [_Trial(q, each, thresholds[q.concept, each.soft]) for q in questions for each in wanted]
    for done, sample in enumerate(part.dataset, 1):
        softened = _Softened(looker.look(sample))
        for trial in trials:
            trial.add(softened)
        progress("measuring refinements", done, len(part.dataset))
    return list(_rows(trials, part))


def _thresholds(
    looker: Looker,
    questions: Sequence[Question],
    wanted: Sequence[Refinement],
    part: Part,
    progress: Progress,
) -> dict[tuple[str, Soft], float]:
    """Choose the mask threshold of each concept after each of the soft steps."""
    softs = [Refinement(soft=soft) for soft in dict.fromkeys(each.soft for each in wanted)]
    scores: dict[tuple[str, Soft], list[PairScore]] = {}
    for done, sample in enumerate(part.dataset, 1):
        look = looker.look(sample)
        for question in questions:
            truth = look.truths.get(question.concept)
            if truth is None or not truth.any():
                continue
            for refinement in softs:
                probability = refinement.soften(look.photo, look.probabilities[question.prompt])
                kept = scores.setdefault((question.concept, refinement.soft), [])
                kept.append(look.score(question.prompt, question.concept, probability))
        progress("choosing thresholds", done, len(part.dataset))
    chosen = {key: best_threshold(kept) for key, kept in scores.items()}
    # a concept that no photo shows keeps its threshold: only false alarms are counted of it
    return {
        (q.concept, each.soft): chosen.get((q.concept, each.soft), q.threshold)
        for q in questions
        for each in softs
    }


class _Softened:
    """A look at a photo, whose probabilities every soft step is run on but once."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._known: dict[tuple[str, Soft], tuple[NDArray[np.float32], float]] = {}
        self._scores: dict[str, PairScore] = {}

    def score(self, question: Question) -> PairScore:
        """The pair under a question, before any refinement."""
        if question.prompt not in self._scores:
            self._scores[question.prompt] = self.look.score(question.prompt, question.concept)
        return self._scores[question.prompt]

    def after(self, prompt: str, refinement: Refinement) -> tuple[NDArray[np.float32], float]:
        """The probability after a refinement's soft steps, and the seconds that they took."""
        key = (prompt, refinement.soft)
        if key not in self._known:
            start = time.thread_time()
            probability = refinement.soften(self.look.photo, self.look.probabilities[prompt])
            self._known[key] = probability, time.thread_time() - start
        return self._known[key]


@dataclass
class _Trial:
    """One refinement of one concept's masks, while it is measured."""

    question: Question
    refinement: Refinement
    threshold: float
    pairs: list[Pair] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, softened: _Softened) -> None:
        """Measure one photo."""
        look = softened.look
        truth = look.truths.get(self.question.concept)
        if truth is None:
            return
        prompt = self.question.prompt
        mask = np.zeros(truth.shape, np.bool_)
        if look.presence[prompt] >= self.question.presence_threshold:
            probability, spent = softened.after(prompt, self.refinement)
            mask = probability > np.float32(self.threshold)
            start = time.thread_time()
            mask = self.refinement.harden(probability, mask)
            self.seconds.append(spent + time.thread_time() - start)
        line = self.question.concept in THIN_CONCEPTS and truth.any()
        thin = ThinScore.of(mask, truth) if line else None
        self.pairs.append(Pair(self.question, softened.score(self.question), Counts.of(mask, truth), thin))


def _rows(trials: Sequence[_Trial], part: Part) -> Iterator[Row]:
    plain: dict[str, Slice] = {}
    for trial in trials:
        if not trial.pairs:
            continue
        concept = trial.question.concept
        whole = next(each for each in cut(trial.pairs, part.clusters) if each.kind == "concept")
        first = plain.setdefault(concept, whole)
        spent = 1000 * float(np.mean(trial.seconds)) if trial.seconds else 0.0
        figures, gains = whole.figures(), whole.less(first)
        yield Row(
            concept,
            trial.refinement,
            trial.threshold,
            {name: figures[name] for name in FIGURES if name in figures},
            {name: gains[name] for name in FIGURES if name in gains},
            spent if trial.refinement else 0.0,
        )


def best_refinements(rows: Sequence[Row]) -> dict[str, Row]:
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


def _worthy(row: Row) -> bool:
    gain = row.gains.get("IoU")
    if gain is None or not (gain.value >= LEAST_GAIN and gain.low > 0):
        return False
    worse = [row.gains[name].high < 0 for name in ("Dice", "F1 within 3 px") if name in row.gains]
    alarms = row.gains.get("false alarms")
    return not any(worse) and not (alarms and alarms.value > 0)
