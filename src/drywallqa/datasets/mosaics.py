"""Combine photos and their hand-drawn ground truth into mosaics: large images of photos side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset, Sample

SIDE = 640
"""Side length of each photo in px."""


def one_per_source_photo(dataset: Dataset, concept: str, most: int | None = None) -> list[Sample]:
    """Choose the first copy of each source photo that shows a concept. Return at most `most` photos."""
    found: dict[tuple[str, str], Sample] = {}
    for sample in dataset:
        if sample.labels.get(concept) and concept not in sample.ignored:
            found.setdefault((sample.set_name, sample.source_photo), sample)
    return list(found.values())[:most]


def mosaic(
    dataset: Dataset, samples: Sequence[Sample], concept: str, columns: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Place photos of 640×640 px side by side, row by row.

    Args:
        dataset: The data set with the photos.
        samples: The photos. Their number must be a multiple of `columns`.
        concept: The concept whose ground truth is returned.
        columns: Photos per row.

    Returns:
        The mosaic [H,W,3] and the concept's ground truth [H,W].
    """
    rows = len(samples) // columns
    photo = np.zeros((rows * SIDE, columns * SIDE, 3), np.uint8)
    truth = np.zeros(photo.shape[:2], np.bool_)
    for number, sample in enumerate(samples):
        top, left = number // columns * SIDE, number % columns * SIDE
        place = np.s_[top : top + SIDE, left : left + SIDE]
        photo[place] = dataset.read_photo(sample)
        if sample.labels.get(concept):
            truth[place] = dataset.read_mask(sample, concept)
    return photo, truth
