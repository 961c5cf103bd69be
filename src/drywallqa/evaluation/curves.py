"""Threshold curves and calibration, computed from stored histograms without running the model again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.metrics import BINS, Counts, Histogram, mean_by_group

SWEEP = tuple(step / 10 for step in range(1, 10))
PERCENTILES = (80.0, 90.0, 95.0, 97.0, 98.0, 99.0)
PRESENCE_LEVELS = tuple(step / 20 for step in range(20))
CALIBRATION_BINS = 16

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SweepRow:
    """Metrics at one value of a threshold.

    Attributes:
        level: The value of the threshold or of the percentile.
        iou: Mean IoU over source photos that show the concept.
        dice: Mean Dice over source photos that show the concept.
        precision: Pixel precision, pooled over photos that show the concept.
        recall: Pixel recall, pooled over photos that show the concept.
        false_alarms: Share of photos without the concept in which more than 0.1 % of the area is marked.
    """

    level: float
    iou: float
    dice: float
    precision: float
    recall: float
    false_alarms: float


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Pixel precision and recall at the thresholds k/256 [256], after the presence threshold was applied.

    Attributes:
        precision: Precision at each threshold; nan if nothing is marked.
        recall: Recall at each threshold. Recall falls as the threshold rises.
        average_precision: Area under the curve: the sum of precision × change in recall over the thresholds.
    """

    precision: Array
    recall: Array
    average_precision: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """The predicted probability and the observed share of foreground pixels in each probability bin.

    Attributes:
        predicted: Mean probability of each bin [CALIBRATION_BINS]; nan for an empty bin.
        observed: Share of foreground pixels in each bin.
        pixels: Number of pixels in each bin.
        error: Expected calibration error: mean of |predicted - observed|, weighted by number of pixels.
    """

    predicted: Array
    observed: Array
    pixels: NDArray[np.int64]
    error: float

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as JSON data; empty bins are None."""
        columns = {"predicted": self.predicted, "observed": self.observed}
        bins = {
            name: [None if np.isnan(v) else round(float(v), 5) for v in column]
            for name, column in columns.items()
        }
        return {**bins, "pixels": self.pixels.tolist(), "expected calibration error": round(self.error, 6)}


def precision_recall(
    scores: Sequence[PairMeasurement], presence_threshold: float | None = None
) -> PrecisionRecall:
    """Compute precision and recall over the pixels of all pairs.

    If the presence of a pair is below the presence threshold, its mask counts as empty.

    Args:
        scores: The pairs.
        presence_threshold: The presence threshold; by default the threshold that was used for each pair.
    """
    seen = Histogram.pooled(s.histogram for s in scores if s.is_present(presence_threshold))
    hits = np.cumsum(seen.inside[::-1])[::-1]
    marked = hits + np.cumsum(seen.outside[::-1])[::-1]
    truth = sum(s.histogram.truth_area for s in scores)
    precision = np.divide(hits, marked, out=np.full(BINS, np.nan), where=marked > 0)
    recall = np.divide(hits, truth, out=np.full(BINS, np.nan), where=np.full(BINS, truth > 0))
    steps = recall - np.append(recall[1:], 0.0)
    return PrecisionRecall(precision, recall, float(np.nansum(np.nan_to_num(precision) * steps)))


def calibration(scores: Sequence[PairMeasurement]) -> Calibration:
    """Compare the predicted probability with the observed share of foreground over all pixels."""
    pooled = Histogram.pooled(s.histogram for s in scores)
    whole = pooled.inside + pooled.outside
    shape = (CALIBRATION_BINS, -1)
    pixels = whole.reshape(shape).sum(axis=1)
    centres = (np.arange(BINS) + 0.5) / BINS
    beliefs, hits = (whole * centres).reshape(shape).sum(axis=1), pooled.inside.reshape(shape).sum(axis=1)
    filled = pixels > 0
    predicted, observed = (
        np.divide(part, pixels, out=np.full(CALIBRATION_BINS, np.nan), where=filled)
        for part in (beliefs, hits.astype(np.float64))
    )
    gaps = np.abs(predicted - observed)[filled]
    return Calibration(predicted, observed, pixels, float((gaps * pixels[filled]).sum() / pixels.sum()))


def threshold_sweep(
    scores: Sequence[PairMeasurement],
    presence_threshold: float | None = None,
    levels: Sequence[float] = SWEEP,
) -> list[SweepRow]:
    """Measure the masks at each mask threshold, with a fixed presence threshold.

    If `presence_threshold` is None, each pair keeps the presence threshold that was used for its mask.
    """
    return [_row(level, scores, [s.counts_at(level, presence_threshold) for s in scores]) for level in levels]


def presence_sweep(
    scores: Sequence[PairMeasurement],
    threshold: float | None = None,
    levels: Sequence[float] = PRESENCE_LEVELS,
) -> list[SweepRow]:
    """Measure the masks at each presence threshold, with a fixed mask threshold.

    If `threshold` is None, each pair keeps the mask threshold that was used for its mask.
    """
    return [_row(level, scores, [s.counts_at(threshold, level) for s in scores]) for level in levels]


def percentile_sweep(
    scores: Sequence[PairMeasurement],
    presence_threshold: float | None = None,
    levels: Sequence[float] = PERCENTILES,
) -> list[SweepRow]:
    """Measure masks whose threshold is a percentile of each photo's probabilities, as in the original report.

    This rule marks the same share of every photo, even of photos without the concept.
    """

    def counts(score: PairMeasurement, percentile: float) -> Counts:
        return score.counts_at(percentile_threshold(score.histogram, percentile), presence_threshold)

    return [_row(level, scores, [counts(s, level) for s in scores]) for level in levels]


def percentile_threshold(histogram: Histogram, percentile: float) -> float:
    """Return the lowest threshold k/256 that at most 100 − `percentile` % of the pixels reach."""
    whole = histogram.inside + histogram.outside
    above = np.append(np.cumsum(whole[::-1])[::-1], 0)
    return int(np.argmax(above <= (1 - percentile / 100) * whole.sum() + 1e-9)) / BINS


def _row(level: float, scores: Sequence[PairMeasurement], counts: Sequence[Counts]) -> SweepRow:
    present = [(s, c) for s, c in zip(scores, counts, strict=True) if not s.absent]
    groups = [f"{s.concept}/{s.photograph}" for s, _ in present]
    absent = [c.false_alarm for s, c in zip(scores, counts, strict=True) if s.absent]
    total = sum((c for _, c in present), Counts(0, 0, 0, 0))
    return SweepRow(
        level,
        mean_by_group([c.iou for _, c in present], groups),
        mean_by_group([c.dice for _, c in present], groups),
        total.precision,
        total.recall,
        float(np.mean(absent)) if absent else float("nan"),
    )
