"""Determine from the masks of a data set whether a concept is thin, and whether it is straight."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DrywallQAError
from drywallqa.imaging.morphology import skeletonise
from drywallqa.imaging.straight_lines import straight_lines

# A concept is thin if its width is less than this share of the photo's longer side (18 px of 448 px).
THIN = 0.04
STRAIGHT = 0.95  # minimum share of a straight concept's skeleton that lies on long straight lines

_SIDE = 320  # masks are subsampled to about this length in px before they are measured
_PHOTOGRAPHS = 64  # maximum number of source photos to measure
_LONG = 0.25  # minimum length of a long line, as a share of the longer side
_NEAR = 1.5  # maximum distance from a line in px, in the subsampled mask

Mask = NDArray[np.bool_]


def wants_native(dataset: Dataset, concept: str) -> bool:
    """Check whether the model must search a large photo at full resolution to find a concept.

    A thin crack disappears if the photo is scaled down. Straight lines such as seams are an exception. The
    model recognises a seam because the seam runs across the whole photo. A single tile does not show this.

    Args:
        dataset: A data set with ground-truth masks.
        concept: The concept.
    """
    return is_thin(dataset, concept) and not is_straight(dataset, concept)


def is_thin(dataset: Dataset, concept: str) -> bool:
    """Check whether a concept is thin in most source photos. Return False if no photo shows the concept.

    The width of a mask is its area divided by its skeleton length.

    Args:
        dataset: A data set with ground-truth masks.
        concept: The concept.
    """
    return _median(dataset, concept, _width) < THIN


def is_straight(dataset: Dataset, concept: str) -> bool:
    """Check whether a concept consists of long straight lines in most source photos.

    The result is False if no photo shows the concept.

    Args:
        dataset: A data set with ground-truth masks.
        concept: The concept.
    """
    return _median(dataset, concept, _straightness) >= STRAIGHT


def _median(dataset: Dataset, concept: str, measure: Callable[[Mask, Mask], float]) -> float:
    """Measure one mask per source photo and return the median, or nan if there are no masks."""
    found: dict[str, float] = {}
    for sample in dataset:
        if not sample.labels.get(concept) or sample.photograph in found or len(found) == _PHOTOGRAPHS:
            continue
        step = max(1, max(sample.height, sample.width) // _SIDE)
        with suppress(DrywallQAError):  # the error is reported when the photo is evaluated
            truth = dataset.read_mask(sample, concept)[::step, ::step]
            skeleton = skeletonise(truth)
            if skeleton.any():
                found[sample.photograph] = measure(truth, skeleton)
    return float(np.median(list(found.values()))) if found else float("nan")


def _width(truth: Mask, skeleton: Mask) -> float:
    return float(np.count_nonzero(truth) / np.count_nonzero(skeleton) / max(truth.shape))


def _straightness(truth: Mask, skeleton: Mask) -> float:
    near = np.zeros_like(skeleton)
    for line in straight_lines(skeleton, _LONG):
        near |= line.band((skeleton.shape[0], skeleton.shape[1]), _NEAR)
    return float(np.count_nonzero(near & skeleton) / np.count_nonzero(skeleton))
