"""Definitions of all metrics.

Pixels are counted at the photo's full size. For one photo and one prompt, a `Histogram` stores the number of
pixels inside and outside the ground truth in each of 256 probability bins. The confusion counts at any
threshold k/256 follow from this histogram.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import dilate, skeletonise
from drywallqa.imaging.straight_lines import StraightLine

BINS = 256
# If a photo does not show a concept, a mask that covers more than this share of the photo is a false alarm.
FALSE_ALARM_SHARE = 0.001

# Largest distance at which a pixel of a thin mask still counts as correct, in px at a photo size of 640 px.
TOLERANCE = 3.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Confusion counts (true and false positives and negatives) of one mask, in pixels."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Counts:
        """Compare a mask [H,W] with the ground truth [H,W].

        Raises:
            ValueError: The shapes differ.
        """
        if mask.shape != truth.shape:
            raise ValueError(f"mask {mask.shape} and ground truth {truth.shape} have different sizes")
        tp = int(np.count_nonzero(mask & truth))
        fp = int(np.count_nonzero(mask)) - tp
        fn = int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, mask.size - tp - fp - fn)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def size(self) -> int:
        """Number of pixels in the photo."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def iou(self) -> float:
        """IoU: tp / (tp + fp + fn), or nan if the ground truth and the mask are both empty."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> float:
        """Dice: 2 tp / (2 tp + fp + fn), or nan if the ground truth and the mask are both empty."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Precision: tp / (tp + fp), or nan if the mask is empty."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Recall: tp / (tp + fn), or nan if the ground truth is empty."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def false_alarm(self) -> bool:
        """Whether the mask covers more than 0.1 % of the photo; only meaningful for an empty ground truth."""
        return self.tp + self.fp > FALSE_ALARM_SHARE * self.size


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


@dataclass(frozen=True)
class Histogram:
    """Number of pixels in each probability bin, inside and outside the ground truth, int64 [256] each."""

    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    @classmethod
    def of(cls, probability: NDArray[np.float32], truth: NDArray[np.bool_]) -> Histogram:
        """Compare a probability map [H,W] in [0,1] with the ground truth [H,W]."""
        bins = np.minimum(probability * BINS, BINS - 1).astype(np.uint8)
        whole = np.bincount(bins.ravel(), minlength=BINS)
        inside = np.bincount(bins[truth], minlength=BINS)
        return cls(inside, whole - inside)

    @classmethod
    def pooled(cls, histograms: Iterable[Histogram]) -> Histogram:
        """Add up histograms. If there are none, all bins are 0."""
        bins = np.array([(each.inside, each.outside) for each in histograms], np.int64)
        return cls(*bins.reshape(-1, 2, BINS).sum(axis=0))

    @property
    def truth_area(self) -> int:
        """Number of pixels in the ground truth."""
        return int(self.inside.sum())

    def counts(self, threshold: float) -> Counts:
        """Return the counts of the mask "probability ≥ threshold", with the threshold rounded up to k/256."""
        start = bin_of(threshold)
        tp, fp = int(self.inside[start:].sum()), int(self.outside[start:].sum())
        return Counts(tp, fp, self.truth_area - tp, int(self.outside.sum()) - fp)

    def empty_mask(self) -> Counts:
        """Return the counts of an empty mask."""
        return Counts(0, 0, self.truth_area, int(self.outside.sum()))

    def iou_curve(self) -> Array:
        """Return the IoU at the thresholds k/256, k = 0…255 [256]; nan if ground truth and mask are empty."""
        tp = np.cumsum(self.inside[::-1])[::-1].astype(np.float64)
        marked = tp + np.cumsum(self.outside[::-1])[::-1]
        union = marked + self.truth_area - tp
        return np.asarray(np.divide(tp, union, out=np.full(BINS, np.nan), where=union > 0), np.float64)


def bin_of(threshold: float) -> int:
    """Return the index of the first bin at or above a threshold in [0,1]."""
    return min(BINS, int(np.ceil(threshold * BINS - 1e-9)))


@dataclass(frozen=True)
class ThinScore:
    """How well a mask follows a thin, non-empty ground truth.

    Attributes:
        tolerant_f1: Harmonic mean of precision and recall, where a pixel within the tolerance counts as
            correct. It is 0 for an empty mask.
        cldice: Harmonic mean of two shares: the share of the mask's skeleton inside the ground truth, and the
            share of the ground truth's skeleton inside the mask. It is 0 for an empty mask. Shit et al.,
            "clDice: a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", CVPR 2021,
            equation 2.
        width: Mean width of the ground truth (area divided by skeleton length), in px of a photo whose longer
            side is 640 px.
    """

    tolerant_f1: float
    cldice: float
    width: float

    @classmethod
    def of(cls, mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> ThinScore:
        """Score a mask [H,W] against a non-empty ground truth [H,W]."""
        scale = max(truth.shape) / 640
        radius = max(1, round(TOLERANCE * scale))
        truth_line, mask_line = skeletonise(truth), skeletonise(mask)
        return cls(
            _harmonic(_share(mask, dilate(truth, radius)), _share(truth, dilate(mask, radius))),
            _harmonic(_share(mask_line, truth), _share(truth_line, mask)),
            _ratio(int(truth.sum()), int(truth_line.sum())) / scale,
        )


@dataclass(frozen=True)
class LineScore:
    """How well the skeleton of a mask follows the skeleton of a non-empty ground truth.

    Attributes:
        recall: Share of the ground truth's skeleton within the tolerance of the mask's skeleton.
        precision: Share of the mask's skeleton within the tolerance of the ground truth's skeleton; 0 for an
            empty mask.
        width_ratio: Mean width of the mask (area divided by skeleton length), divided by that of the ground
            truth; nan for an empty mask.
    """

    recall: float
    precision: float
    width_ratio: float

    @property
    def f1(self) -> float:
        """The line F1: the harmonic mean of recall and precision."""
        return _harmonic(self.recall, self.precision)

    @classmethod
    def of(cls, mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> LineScore:
        """Score a mask [H,W] against a non-empty ground truth [H,W]."""
        radius = max(1, round(TOLERANCE * max(truth.shape) / 640))
        truth_line, mask_line = skeletonise(truth), skeletonise(mask)
        ours, theirs = (
            _ratio(int(whole.sum()), int(line.sum()))
            for whole, line in ((mask, mask_line), (truth, truth_line))
        )
        precision = _share(mask_line, dilate(truth_line, radius)) if mask_line.any() else 0.0
        return cls(_share(truth_line, dilate(mask_line, radius)), precision, ours / theirs)


def _share(part: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    return _ratio(int((part & inside).sum()), int(part.sum()))


def _harmonic(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second > 0 else 0.0  # nan compares false


def share_near(lines: Sequence[StraightLine], others: Sequence[StraightLine], within: float) -> float:
    """Return the share of the lines' length that is at most `within` px from `others`, or nan without lines.

    If `lines` are the true lines, the share is the recall. For predicted lines, it is the precision.
    """
    if not lines:
        return float("nan")
    parts = []
    for line in lines:  # sample one point per px
        shares = np.linspace(0, 1, max(2, round(line.length)))[:, None]
        parts.append(np.array(line.start) * (1 - shares) + np.array(line.end) * shares)
    points = np.concatenate(parts)
    nearest = np.full(len(points), np.inf)
    for other in others:
        start, direction = np.array(other.start), np.array(other.direction())
        place = np.clip((points - start) @ direction, 0, other.length)
        nearest = np.minimum(nearest, np.hypot(*(points - (start + place[:, None] * direction)).T))
    return float((nearest <= within).mean())


def mean_by_group(values: Sequence[float], groups: Sequence[str]) -> float:
    """Return the mean of the group means, or nan if there are no values."""
    return float(np.mean(list(group_means(values, groups).values()))) if len(values) else float("nan")


def group_means(values: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    """Return the mean value of each group, in order of first appearance."""
    collected: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        collected.setdefault(group, []).append(value)
    return {group: float(np.mean(members)) for group, members in collected.items()}
