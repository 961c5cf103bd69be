"""From scored pairs to the figures of `metrics`: headline, pooled, false alarms, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from drywallqa.evaluation.collect import PairScore
from drywallqa.metrics import Counts, bootstrap_interval, mean_by_group


@dataclass(frozen=True)
class ConceptSummary:
    """Figures of one concept; shares in [0,1], nan where nothing applies.

    Attributes:
        pairs: Photos in which the concept is.
        photographs: Photographs behind them; the means are over these.
        iou: Mean IoU over photographs, with its 95 % interval.
        dice: Mean Dice over photographs, with its 95 % interval.
        pooled_iou: IoU of all pixels together.
        precision: Of all pixels together.
        recall: Of all pixels together.
        pixel_accuracy: Of all pixels together.
        background_accuracy: What an all-background mask would score.
        absent_pairs: Photos in which the concept is known to be absent.
        false_alarm_rate: Share of them whose mask covers more than 0.1 % of the photo.
        false_area: Mean share of the photo falsely marked in them.
    """

    concept: str
    pairs: int
    photographs: int
    iou: float
    iou_interval: tuple[float, float]
    dice: float
    dice_interval: tuple[float, float]
    pooled_iou: float
    precision: float
    recall: float
    pixel_accuracy: float
    background_accuracy: float
    absent_pairs: int
    false_alarm_rate: float
    false_area: float

    def to_json(self) -> dict[str, Any]:
        """Describe as plain data."""
        return asdict(self)


def summarise(
    scores: Sequence[PairScore], thresholds: Mapping[str, tuple[float, float]]
) -> dict[str, ConceptSummary]:
    """Summarise scored pairs by concept.

    Args:
        scores: From `collect`.
        thresholds: Concept → (mask threshold, presence threshold).
    """
    return {
        concept: _summarise(concept, [s for s in scores if s.concept == concept], *levels)
        for concept, levels in thresholds.items()
    }


def _summarise(
    concept: str, scores: Sequence[PairScore], threshold: float, presence_threshold: float
) -> ConceptSummary:
    counted = [(s, s.counts(threshold, presence_threshold)) for s in scores]
    present = [(s, c) for s, c in counted if not s.absent]
    absent = [c for s, c in counted if s.absent]
    groups = [s.photograph for s, _ in present]
    ious, dices = [c.iou for _, c in present], [c.dice for _, c in present]
    pooled = sum((c for _, c in present), Counts(0, 0, 0, 0))
    return ConceptSummary(
        concept=concept,
        pairs=len(present),
        photographs=len(set(groups)),
        iou=mean_by_group(ious, groups),
        iou_interval=bootstrap_interval(ious, groups),
        dice=mean_by_group(dices, groups),
        dice_interval=bootstrap_interval(dices, groups),
        pooled_iou=pooled.iou,
        precision=pooled.precision,
        recall=pooled.recall,
        pixel_accuracy=pooled.pixel_accuracy,
        background_accuracy=Counts(0, 0, pooled.tp + pooled.fn, pooled.tn + pooled.fp).pixel_accuracy,
        absent_pairs=len(absent),
        false_alarm_rate=float(np.mean([c.false_alarm for c in absent])) if absent else float("nan"),
        false_area=float(np.mean([(c.tp + c.fp) / max(1, c.fp + c.tn + c.tp + c.fn) for c in absent]))
        if absent
        else float("nan"),
    )
