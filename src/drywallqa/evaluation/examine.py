"""Look at every photo of a part under every question once, and keep what all figures follow from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import BackendError, DataError, PhotoError
from drywallqa.evaluation.collect import PairScore
from drywallqa.evaluation.subject import Question, Subject
from drywallqa.metrics import Counts, Histogram, ThinScore
from drywallqa.window import sigmoid

THIN_CONCEPTS = ("crack",)
"""Concepts that are lines: for them clDice, tolerant F1 and width classes are measured."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class View:
    """One photo with its truths and the model's answers, as arrays of the photo's size.

    Attributes:
        sample: The photo's entry.
        photo: RGB uint8 [H,W,3].
        truths: Concept → truth [H,W]; only what was labelled.
        probabilities: Prompt → float32 [H,W].
        presence: Prompt → belief in [0,1].
        masks: Prompt → mask [H,W] at the question's thresholds.
    """

    sample: Sample
    photo: NDArray[np.uint8]
    truths: Mapping[str, Mask]
    probabilities: Mapping[str, NDArray[np.float32]]
    presence: Mapping[str, float]
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
    """Shows a data set's photos to a model.

    Args:
        subject: The model.
        dataset: Where the photos lie.
        questions: What is asked of each.
    """

    def __init__(self, subject: Subject, dataset: Dataset, questions: Sequence[Question]) -> None:
        self.subject, self.dataset, self.questions = subject, dataset, tuple(questions)
        self._embeddings = subject.backend.encode_prompts([q.prompt for q in questions])

    def look(self, sample: Sample) -> View:
        """Read a photo and its truths, and ask every question of it.

        Raises:
            PhotoError: Photo or mask cannot be read.
            DataError: Photo, manifest and masks disagree on the size.
            BackendError: The model gave numbers that are none.
        """
        photo = self.dataset.read_photo(sample)
        if photo.shape[:2] != (sample.height, sample.width):
            raise DataError(
                f"{sample.photo}: the photo is {photo.shape[1]}×{photo.shape[0]} px, its truth "
                f"{sample.width}×{sample.height}; import the data set again"
            )
        asked = dict.fromkeys(q.concept for q in self.questions if q.concept in sample.labels)
        truths = {concept: self.dataset.read_mask(sample, concept) for concept in asked}
        image, placement = self.subject.window.fit(photo)
        backend = self.subject.backend
        logits, presence = backend.decode(backend.encode_image(image[None]), self._embeddings)
        if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
            raise BackendError(f"{sample.photo}: the model gave numbers that are none (nan or infinite)")
        beliefs = sigmoid(presence[0])
        probabilities, masks, present = {}, {}, {}
        for row, question in enumerate(self.questions):
            probability = sigmoid(placement.restore(logits[0, row]))
            seen = float(beliefs[row]) >= question.presence_threshold
            mask = probability > np.float32(question.threshold)
            probabilities[question.prompt] = probability
            present[question.prompt] = float(beliefs[row])
            masks[question.prompt] = mask if seen else np.zeros_like(mask)
        return View(sample, photo, truths, probabilities, present, masks)

    def measure(self, view: View) -> list[Pair]:
        """Measure every labelled question of a photo."""
        found = []
        for question in self.questions:
            truth = view.truths.get(question.concept)
            if truth is None:
                continue
            mask = view.masks[question.prompt]
            histogram = Histogram.of(view.probabilities[question.prompt], truth)
            presence = view.presence[question.prompt]
            score = PairScore(view.sample, question.concept, question.prompt, presence, histogram)
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
