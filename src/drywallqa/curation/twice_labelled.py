"""Measure the agreement between two labels of the same photo, if a data set has the photo under two names.

A second annotator would agree with the labels about as well. A model cannot agree with the labels much better
than the labels agree with each other, so compare a model's IoU with this agreement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from drywallqa.curation.near_duplicates import NearDuplicate
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DrywallQAError
from drywallqa.imaging import perceptual_hash, photos
from drywallqa.imaging.morphology import group_links
from drywallqa.intervals import mean_figure
from drywallqa.metrics import Counts

SAME_PICTURE = 12.0
"""Maximum mean difference in grey levels between copies of one photo. Two photos of one wall differ more."""
SAME_AGREEMENT = 0.9
"""Minimum `DuplicatePair.agreement` between copies of one photo."""


@dataclass(frozen=True)
class LabelAgreement:
    """Agreement between the labels of photos that were labelled twice.

    Attributes:
        concept: The labelled concept.
        pairs: Number of pairs of labels.
        photographs: Number of source photos. If a source photo has several pairs, their mean is used.
        iou: Mean IoU over source photos.
        iou_interval: 95 % interval of the mean IoU, computed over source photos.
        dice: Mean Dice over source photos.
    """

    concept: str
    pairs: int
    photographs: int
    iou: float
    iou_interval: tuple[float, float]
    dice: float

    def __str__(self) -> str:
        low, high = self.iou_interval
        return (
            f"'{self.concept}': {self.pairs} pairs of labels of {self.photographs} source photos labelled "
            f"twice agree with a mean IoU of {self.iou:.3f} (95 % interval {low:.3f}–{high:.3f}) and a mean "
            f"Dice of {self.dice:.3f}; a second annotator would agree with the labels about as well"
        )


def agreements(dataset: Dataset, duplicates: Sequence[NearDuplicate]) -> list[LabelAgreement]:
    """Compare the labels of photos that a data set contains under two names, for each concept.

    Args:
        dataset: The data set with the labels.
        duplicates: Near-duplicates in the data set, from an audit.
    """
    samples = {sample.photo: sample for sample in dataset}
    groups = _groups(duplicates)
    counts: dict[str, list[tuple[str, Counts]]] = defaultdict(list)
    for found in duplicates:
        first, second = samples[found.first.name], samples[found.second.name]
        shared = [c for c in first.labels if first.labels[c] and second.labels.get(c)]
        if not shared or not _same_picture(found):
            continue
        for concept in shared:
            try:
                mask, twin = (dataset.read_mask(sample, concept) for sample in (first, second))
                for sample in (first, second):
                    if (ignored := dataset.read_ignored(sample, concept)) is not None:
                        mask, twin = mask & ~ignored, twin & ~ignored
            except (DrywallQAError, OSError, ValueError):
                continue  # the audit reports the file as a problem
            turned = perceptual_hash.orient(twin, found.pair.turns, found.pair.flip)
            if turned.shape != mask.shape:
                grey = Image.fromarray(turned.astype(np.uint8) * 255)
                turned = np.asarray(grey.resize(mask.shape[::-1], Image.Resampling.BOX)) > 127
            counts[concept].append((groups[found.first.photograph], Counts.of(mask, turned)))
    return [_agreement(concept, rows) for concept, rows in sorted(counts.items())]


def _agreement(concept: str, rows: Sequence[tuple[str, Counts]]) -> LabelAgreement:
    names = [name for name, _ in rows]
    iou = mean_figure([count.iou for _, count in rows], names)
    dice = mean_figure([count.dice for _, count in rows], names)
    return LabelAgreement(concept, iou.pairs, iou.photographs, iou.value, (iou.low, iou.high), dice.value)


def _groups(duplicates: Sequence[NearDuplicate]) -> dict[str, str]:
    """Map each source photo to a common name for all its duplicates, including duplicates of duplicates."""
    links = [(found.first.photograph, found.second.photograph) for found in duplicates]
    names = list(dict.fromkeys(name for link in links for name in link))
    joined = group_links(len(names), [(names.index(one), names.index(two)) for one, two in links]).tolist()
    return {name: names[place] for name, place in zip(names, joined, strict=True)}


def _same_picture(found: NearDuplicate) -> bool:
    if found.pair.agreement < SAME_AGREEMENT:
        return False
    one, two = (photos.read_photo(photo.path) for photo in (found.first, found.second))
    turned = np.ascontiguousarray(perceptual_hash.orient(two, found.pair.turns, found.pair.flip))
    if abs(np.log(one.shape[0] / one.shape[1] * turned.shape[1] / turned.shape[0])) > 0.02:
        return False
    small = [
        np.asarray(Image.fromarray(picture).resize((320, 320), Image.Resampling.BOX), np.float32)
        for picture in (one, turned)
    ]
    return float(np.abs(small[0] - small[1]).mean()) <= SAME_PICTURE
