"""Run a model over a labelled data set once; whatever is asked later follows from what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from drywallqa.backend import Backend
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.metrics import Counts, Histogram
from drywallqa.window import Window, sigmoid


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


def collect(
    backend: Backend,
    window: Window,
    dataset: Dataset,
    prompts: Mapping[str, str],
    progress: Callable[[int], None] | None = None,
) -> Iterator[PairScore]:
    """Yield every labelled (photo, concept) pair of a data set, scored.

    Args:
        backend: The model.
        window: Its window.
        dataset: Photos with truth.
        prompts: Concept → the prompt under which it is asked.
        progress: Called with the number of photos done.
    """
    concepts = list(prompts)
    embeddings = backend.encode_prompts([prompts[c] for c in concepts])
    for done, sample in enumerate(dataset, 1):
        image, placement = window.fit(dataset.read_photo(sample))
        logits, presence = backend.decode(backend.encode_image(image[None]), embeddings)
        for index, concept in enumerate(concepts):
            if concept not in sample.labels:
                continue
            probability = sigmoid(placement.restore(logits[0, index]))
            histogram = Histogram.of(probability, dataset.read_mask(sample, concept))
            belief = float(sigmoid(np.asarray(presence[0, index], np.float32)))
            yield PairScore(sample, concept, prompts[concept], belief, histogram)
        if progress:
            progress(done)
