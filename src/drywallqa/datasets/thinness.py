"""Tell from the masks of a data set whether a concept is thin, and whether it runs straight."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DrywallQAError
from drywallqa.imaging.morphology import skeletonise
from drywallqa.imaging.straight_lines import straight_lines

# Mean width over the photo's longer side below which a concept counts as thin: under 18 px of 448.
THIN = 0.04
STRAIGHT = 0.95  # share of a truth's skeleton on long straight lines from which a concept counts as straight

_SIDE = 320  # px to which truths are thinned out before they are measured
_PHOTOGRAPHS = 64  # that are measured at most
_LONG = 0.25  # of the longer side
_NEAR = 1.5  # px from a line, of the thinned out truth

Mask = NDArray[np.bool_]


def wants_native(dataset: Dataset, concept: str) -> bool:
    """Tell whether a concept has to be looked for in a large photo's own pixels.

    A thin object is lost where the photo is scaled down. Straight lines are not: they are seen by running
    through the photo, which no tile shows.

    Args:
        dataset: Photos with truth.
        concept: The concept.
    """
    return is_thin(dataset, concept) and not is_straight(dataset, concept)


def is_thin(dataset: Dataset, concept: str) -> bool:
    """Tell whether a concept is thin in most photographs; False where none shows it.

    The width of a truth is its area over its skeleton's length.

    Args:
        dataset: Photos with truth.
        concept: The concept.
    """
    return _median(dataset, concept, _width) < THIN


def is_straight(dataset: Dataset, concept: str) -> bool:
    """Tell whether a concept consists of long straight lines in most photographs; False where none shows it.

    Args:
        dataset: Photos with truth.
        concept: The concept.
    """
    return _median(dataset, concept, _straightness) >= STRAIGHT


def _median(dataset: Dataset, concept: str, measure: Callable[[Mask, Mask], float]) -> float:
    """Measure truths with their skeletons, one a photograph, and return the median; nan without any."""
    found: dict[str, float] = {}
    for sample in dataset:
        if not sample.labels.get(concept) or sample.photograph in found or len(found) == _PHOTOGRAPHS:
            continue
        step = max(1, max(sample.height, sample.width) // _SIDE)
        with suppress(DrywallQAError):  # whoever measures the photo meets the error again, and reports it
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
