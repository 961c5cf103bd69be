"""Ask a model about labelled photos as a user would; every figure follows from what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DataError
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries, PromptQuery
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts, Histogram, ThinScore

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PairMeasurement:
    """One photo under one prompt, measured.

    Attributes:
        sample: The photo.
        question: The prompt, its concept and what decides about the mask.
        presence: Probability that the concept is in the photo.
        histogram: Pixels by probability, inside and outside the truth; what curves follow from.
        counts: Confusion counts of the mask that `Segmenter.answer` gave; what figures follow from.
        thin: How well the mask follows a thin truth; None where the truth is empty or no line.
        closer: Whether the photo was also shown in closer views, for which there are other thresholds.
    """

    sample: Sample
    question: PromptQuery
    presence: float
    histogram: Histogram
    counts: Counts
    thin: ThinScore | None = None
    closer: bool = False

    @property
    def concept(self) -> str:
        """The concept that was asked for."""
        return str(self.question.concept)

    @property
    def prompt(self) -> str:
        """The prompt under which it was asked for."""
        return self.question.prompt

    @property
    def photograph(self) -> str:
        """The photograph that copies share, unique over sets."""
        return self.sample.photograph

    @property
    def absent(self) -> bool:
        """Whether the truth is empty."""
        return self.histogram.truth_area == 0

    @property
    def levels(self) -> tuple[float, float]:
        """Mask threshold and presence threshold of its mask."""
        asked = self.question.for_closer_views() if self.closer else self.question
        return asked.threshold, asked.presence_threshold

    def believed(self, presence_threshold: float | None = None) -> bool:
        """Whether presence reaches a threshold; by default the one of its mask."""
        return self.presence >= (self.levels[1] if presence_threshold is None else presence_threshold)

    def counts_at(self, threshold: float | None = None, presence_threshold: float | None = None) -> Counts:
        """Counts of the probability's mask at these thresholds, by default its own: empty if not believed."""
        if not self.believed(presence_threshold):
            return self.histogram.empty_mask()
        return self.histogram.counts(self.levels[0] if threshold is None else threshold)


@dataclass(frozen=True, eq=False)
class LabelledPrediction:
    """One photo with its truths and the model's answers.

    Attributes:
        sample: The photo's entry.
        photo: RGB uint8 [H,W,3].
        truths: Concept → truth [H,W]; only what was asked and is labelled.
        answers: An answer to each question, in their order, with its probability.
        seconds: Processor time of this thread that each answer took; encoding is part of the first.
    """

    sample: Sample
    photo: NDArray[np.uint8]
    truths: Mapping[str, Mask]
    answers: tuple[Prediction, ...]
    seconds: tuple[float, ...] = ()

    @property
    def masks(self) -> dict[str, Mask]:
        """Prompt → mask [H,W]."""
        return {answer.prompt: answer.mask for answer in self.answers}

    @property
    def presence(self) -> dict[str, float]:
        """Prompt → belief in [0,1]."""
        return {answer.prompt: answer.presence for answer in self.answers}

    @property
    def probabilities(self) -> dict[str, NDArray[np.float32]]:
        """Prompt → float32 [H,W]."""
        return {answer.prompt: _probability(answer) for answer in self.answers}


class Evaluator:
    """Shows labelled photos to a segmenter; the one way by which anything is measured.

    Args:
        segmenter: The model, asked as a user asks it.
        dataset: Where photos and truths lie.
        questions: What is asked of each photo.
    """

    def __init__(self, segmenter: Segmenter, dataset: Dataset, questions: PromptQueries) -> None:
        self.segmenter, self.dataset, self.questions = segmenter, dataset, questions

    def look(self, sample: Sample) -> LabelledPrediction:
        """Read a photo and its truths, and ask every question of it.

        Raises:
            PhotoError: Photo or mask cannot be read.
            DataError: Photo, manifest and masks disagree on the size.
            BackendError: The model returned NaN or infinite logits.
        """
        photo = self.dataset.read_photo(sample)
        if photo.shape[:2] != (sample.height, sample.width):
            raise DataError(
                f"{sample.photo}: the photo is {photo.shape[1]}×{photo.shape[0]} px, its truth "
                f"{sample.width}×{sample.height}; import the data set again"
            )
        asked = dict.fromkeys(str(question.concept) for question in self.questions.each)
        truths = {c: self.dataset.read_mask(sample, c) for c in asked if c in sample.labels}
        answers, seconds = [], [time.thread_time()]
        for answer in self.segmenter.answer(photo, self.questions, image_id=sample.image_id):
            answers.append(answer)
            seconds.append(time.thread_time())
        return LabelledPrediction(sample, photo, truths, tuple(answers), tuple(np.diff(seconds).tolist()))

    def measure(self, look: LabelledPrediction, thin: Collection[str] = ()) -> Iterator[PairMeasurement]:
        """Measure every labelled question of a photo.

        Args:
            look: The photo.
            thin: Concepts that are lines, whose masks are also scored as such.
        """
        for question, answer in zip(self.questions.each, look.answers, strict=True):
            truth = look.truths.get(str(question.concept))
            if truth is not None:
                yield _pair(look.sample, question, answer, truth, thin, self._closer(look, question))

    def _closer(self, look: LabelledPrediction, question: PromptQuery) -> bool:
        height, width = look.photo.shape[:2]
        return bool(question.views(height, width, self.segmenter.bundle.window).factors)


def _pair(
    sample: Sample,
    question: PromptQuery,
    answer: Prediction,
    truth: Mask,
    thin: Collection[str],
    closer: bool,
) -> PairMeasurement:
    """Measure one answer against the truth [H,W]."""
    histogram, counts = Histogram.of(_probability(answer), truth), Counts.of(answer.mask, truth)
    line = ThinScore.of(answer.mask, truth) if question.concept in thin and truth.any() else None
    return PairMeasurement(sample, question, answer.presence, histogram, counts, line, closer)


def measure_pairs(
    looker: Evaluator, progress: Callable[[int], None] | None = None
) -> Iterator[PairMeasurement]:
    """Yield every labelled pair of a looker's data set, measured.

    Args:
        looker: The model, the photos and what is asked.
        progress: Called with the number of photos done.

    Raises:
        PhotoError: A photo or mask cannot be read.
        DataError: Photo, manifest and masks disagree on the size.
        BackendError: The model returned NaN or infinite logits.
    """
    for done, sample in enumerate(looker.dataset, 1):
        yield from looker.measure(looker.look(sample))
        if progress:
            progress(done)


def _probability(answer: Prediction) -> NDArray[np.float32]:
    if answer.probability is None:
        raise ValueError(f"{answer!r}: measuring needs the probability, which was not kept")
    return answer.probability
