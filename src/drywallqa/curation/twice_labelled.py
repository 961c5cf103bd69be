"""Pictures that were labelled twice, under two names: how far two labels of one picture agree.

That is what a second annotator would score on such a data set, and what a model's figures have to be read
against: it cannot agree with labels much further than they agree with each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.curation.near_duplicates import NearDuplicate
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DrywallQAError
from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.morphology import group_links
from drywallqa.intervals import mean_figure
from drywallqa.metrics import Counts

SAME_PICTURE = 12.0
"""Mean difference in grey levels up to which two photos are one picture and not two shots."""
SAME_AGREEMENT = 0.9
"""The correlation, see `Pair.agreement`, from which they are."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelAgreement:
    """How far two labels of one picture agree.

    Attributes:
        concept: What was labelled.
        pairs: Pairs of labels.
        photographs: Photographs behind them; where one has more than two names, its pairs are averaged first.
        iou: Mean IoU over photographs.
        iou_interval: Its 95 % interval, by photograph.
        dice: Mean Dice over photographs.
    """

    concept: str
    pairs: int
    photographs: int
    iou: float
    iou_interval: tuple[float, float]
    dice: float

    def to_json(self) -> dict[str, Any]:
        """Describe as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        low, high = self.iou_interval
        return (
            f"'{self.concept}' labelled twice: {self.pairs} pairs of labels of {self.photographs} "
            f"photographs agree with IoU {self.iou:.3f} (95 % interval {low:.3f}–{high:.3f}), Dice "
            f"{self.dice:.3f}: what a second annotator would score here"
        )


def agreements(dataset: Dataset, duplicates: Sequence[NearDuplicate]) -> list[LabelAgreement]:
    """Compare the labels of pictures that a data set holds under two names, concept by concept.

    Args:
        dataset: Where the labels lie.
        duplicates: Its near-duplicates, as an audit found them.
    """
    samples = {sample.photo: sample for sample in dataset}
    groups = _groups(duplicates)
    counts: dict[str, list[tuple[str, Counts]]] = defaultdict(list)
    for found in duplicates:
        first, second = samples[found.first.name], samples[found.second.name]
        shared = [c for c in first.labels if first.labels[c] and second.labels.get(c)]
        if not shared or not _same_picture(dataset, first, second, found):
            continue
        for concept in shared:
            try:
                mask, twin = (dataset.read_mask(sample, concept) for sample in (first, second))
            except (DrywallQAError, OSError, ValueError):
                continue  # the audit's problems name the file
            other = _brought(twin, found, mask.shape)
            counts[concept].append((groups[found.first.photograph], Counts.of(mask, other)))
    return [_agreement(concept, rows) for concept, rows in sorted(counts.items())]


def _agreement(concept: str, rows: Sequence[tuple[str, Counts]]) -> LabelAgreement:
    names = [name for name, _ in rows]
    iou, dice = (
        mean_figure(values, names)
        for values in ([count.iou for _, count in rows], [count.dice for _, count in rows])
    )
    return LabelAgreement(concept, iou.pairs, iou.photographs, iou.value, (iou.low, iou.high), dice.value)


def _groups(duplicates: Sequence[NearDuplicate]) -> dict[str, str]:
    """Photograph → one name for all that show the same, near-duplicates of near-duplicates included."""
    links = [(found.first.photograph, found.second.photograph) for found in duplicates]
    names = list(dict.fromkeys(name for link in links for name in link))
    joined = group_links(len(names), [(names.index(one), names.index(two)) for one, two in links]).tolist()
    return {name: names[place] for name, place in zip(names, joined, strict=True)}


def _same_picture(dataset: Dataset, first: Sample, second: Sample, found: NearDuplicate) -> bool:
    if found.pair.agreement < SAME_AGREEMENT:
        return False
    one, two = dataset.read_photo(first), dataset.read_photo(second)
    turned = perceptual_hash.orient(two, found.pair.turns, found.pair.flip)
    if abs(np.log(one.shape[0] / one.shape[1] * turned.shape[1] / turned.shape[0])) > 0.02:
        return False
    small = [
        np.asarray(Image.fromarray(picture).resize((320, 320), Image.Resampling.BOX), np.float32)
        for picture in (one, np.ascontiguousarray(turned))
    ]
    return float(np.abs(small[0] - small[1]).mean()) <= SAME_PICTURE


def _brought(mask: Mask, found: NearDuplicate, shape: tuple[int, ...]) -> Mask:
    """Turn a mask onto its twin [H,W], and bring it to that one's size."""
    turned = perceptual_hash.orient(mask, found.pair.turns, found.pair.flip)
    if turned.shape == shape:
        return np.asarray(turned)
    grey = Image.fromarray(turned.astype(np.uint8) * 255).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(grey) > 127
