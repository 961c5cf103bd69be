"""Look at every photo of a part under every question once, and keep what all figures follow from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import BackendError, DataError, PhotoError
from drywallqa.evaluation.collect import Look, Looker, Mask, PairScore
from drywallqa.evaluation.subject import Question, Subject
from drywallqa.inference.refine import Refinement
from drywallqa.metrics import Counts, ThinScore

THIN_CONCEPTS = ("crack",)
"""Concepts that are lines: for them clDice, tolerant F1 and width classes are measured."""


@dataclass(frozen=True, eq=False)
class View(Look):
    """A look with the masks that ship.

    Attributes:
        masks: Prompt → mask [H,W] at the question's thresholds, refined as the question says.
    """

    masks: Mapping[str, Mask]


@dataclass(frozen=True)
class Pair:
    """One photo under one prompt, measured.

    Attributes:
        question: The prompt with its thresholds.
        score: Histogram, presence, photo.
        counts: Confusion counts of the mask that ships.
        thin: How well it follows a thin truth; None where the truth is empty or no line.
    """

    question: Question
    score: PairScore
    counts: Counts
    thin: ThinScore | None = None


@dataclass
class Examination:
    """Everything measured of one model on one part.

    Attributes:
        pairs: Measured pairs in the data set's order.
        regions: Truth ("crack", …, "background") → what was marked → pixels.
        skipped: What could not be measured: (photo, reason).
    """

    pairs: list[Pair] = field(default_factory=list)
    regions: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def key_of(sample: Sample) -> str:
    """Name a photo uniquely within its data set."""
    return f"{sample.set_name}/{sample.image_id}"


class Examiner:
    """Shows a data set's photos to a model, and draws the masks that it would ship.

    Args:
        subject: The model.
        dataset: Where the photos lie.
        questions: What is asked of each.
    """

    def __init__(self, subject: Subject, dataset: Dataset, questions: Sequence[Question]) -> None:
        self.subject, self.dataset, self.questions = subject, dataset, tuple(questions)
        concepts = {question.prompt: question.concept for question in questions}
        self._refinements = {q.concept: Refinement.parse(q.refine) for q in questions}
        self._looker = Looker(subject.backend, subject.window, dataset, concepts, self._refinements)

    def look(self, sample: Sample) -> View:
        """Ask every question of a photo; see `Looker.look` for errors."""
        look = self._looker.look(sample)
        masks = {question.prompt: self._mask(look, question) for question in self.questions}
        return View(look.sample, look.photo, look.truths, look.probabilities, look.presence, masks)

    def _mask(self, look: Look, question: Question) -> Mask:
        probability = look.probabilities[question.prompt]
        if look.presence[question.prompt] < question.presence_threshold:
            return np.zeros(probability.shape, np.bool_)
        mask = probability > np.float32(question.threshold)
        return self._refinements[question.concept].harden(probability, mask)

    def measure(self, view: View) -> list[Pair]:
        """Measure every labelled question of a photo."""
        found = []
        for question in self.questions:
            truth = view.truths.get(question.concept)
            if truth is None:
                continue
            mask, score = view.masks[question.prompt], view.score(question.prompt, question.concept)
            line = question.concept in THIN_CONCEPTS and truth.any()
            found.append(
                Pair(question, score, Counts.of(mask, truth), ThinScore.of(mask, truth) if line else None)
            )
        return found


def examine(examiner: Examiner, progress: Callable[[int], None] | None = None) -> Examination:
    """Measure every photo of the examiner's data set; what cannot be measured is skipped and counted.

    Args:
        examiner: Model, photos and questions.
        progress: Called with the number of photos done.

    Raises:
        DataError: Not one photo could be measured; the message gives the first reason.
    """
    result = Examination()
    for done, sample in enumerate(examiner.dataset, 1):
        try:
            view = examiner.look(sample)
        except (PhotoError, DataError, BackendError) as error:
            result.skipped.append((sample.photo, str(error)))
        else:
            result.pairs += examiner.measure(view)
            _count_regions(result.regions, view, examiner.questions)
        if progress:
            progress(done)
    if not result.pairs:
        reason = result.skipped[0][1] if result.skipped else "no photo is labelled for these prompts"
        raise DataError(f"{examiner.dataset.folder}: no photo could be measured; the first: {reason}")
    return result


def _count_regions(regions: dict[str, dict[str, int]], view: View, questions: Sequence[Question]) -> None:
    """Count for the pixels of each truth, and of the background, which concepts they were marked as."""
    first = {q.concept: q.prompt for q in reversed(questions)}
    if set(first) - set(view.truths):
        return  # where a concept was not labelled nobody knows what is background
    concepts = list(dict.fromkeys(q.concept for q in questions))
    masks = np.stack([view.masks[first[c]] for c in concepts])
    # 0 nothing, 1… one concept alone, len + 1 several
    total = masks.sum(axis=0, dtype=np.int64)
    weights = np.arange(1, len(concepts) + 1)
    marked = np.where(total > 1, len(concepts) + 1, np.tensordot(weights, masks.astype(np.int64), 1))
    truths = {**view.truths, "background": ~np.any(list(view.truths.values()), axis=0)}
    names = ["nothing", *concepts, "several"]
    for name, truth in truths.items():
        counts = np.bincount(marked[truth], minlength=len(names))
        row = regions.setdefault(name, dict.fromkeys(names, 0))
        for column, count in zip(names, counts.tolist(), strict=True):
            row[column] += count
