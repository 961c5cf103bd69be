"""Ask a model about labelled photos, one look at each; every figure follows from what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import BackendError, DataError
from drywallqa.inference.refine import Refinement
from drywallqa.metrics import Counts, Histogram
from drywallqa.window import Window, sigmoid

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PairScore:
    """One photo under one prompt.

    Attributes:
        sample: The photo.
        concept: What was asked for.
        prompt: How it was asked.
        presence: Probability that the concept is in the photo.
        histogram: Pixels by probability, inside and outside the truth.
    """

    sample: Sample
    concept: str
    prompt: str
    presence: float
    histogram: Histogram

    @property
    def photograph(self) -> str:
        """The photograph that copies share, unique over sets."""
        return f"{self.sample.set_name}/{self.sample.source_photo}"

    @property
    def absent(self) -> bool:
        """Whether the truth is empty."""
        return self.histogram.truth_area == 0

    def counts(self, threshold: float, presence_threshold: float) -> Counts:
        """Counts of the mask at these thresholds: empty where presence is too low."""
        if self.presence < presence_threshold:
            return self.histogram.empty_mask()
        return self.histogram.counts(threshold)


@dataclass(frozen=True, eq=False)
class Look:
    """One photo with its truths and what the model believes, as arrays of the photo's size.

    Attributes:
        sample: The photo's entry.
        photo: RGB uint8 [H,W,3].
        truths: Concept → truth [H,W]; only what was asked and is labelled.
        probabilities: Prompt → float32 [H,W], soft refinements included.
        presence: Prompt → belief in [0,1].
    """

    sample: Sample
    photo: NDArray[np.uint8]
    truths: Mapping[str, Mask]
    probabilities: Mapping[str, NDArray[np.float32]]
    presence: Mapping[str, float]

    def score(self, prompt: str, concept: str, probability: NDArray[np.float32] | None = None) -> PairScore:
        """Keep of one labelled question what figures follow from; by default of the look's probability."""
        found = self.probabilities[prompt] if probability is None else probability
        histogram = Histogram.of(found, self.truths[concept])
        return PairScore(self.sample, concept, prompt, self.presence[prompt], histogram)


class Looker:
    """Shows labelled photos to a model; the one way by which anything is measured.

    Args:
        backend: The model.
        window: How photos are brought to it.
        dataset: Where photos and truths lie.
        concepts: Prompt → the concept that it means.
        refinements: Concept → what follows the model; by default nothing does.
    """

    def __init__(
        self,
        backend: Backend,
        window: Window,
        dataset: Dataset,
        concepts: Mapping[str, str],
        refinements: Mapping[str, Refinement] | None = None,
    ) -> None:
        self.backend, self.window, self.dataset, self.concepts = backend, window, dataset, dict(concepts)
        self._refinements = refinements or {}
        self._embeddings = backend.encode_prompts(list(self.concepts))

    def look(self, sample: Sample) -> Look:
        """Read a photo and its truths, and ask every prompt of it.

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
        asked = [concept for concept in dict.fromkeys(self.concepts.values()) if concept in sample.labels]
        truths = {concept: self.dataset.read_mask(sample, concept) for concept in asked}
        image, placement = self.window.fit(photo)
        logits, presence = self.backend.decode(self.backend.encode_image(image[None]), self._embeddings)
        if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
            raise BackendError(f"{sample.photo}: the model gave numbers that are none (nan or infinite)")
        beliefs = sigmoid(np.asarray(presence[0], np.float32))
        probabilities, present = {}, {}
        for row, (prompt, concept) in enumerate(self.concepts.items()):
            probability = sigmoid(placement.restore(logits[0, row]))
            refinement = self._refinements.get(concept, Refinement())
            probabilities[prompt] = refinement.soften(photo, probability)
            present[prompt] = float(beliefs[row])
        return Look(sample, photo, truths, probabilities, present)


def collect(
    backend: Backend,
    window: Window,
    dataset: Dataset,
    prompts: Mapping[str, str],
    progress: Callable[[int], None] | None = None,
    refinements: Mapping[str, Refinement] | None = None,
) -> Iterator[PairScore]:
    """Yield every labelled (photo, concept) pair of a data set, scored.

    Args:
        backend: The model.
        window: Its window.
        dataset: Photos with truth.
        prompts: Concept → the prompt under which it is asked.
        progress: Called with the number of photos done.
        refinements: Concept → what follows the model.

    Raises:
        PhotoError: A photo or mask cannot be read.
        DataError: Photo, manifest and masks disagree on the size.
        BackendError: The model gave numbers that are none.
    """
    concepts = {prompt: concept for concept, prompt in prompts.items()}
    looker = Looker(backend, window, dataset, concepts, refinements)
    for done, sample in enumerate(dataset, 1):
        look = looker.look(sample)
        for prompt, concept in concepts.items():
            if concept in look.truths:
                yield look.score(prompt, concept)
        if progress:
            progress(done)
