"""Measure how well the labels of duplicate photos agree.

This agreement estimates how well a second annotator would agree with the labels. A model cannot agree with
the labels much better than the labels agree with each other, so compare a model's IoU with this agreement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.curation.near_duplicates import DuplicatePair, NearDuplicate
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DrywallQAError
from drywallqa.files import file_digest
from drywallqa.imaging import perceptual_hash, photos
from drywallqa.imaging.morphology import equal_but_edges, group_links
from drywallqa.intervals import mean_figure
from drywallqa.metrics import Counts

SAME_PICTURE = 12.0
"""Maximum mean difference in grey levels between copies of one photo. Two photos of one wall differ more."""
SAME_AGREEMENT = 0.9
"""Minimum `DuplicatePair.agreement` between copies of one photo."""

LEAST_OVERLAP = 0.1
"""Minimum IoU of two masks of near-identical photos. Masks with a lower IoU contradict each other."""


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


@dataclass(frozen=True)
class LabelContradiction:
    """Two copies of one photo whose labels contradict each other about a concept.

    Attributes:
        concept: The labelled concept.
        first: Name of the first photo.
        second: Name of the second photo.
        identical: Whether the two files are identical byte for byte.
        iou: IoU of the two masks, or None if the concept is absent in exactly one of the photos.
    """

    concept: str
    first: str
    second: str
    identical: bool
    iou: float | None

    def __str__(self) -> str:
        how = "identical photos" if self.identical else "copies of one photo"
        what = "one label marks it and the other says that it is absent"
        if self.iou is not None:
            what = f"the two masks agree with an IoU of {self.iou:.2f}"
        return f"{self.first} and {self.second} are {how}, but for '{self.concept}' {what}"


def agreements(dataset: Dataset, duplicates: Sequence[NearDuplicate]) -> list[LabelAgreement]:
    """For each concept, compare the labels of photos that a data set contains under two names.

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
            if masks := _read_pair(dataset, first, second, concept, found.pair):
                counts[concept].append((groups[found.first.photograph], Counts.of(*masks)))
    return [_agreement(concept, rows) for concept, rows in sorted(counts.items())]


def contradictions(dataset: Dataset, duplicates: Sequence[NearDuplicate]) -> list[LabelContradiction]:
    """Find copies of one photo whose labels contradict each other.

    Labels of identical files may differ by only one pixel along the edges. Labels of near-identical photos
    must overlap, and must not mark a concept that the other photo's labels declare absent.

    Args:
        dataset: The data set with the labels.
        duplicates: Near-duplicates in the data set, from an audit.
    """
    samples = {sample.photo: sample for sample in dataset}
    files = {name: dataset.photo_path(sample) for name, sample in samples.items()}
    digests = {name: file_digest(path) for name, path in files.items() if path.is_file()}
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for name, digest in digests.items():
        by_content[digest].append(samples[name])
    found: list[LabelContradiction] = []
    for group in by_content.values():
        for other in group[1:]:
            found += _contradictions(dataset, group[0], other, None)
    for near in duplicates:
        first, second = samples[near.first.name], samples[near.second.name]
        if digests.get(first.photo) != digests.get(second.photo) and _same_picture(near):
            found += _contradictions(dataset, first, second, near.pair)
    return found


def _contradictions(
    dataset: Dataset, first: Sample, second: Sample, pair: DuplicatePair | None
) -> Iterator[LabelContradiction]:
    identical = pair is None
    for concept in first.labels.keys() & second.labels.keys():
        marked = [sample.labels[concept] is not None for sample in (first, second)]
        if marked == [False, False]:
            continue
        iou = None
        if all(marked):
            masks = _read_pair(dataset, first, second, concept, pair)
            iou = Counts.of(*masks).iou if masks else 1.0
            if not masks or (equal_but_edges(*masks) if identical else iou >= LEAST_OVERLAP):
                continue
        yield LabelContradiction(concept, first.photo, second.photo, identical, iou)


def _read_pair(
    dataset: Dataset, first: Sample, second: Sample, concept: str, pair: DuplicatePair | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Read two masks, and align the second with the first. Return None if a file cannot be read.

    The audit reports unreadable files. Pixels that either label ignores are False in both masks.
    """
    try:
        mask, twin = (dataset.read_mask(sample, concept) for sample in (first, second))
        ignored, twin_ignored = (dataset.read_ignored(sample, concept) for sample in (first, second))
    except (DrywallQAError, OSError, ValueError):
        return None
    turned = _turned(twin, pair, mask.shape)
    for layer in (ignored, None if twin_ignored is None else _turned(twin_ignored, pair, mask.shape)):
        if layer is not None:
            mask, turned = mask & ~layer, turned & ~layer
    return mask, turned


def _turned(layer: NDArray[np.bool_], pair: DuplicatePair | None, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Rotate, flip and scale a mask of the second photo to match the first photo's mask [shape]."""
    turned = perceptual_hash.orient(layer, pair.turns, pair.flip) if pair else layer
    if turned.shape == tuple(shape):
        return turned
    grey = Image.fromarray(turned.astype(np.uint8) * 255)
    return np.asarray(grey.resize((shape[1], shape[0]), Image.Resampling.BOX)) > 127


def _agreement(concept: str, rows: Sequence[tuple[str, Counts]]) -> LabelAgreement:
    names = [name for name, _ in rows]
    iou = mean_figure([count.iou for _, count in rows], names)
    dice = mean_figure([count.dice for _, count in rows], names)
    return LabelAgreement(concept, iou.pairs, iou.photographs, iou.value, (iou.low, iou.high), dice.value)


def _groups(duplicates: Sequence[NearDuplicate]) -> dict[str, str]:
    """Map each source photo to its group's name. Duplicates, and their duplicates, belong to one group."""
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
