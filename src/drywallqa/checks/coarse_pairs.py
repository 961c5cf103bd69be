"""The ground truth and a model's logits for one photo and one concept, on a common coarse grid.

Shapes: h×w is the size of the grid, whose longer side is `GRID`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.letterbox import logit
from drywallqa.metrics import Counts, group_means

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

GRID = 224
"""Longer side of the grid. It is fine enough to detect a shift of 2 % and coarse enough for many trials."""
CLEARLY, ENOUGH = 0.2, 0.3
"""A change clearly improves the IoU of a photo if it adds at least `CLEARLY` and the IoU reaches `ENOUGH`."""


@dataclass(frozen=True, eq=False)
class CoarsePair:
    """A model's logits and the ground truth for one concept and one photo.

    Attributes:
        photo: The photo's name.
        photograph: Name of the source photo. Copies of the same source photo have the same name.
        part: "train", "val" or "test".
        concept: The concept of the prompt.
        truth: Ground truth [h,w]; all False if the concept is labelled as absent.
        logits: Logits for the prompt [h,w].
        other: Logits for the prompt of another concept [h,w]; None if there is no other concept.
        presence: Probability that the photo shows the concept.
        threshold: The model's mask threshold as a logit.
        presence_threshold: The model's presence threshold.
    """

    photo: str
    photograph: str
    part: str
    concept: str
    truth: Mask
    logits: Floats
    other: Floats | None
    presence: float
    threshold: float
    presence_threshold: float

    @property
    def mask(self) -> Mask:
        """The pixels whose logits are above the threshold; presence is ignored."""
        return np.asarray(self.logits > self.threshold)

    @property
    def detected(self) -> bool:
        """Whether presence reaches its threshold and the mask covers more than 1 % of the photo."""
        return self.presence >= self.presence_threshold and float(self.mask.mean()) > 0.01

    @property
    def iou(self) -> float:
        """IoU of mask and ground truth."""
        return coarse_iou(self.mask, self.truth)


def coarse_iou(mask: Mask, truth: Mask) -> float:
    """Return the IoU of two masks [h,w]; 0 if both are empty."""
    iou = Counts.of(mask, truth).iou
    return 0.0 if math.isnan(iou) else iou


def mean_or_zero(values: Iterable[float]) -> float:
    """Return the mean, or 0 if there are no values."""
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0


def by_concept(pairs: Sequence[CoarsePair]) -> dict[str, list[CoarsePair]]:
    """Group pairs by concept."""
    return {c: [p for p in pairs if p.concept == c] for c in dict.fromkeys(p.concept for p in pairs)}


@dataclass(frozen=True)
class Gain:
    """The gain in IoU from a change to the labels or the model, measured on the same photos.

    Attributes:
        before: Mean IoU without the change.
        after: Mean IoU with the change.
        sure: Mean gain divided by its standard error (Student's t).
        explained: Share of photos that the change clearly improves.
        count: Number of photos.
    """

    before: float
    after: float
    sure: float
    explained: float
    count: int

    @property
    def gain(self) -> float:
        """Mean gain in IoU."""
        return self.after - self.before

    @property
    def is_sure(self) -> bool:
        """Whether the mean gain is significant."""
        return self.count >= 5 and self.gain >= 0.03 and self.sure >= 3.5


def compare_pairs(
    before: Sequence[float], after: Sequence[float], groups: Sequence[str] | None = None
) -> Gain:
    """Compare the IoU of photos before and after a change.

    Args:
        before: IoU of each photo before the change.
        after: IoU of each photo after the change.
        groups: The source photo of each photo. Copies of a source photo are averaged first and count once.
    """
    if groups is not None:
        before, after = (list(group_means(values, groups).values()) for values in (before, after))
    one, two = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if not one.size:
        return Gain(0.0, 0.0, 0.0, 0.0, 0)
    gains = two - one
    error = float(gains.std(ddof=1) / np.sqrt(gains.size)) if gains.size > 1 else float("inf")
    lifted = (gains >= CLEARLY) & (two >= ENOUGH)
    sure = float(gains.mean()) / max(error, 1e-3)
    return Gain(float(one.mean()), float(two.mean()), sure, float(lifted.mean()), int(one.size))


def best_logit_threshold(pairs: Iterable[CoarsePair]) -> tuple[float, float]:
    """Find the logit threshold with the best mean IoU over the photos that show the concept.

    Returns:
        The threshold as a logit and the mean IoU at this threshold, or (0, 0) if no photo shows the concept.
    """
    thresholds = [logit(p) for p in np.linspace(0.02, 0.98, 49)]
    curves = [[coarse_iou(p.logits > t, p.truth) for t in thresholds] for p in pairs if p.truth.any()]
    if not curves:
        return 0.0, 0.0
    averaged = np.array(curves).mean(0)
    best = int(averaged.argmax())
    return thresholds[best], float(averaged[best])


def best_ious(pairs: Sequence[CoarsePair]) -> list[float]:
    """Return the IoU of each pair with a non-empty ground truth, at the best threshold for its concept."""
    best = {concept: best_logit_threshold(members)[0] for concept, members in by_concept(pairs).items()}
    return [coarse_iou(p.logits > best[p.concept], p.truth) for p in pairs if p.truth.any()]
