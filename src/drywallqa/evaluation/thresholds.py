"""Thresholds per concept for mask and presence, chosen on validation only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drywallqa.errors import DataError
from drywallqa.evaluation.collect import PairScore
from drywallqa.metrics import BINS

FALSE_ALARM_PRICE = 0.5
"""How much mean IoU one may give up to be rid of all false alarms."""


@dataclass(frozen=True)
class Choice:
    """A mask threshold, a presence threshold, and what they reached on the pairs they were chosen on."""

    threshold: float
    presence_threshold: float
    iou: float
    false_alarm_rate: float


def choose(scores: Sequence[PairScore]) -> Choice:
    """Choose both thresholds of one concept.

    The mask threshold maximises mean IoU over photographs. Then the presence threshold maximises that mean
    IoU less `FALSE_ALARM_PRICE` times the false-alarm rate.

    Raises:
        DataError: No pair shows the concept.
    """
    present = [s for s in scores if not s.absent]
    if not present:
        raise DataError("no validation photo shows the concept, so no threshold can be chosen; add some")
    groups = [s.photograph for s in present]
    weights = _photograph_weights(groups)
    curves = np.stack([np.nan_to_num(s.histogram.iou_curve()) for s in present])
    mean = weights @ curves
    # a plain average over three neighbouring bins keeps one lucky bin from deciding
    smooth = np.convolve(mean, np.ones(3) / 3, mode="same")
    best = int(smooth[2 : BINS - 2].argmax()) + 2
    ious = curves[:, best]
    absent = [s for s in scores if s.absent]
    alarms = np.array([s.histogram.counts(best / BINS).false_alarm for s in absent], bool)
    beliefs = np.array([s.presence for s in present])
    absent_beliefs = np.array([s.presence for s in absent])
    found = []
    for level in np.arange(0.02, 0.99, 0.02):
        iou = float(weights @ (ious * (beliefs >= level)))
        rate = float(np.mean(alarms & (absent_beliefs >= level))) if absent else 0.0
        found.append((iou - FALSE_ALARM_PRICE * rate, float(level), iou, rate))
    top = max(score for score, *_ in found)
    # of equally good levels the middle one: it is the farthest from harm on either side
    equal = [entry for entry in found if entry[0] >= top - 1e-9]
    _, level, iou, rate = equal[len(equal) // 2]
    return Choice(best / BINS, round(level, 2), iou, rate)


def _photograph_weights(groups: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Weights that sum to 1, equal for photographs and, within one, for its copies."""
    counts = {group: groups.count(group) for group in dict.fromkeys(groups)}
    return np.array([1 / (counts[group] * len(counts)) for group in groups])
