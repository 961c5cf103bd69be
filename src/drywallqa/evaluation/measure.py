"""Run a model on labelled photos as `drywallqa segment` does, and store the counts for all metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.thinness import is_thin
from drywallqa.errors import BackendError, DataError, PhotoError
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries, PromptQuery
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts, Histogram, ThinScore

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PairMeasurement:
    """The measurement of one photo and one prompt.

    Attributes:
        sample: The photo.
        query: The prompt, its concept and its thresholds.
        presence: Probability that the concept is in the photo.
        histogram: Pixel counts by probability, inside and outside the ground truth, for threshold curves.
        counts: Confusion counts of the mask from `Segmenter.answer`, for all other metrics.
        thin: Score of the mask against a thin ground truth; None if the ground truth is empty or not thin.
        closer: Whether the model also saw the photo in closer views. These photos have separate thresholds.
    """

    sample: Sample
    query: PromptQuery
    presence: float
    histogram: Histogram
    counts: Counts
    thin: ThinScore | None = None
    closer: bool = False

    @property
    def concept(self) -> str:
        """The concept of the prompt."""
        return str(self.query.concept)

    @property
    def prompt(self) -> str:
        """The prompt."""
        return self.query.prompt

    @property
    def photograph(self) -> str:
        """Name of the source photo, which is unique across sets and the same for all its copies."""
        return self.sample.photograph

    @property
    def absent(self) -> bool:
        """Whether the ground truth is empty."""
        return self.histogram.truth_area == 0

    @property
    def thresholds(self) -> tuple[float, float]:
        """The mask threshold and the presence threshold that were used for the mask."""
        query = self.query.for_closer_views() if self.closer else self.query
        return query.threshold, query.presence_threshold

    def is_present(self, presence_threshold: float | None = None) -> bool:
        """Return whether presence reaches a threshold, by default the threshold used for the mask."""
        return self.presence >= (self.thresholds[1] if presence_threshold is None else presence_threshold)

    def counts_at(self, threshold: float | None = None, presence_threshold: float | None = None) -> Counts:
        """Return the counts at other thresholds. None keeps a threshold. Low presence empties the mask."""
        if not self.is_present(presence_threshold):
            return self.histogram.empty_mask()
        return self.histogram.counts(self.thresholds[0] if threshold is None else threshold)


@dataclass(frozen=True, eq=False)
class LabelledPrediction:
    """One photo with its ground-truth masks and the model's predictions.

    Attributes:
        sample: The photo's entry in the data set.
        photo: RGB uint8 [H,W,3].
        truths: Concept → ground-truth mask [H,W], for concepts that have both a query and a label.
        predictions: The prediction for each query, in the order of the queries, with probabilities.
        seconds: Thread CPU time in s of each prediction. The first value includes the time to encode the
            photo.
        ignored: Concept → pixels [H,W] that nobody labelled. No figure uses them.
    """

    sample: Sample
    photo: NDArray[np.uint8]
    truths: Mapping[str, Mask]
    predictions: tuple[Prediction, ...]
    seconds: tuple[float, ...] = ()
    ignored: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def masks(self) -> dict[str, Mask]:
        """Prompt → mask [H,W]."""
        return {each.prompt: each.mask for each in self.predictions}

    def known_masks(self, prompt: str, concept: str) -> tuple[Mask, Mask]:
        """Return the mask [H,W] of a prompt and the truth of its concept, without pixels nobody labelled."""
        mask, truth = self.masks[prompt], self.truths[concept]
        ignored = self.ignored.get(concept)
        return (mask, truth) if ignored is None else (mask & ~ignored, truth & ~ignored)

    def known_pixels(self, concept: str, *maps: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Select the labelled pixels [N] of maps [H,W]; return whole maps if all pixels are labelled."""
        ignored = self.ignored.get(concept)
        return maps if ignored is None else tuple(each[~ignored] for each in maps)

    @property
    def probabilities(self) -> dict[str, NDArray[np.float32]]:
        """Prompt → probability map, float32 [H,W]."""
        return {each.prompt: each.probability for each in self.predictions if each.probability is not None}


class Evaluator:
    """Runs a segmenter on labelled photos; all measurements use this class.

    Args:
        segmenter: The model with the settings for segmentation.
        dataset: The photos and their ground-truth masks.
        queries: The prompts that the model answers for each photo.
    """

    def __init__(self, segmenter: Segmenter, dataset: Dataset, queries: PromptQueries) -> None:
        self.segmenter, self.dataset, self.queries = segmenter, dataset, queries

    def thin_concepts(self) -> set[str]:
        """Return the queried concepts that are thin according to the model or to the data set's masks."""
        native = {str(query.concept): query.native for query in self.queries.each}
        return {concept for concept in native if native[concept] or is_thin(self.dataset, concept)}

    def predict(self, sample: Sample) -> LabelledPrediction:
        """Read a photo and its ground-truth masks, and predict a mask for every query.

        Raises:
            PhotoError: The photo or a mask cannot be read.
            DataError: The photo's size differs from the size of its masks or from the size in the manifest.
            BackendError: The model returned NaN or infinite logits.
        """
        photo = self.dataset.read_photo(sample)
        if photo.shape[:2] != (sample.height, sample.width):
            raise DataError(
                f"{sample.photo}: the photo has {photo.shape[1]}×{photo.shape[0]} px, but its ground "
                f"truth has {sample.width}×{sample.height} px; import the data set again"
            )
        concepts = dict.fromkeys(str(query.concept) for query in self.queries.each)
        truths = {c: self.dataset.read_mask(sample, c) for c in concepts if c in sample.labels}
        ignored = {c: pixels for c in truths if (pixels := self.dataset.read_ignored(sample, c)) is not None}
        predictions, times = [], [time.thread_time()]
        for each in self.segmenter.answer(photo, self.queries, image_id=sample.image_id):
            predictions.append(each)
            times.append(time.thread_time())
        seconds = tuple(np.diff(times).tolist())
        return LabelledPrediction(sample, photo, truths, tuple(predictions), seconds, ignored)

    def measure(self, labelled: LabelledPrediction, thin: Collection[str] = ()) -> Iterator[PairMeasurement]:
        """Measure a photo for every query whose concept is labelled.

        Args:
            labelled: The photo with its predictions.
            thin: Concepts whose masks also get a `ThinScore`.
        """
        height, width = labelled.photo.shape[:2]
        for query, each in zip(self.queries.each, labelled.predictions, strict=True):
            truth = labelled.truths.get(str(query.concept))
            if truth is not None:
                assert each.probability is not None, "measuring needs the probability"
                histogram = Histogram.of(*labelled.known_pixels(str(query.concept), each.probability, truth))
                counts = Counts.of(*labelled.known_pixels(str(query.concept), each.mask, truth))
                shown = query.concept in thin and histogram.truth_area
                line = ThinScore.of(*labelled.known_masks(each.prompt, str(query.concept))) if shown else None
                closer = bool(query.views(height, width, self.segmenter.bundle.window).factors)
                yield PairMeasurement(labelled.sample, query, each.presence, histogram, counts, line, closer)


def measure_pairs(
    evaluator: Evaluator, progress: Callable[[int], None] = lambda done: None
) -> Iterator[PairMeasurement]:
    """Measure every labelled pair of the evaluator's data set. Stop at the first error.

    Args:
        evaluator: The model, the photos and the queries.
        progress: Called with the number of finished photos.

    Raises:
        PhotoError: A photo or mask cannot be read.
        DataError: The photo's size differs from the size of its masks or from the size in the manifest.
        BackendError: The model returned NaN or infinite logits.
    """
    for done, sample in enumerate(evaluator.dataset, 1):
        yield from evaluator.measure(evaluator.predict(sample))
        progress(done)


@dataclass
class PartMeasurements:
    """All measurements of one model on one split.

    Attributes:
        pairs: Measured pairs, in the order of the data set.
        regions: Labelled concept or "background" → predicted concept → number of pixels.
        skipped: Photos that could not be measured, each with the reason.
    """

    pairs: list[PairMeasurement] = field(default_factory=list)
    regions: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def measure_part(evaluator: Evaluator, progress: Callable[[int], None]) -> PartMeasurements:
    """Measure every photo of the evaluator's data set. Photos that fail are skipped and listed.

    Args:
        evaluator: The model, the photos and the queries.
        progress: Called with the number of finished photos.

    Raises:
        DataError: No photo could be measured; the message gives the first reason.
    """
    result, thin = PartMeasurements(), evaluator.thin_concepts()
    for done, sample in enumerate(evaluator.dataset, 1):
        try:
            labelled = evaluator.predict(sample)
        except (PhotoError, DataError, BackendError) as error:
            result.skipped.append((sample.photo, str(error)))
        else:
            result.pairs += evaluator.measure(labelled, thin)
            _count_regions(result.regions, labelled, evaluator.queries)
        progress(done)
    if not result.pairs:
        reason = result.skipped[0][1] if result.skipped else "no photo has labels for these prompts"
        raise DataError(f"{evaluator.dataset.folder}: no photo could be measured; the first reason: {reason}")
    return result


def _count_regions(
    regions: dict[str, dict[str, int]], labelled: LabelledPrediction, queries: PromptQueries
) -> None:
    """Count which concepts were predicted for the pixels of each labelled concept and of the background.

    Only the first prompt of each concept is used. If a concept is not labelled, the photo is not counted,
    because its background is unknown.
    """
    prompts: dict[str, str] = {}
    for query in queries.each:
        prompts.setdefault(str(query.concept), query.prompt)
    if set(prompts) - set(labelled.truths):
        return
    masks = [labelled.masks[prompt] for prompt in prompts.values()]
    # 0: no concept, 1…len: exactly one concept, len + 1: several concepts
    marked = np.zeros(masks[0].shape, np.uint8)
    for number, mask in enumerate(masks, 1):
        marked = np.where(mask, np.where(marked > 0, len(masks) + 1, number), marked).astype(np.uint8)
    nowhere: Mask = ~np.any(list(labelled.truths.values()), axis=0)
    known: Mask = ~np.any([np.zeros_like(nowhere), *labelled.ignored.values()], axis=0)
    names = ["nothing", *prompts, "several"]
    for name, truth in {**labelled.truths, "background": nowhere}.items():
        counts = np.bincount(marked[truth & known], minlength=len(names))
        row = regions.setdefault(name, dict.fromkeys(names, 0))
        for column, count in zip(names, counts.tolist(), strict=True):
            row[column] += count
