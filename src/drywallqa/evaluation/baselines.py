"""What needs no model at all: a figure that does not beat these says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.imaging import perceptual_hash
from drywallqa.metrics import Counts, mean_by_group

_GRID = 64
Mask = NDArray[np.bool_]


def baselines(train: Dataset, test: Dataset, concept: str) -> dict[str, float]:
    """Mean IoU over photographs of three baselines on the photos that show a concept.

    "all foreground" marks everything; "mean mask" marks where the mean train mask exceeds the level that is
    best on train; "nearest copy" takes the mask of the train photo whose thumbnail correlates best. The last
    two are absent where no train photo shows the concept.
    """
    shown = [s for s in train if s.labels.get(concept)]
    asked = [s for s in test if s.labels.get(concept)]
    everything = {
        "all foreground": _mean_iou(test, asked, concept, lambda s: np.ones((s.height, s.width), np.bool_))
    }
    if not shown:
        return everything
    small = np.stack([_small(train.read_mask(s, concept)) for s in shown])
    thumbnails = np.stack([_flat(train, s) for s in shown])
    mean = small.mean(0)
    # the level is searched with the grid masks themselves, which is exact enough for a baseline
    levels = np.quantile(mean, np.linspace(0.0, 0.95, 20))
    best = max(levels, key=lambda level: _grid_iou(mean >= level, small > 0.5))

    def nearest(sample: Sample) -> Mask:
        index = int((thumbnails @ _flat(test, sample)).argmax())
        return _large(small[index] > 0.5, sample)

    guesses: dict[str, Callable[[Sample], Mask]] = {
        "mean mask": lambda s: _large(mean >= best, s),
        "nearest copy": nearest,
    }
    return everything | {name: _mean_iou(test, asked, concept, guess) for name, guess in guesses.items()}


def _everything(sample: Sample) -> Mask:
    return np.ones((sample.height, sample.width), np.bool_)


def _mean_iou(
    dataset: Dataset, samples: Sequence[Sample], concept: str, guess: Callable[[Sample], Mask]
) -> float:
    pairs = [(s, dataset.read_mask(s, concept)) for s in samples]
    kept = [(s, truth) for s, truth in pairs if truth.any()]
    values = [Counts.of(guess(s), truth).iou for s, truth in kept]
    return mean_by_group(values, [s.photograph for s, _ in kept])


def _small(mask: Mask) -> NDArray[np.float32]:
    image = Image.fromarray(mask.astype(np.uint8) * 255).resize((_GRID, _GRID), Image.Resampling.BOX)
    return np.asarray(np.asarray(image) / 255, np.float32)


def _large(mask: Mask, sample: Sample) -> Mask:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((sample.width, sample.height), Image.Resampling.NEAREST)) > 127


def _flat(dataset: Dataset, sample: Sample) -> NDArray[np.float32]:
    flat = np.asarray(perceptual_hash.thumbnail(dataset.read_photo(sample)), np.float32).ravel()
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def _grid_iou(guess: Mask, truths: NDArray[np.bool_]) -> float:
    both = (truths & guess).sum((1, 2))
    either = (truths | guess).sum((1, 2))
    return float(np.mean(both / np.maximum(either, 1)))
