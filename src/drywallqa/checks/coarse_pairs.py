"""One photo under one concept, with its truth and a model's answer, on a common coarse grid.

Shapes: h×w the grid, `GRID` on its longer side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.letterbox import logit
from drywallqa.metrics import group_means

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

GRID = 224
"""Longer side of the grid: fine enough for a shift of 2 %, coarse enough for hundreds of trials."""


@dataclass(frozen=True, eq=False)
class CoarsePair:
    """What a model answered about one concept of one photo, beside the truth.

    Attributes:
        photo: The photo's name.
        photograph: The photograph that copies share.
        part: "train", "val" or "test".
        concept: What was asked for.
        truth: [h,w]; all False where the concept is labelled as absent.
        logits: [h,w].
        other: [h,w], the logits under another concept's prompt; None where there is no other concept.
        presence: Belief in [0,1] that the photo shows the concept.
        level: The model's mask threshold as a logit.
        presence_level: The model's presence threshold.
    """

    photo: str
    photograph: str
    part: str
    concept: str
    truth: Mask
    logits: Floats
    other: Floats | None
    presence: float
    level: float
    presence_level: float

    @property
    def mask(self) -> Mask:
        """Where the answer lies above the threshold, whatever presence says."""
        return np.asarray(self.logits > self.level)

    @property
    def marked(self) -> bool:
        """Whether the model believes in the concept and marks more than 1 % of the photo."""
        return self.presence >= self.presence_level and float(self.mask.mean()) > 0.01

    @property
    def iou(self) -> float:
        """IoU of mask and truth."""
        return coarse_iou(self.mask, self.truth)


def coarse_iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union of two masks [h,w]; 0 where both are empty."""
    union = int(np.count_nonzero(mask | truth))
    return int(np.count_nonzero(mask & truth)) / union if union else 0.0


def mean_or_zero(values: Iterable[float]) -> float:
    """Mean; 0 without values."""
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0


@dataclass(frozen=True)
class Gain:
    """What a change brings, over pairs of the same photos.

    Attributes:
        before: Mean as it is.
        after: Mean after the change.
        sure: Mean gain over its standard error (Student's t).
        explained: Share of photos that the change lifts clearly.
        count: Photos.
    """

    before: float
    after: float
    sure: float
    explained: float
    count: int

    @property
    def gain(self) -> float:
        """Mean gain."""
        return self.after - self.before

    @property
    def is_sure(self) -> bool:
        """Whether the mean gain is no chance."""
        return self.count >= 5 and self.gain >= 0.03 and self.sure >= 3.5


CLEARLY, ENOUGH = 0.2, 0.3
"""A photo is lifted clearly where its IoU rises by the first to at least the second."""


def compare_pairs(
    before: Sequence[float], after: Sequence[float], groups: Sequence[str] | None = None
) -> Gain:
    """Compare the same photos' IoU before and after a change.

    Args:
        before: IoU of each photo.
        after: The same after the change.
        groups: The photograph of each; copies of one are averaged first, so that they count once.
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


def best_logit_threshold(
    seen: Sequence[CoarsePair], change: Callable[[Floats], Floats] | None = None
) -> tuple[float, float]:
    """Find the logit threshold of best mean IoU over photos that show the concept.

    Args:
        seen: The photos.
        change: What is done to the logits first.

    Returns:
        The threshold as a logit, and the mean IoU there; (0, 0) where no photo shows the concept.
    """
    shown = [s for s in seen if s.truth.any()]
    if not shown:
        return 0.0, 0.0
    levels = [logit(p) for p in np.linspace(0.02, 0.98, 49)]
    curves = np.array(
        [[coarse_iou((change(s.logits) if change else s.logits) > v, s.truth) for v in levels] for s in shown]
    )
    averaged = curves.mean(0)
    best = int(averaged.argmax())
    return levels[best], float(averaged[best])
