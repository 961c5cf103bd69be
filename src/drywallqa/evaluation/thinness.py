"""Is a concept so thin that it is lost where a large photo is scaled down?"""

from __future__ import annotations

import numpy as np

from drywallqa.datasets.dataset import Dataset
from drywallqa.skeleton import skeletonise

THIN = 0.04
"""Mean width over the photo's longer side below which a concept counts as thin: under 18 px of 448."""

_SIDE = 320  # px to which truths are thinned out before they are measured
_PHOTOGRAPHS = 64  # that are measured at most


def is_thin(dataset: Dataset, concept: str) -> bool:
    """Tell whether a concept is thin in most photographs; False where none shows it.

    The width of a truth is its area over its skeleton's length.

    Args:
        dataset: Photos with truth.
        concept: The concept.
    """
    widths: dict[str, float] = {}
    for sample in dataset:
        photograph = f"{sample.set_name}/{sample.source_photo}"
        if not sample.labels.get(concept) or photograph in widths or len(widths) == _PHOTOGRAPHS:
            continue
        step = max(1, max(sample.height, sample.width) // _SIDE)
        truth = dataset.read_mask(sample, concept)[::step, ::step]
        length = np.count_nonzero(skeletonise(truth))
        if length:
            widths[photograph] = np.count_nonzero(truth) / length / max(truth.shape)
    return bool(widths) and float(np.median(list(widths.values()))) < THIN
