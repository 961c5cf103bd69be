"""Choose the mask and presence thresholds of each concept by a rule, using validation photos."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation.curves import SWEEP, percentile_threshold, precision_recall
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.metrics import BINS, Histogram, bin_of

FALSE_ALARM_PRICE = 0.5  # loss of mean IoU that is acceptable if it removes all false alarms

PRESENCE_CHOICES = np.round(np.arange(0.02, 0.99, 0.02), 2)

Kind = Literal["iou", "recall", "precision", "sweep", "percentile"]
Array = NDArray[np.float64]

_RULE = re.compile(r"(iou|sweep)|(recall|precision|percentile)\s*=\s*(\d*\.?\d+|\d+\.)")


@dataclass(frozen=True)
class ThresholdRule:
    """A rule for choosing a threshold.

    Attributes:
        kind: "iou" maximises the mean IoU. "recall" and "precision" choose a threshold that reaches the value
            `wanted`. "sweep" takes the best of the thresholds 0.1, 0.2 … 0.9, as in the original report.
            "percentile" takes the threshold below which the probabilities of `wanted` percent of the pixels
            lie, over all photos that show the concept.
        wanted: A share in (0,1), or a percentage in (0,100) for "percentile"; 0 for the other kinds.
    """

    kind: Kind
    wanted: float = 0.0

    @classmethod
    def parse(cls, text: str) -> ThresholdRule:
        """Read "iou", "sweep", "recall=0.9", "precision=0.8" or "percentile=95".

        Raises:
            ConfigError: The text is not one of these rules.
        """
        match = _RULE.fullmatch(text.strip().lower())
        kind, wanted = (match[1] or match[2], float(match[3] or 0)) if match else ("", 0.0)
        if kind in ("iou", "sweep") or 0 < wanted < (100 if kind == "percentile" else 1):
            return cls(cast(Kind, kind), wanted)
        raise ConfigError(
            f"'{text}' is not a threshold rule; use iou, sweep, recall=0.9, precision=0.8 (between 0 and "
            "1) or percentile=95"
        )

    def __str__(self) -> str:
        return f"{self.kind}={self.wanted:g}" if self.wanted else self.kind


IOU = ThresholdRule("iou")


def parse_tie_breaks(given: Sequence[str]) -> dict[str, float]:
    """Parse texts such as "crack=0.75" into concept → number.

    Raises:
        ConfigError: A text does not have the form "concept=number" with a number from 0 to 1.
    """
    shares = {}
    for text in given:
        match = re.fullmatch(r"\s*(.*\S)\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?|\.\d+)\s*", text)
        if not match:
            raise ConfigError(
                f"--caution {text}: pass a concept and a number from 0 to 1, such as crack=0.75"
            )
        shares[match[1]] = float(match[2])
    return shares


@dataclass(frozen=True)
class ThresholdChoice:
    """A mask threshold and a presence threshold, with their IoU and false-alarm rate on validation photos."""

    threshold: float
    presence_threshold: float
    iou: float
    false_alarm_rate: float


def choose_thresholds(
    scores: Sequence[PairMeasurement],
    rule: ThresholdRule = IOU,
    presence: ThresholdRule = IOU,
    caution: Mapping[str, float] | None = None,
) -> dict[str, ThresholdChoice]:
    """Choose both thresholds of every concept with `choose_for_concept`.

    Args:
        scores: The validation pairs of all concepts.
        rule: The rule for the mask thresholds.
        presence: The rule for the presence thresholds.
        caution: Concept → caution, as in `choose_for_concept`. It may be missing for some concepts.
    """
    return {
        c: choose_for_concept([s for s in scores if s.concept == c], rule, presence, (caution or {}).get(c))
        for c in dict.fromkeys(score.concept for score in scores)
    }


def choose_for_concept(
    scores: Sequence[PairMeasurement],
    rule: ThresholdRule = IOU,
    presence: ThresholdRule = IOU,
    caution: float | None = None,
) -> ThresholdChoice:
    """Choose both thresholds of one concept.

    The presence threshold is chosen first. The rule "iou" maximises the mean IoU minus `FALSE_ALARM_PRICE`
    times the false-alarm rate, at the mask threshold with the best IoU. The rule "recall" takes the highest
    presence threshold that keeps the wanted share of the source photos with the concept. The rule "precision"
    takes the lowest presence threshold at which the wanted share of the kept photos shows the concept.

    Often, many presence thresholds are equally good on the validation photos. In this case, the one nearest
    to 0.5 is used, unless `caution` is given. A low threshold keeps correct masks on kinds of wall that are
    missing from the training photos, because the model predicts a lower presence there. A high threshold
    prevents false masks of objects that look like the concept, as many objects look like cracks.

    The mask threshold is then chosen by its own rule. The rule "recall" takes the highest threshold that
    reaches the wanted pixel recall, which keeps precision as high as possible. The rule "precision" takes the
    lowest threshold that reaches the wanted pixel precision, which keeps recall as high as possible. Rendered
    pictures are ignored if there are real photos, because labels in rendered pictures have an arbitrary
    width.

    Args:
        scores: The validation pairs of one concept.
        rule: The rule for the mask threshold.
        presence: The rule for the presence threshold.
        caution: If several presence thresholds are equally good, 0 takes the lowest, 1 the highest, and a
            fraction takes a threshold in between, on a logit scale.

    Raises:
        DataError: No pair shows the concept, or no threshold reaches the wanted value.
        ConfigError: The rule cannot be used for presence thresholds.
    """
    candidates = _Candidates(scores)
    best = candidates.best_bin()
    gate = candidates.presence_threshold(presence, best, caution)
    threshold = best / BINS if rule.kind == "iou" else candidates.mask_threshold(rule, gate)
    return ThresholdChoice(threshold, gate, *candidates.figures(bin_of(threshold), gate))


def best_mask_threshold(scores: Sequence[PairMeasurement]) -> float:
    """Return the mask threshold with the best mean IoU over source photos that show the concept.

    Presence is ignored.

    Raises:
        DataError: No photo shows the concept.
    """
    return _Candidates(scores).best_bin() / BINS


class _Candidates:
    """Computes IoU and false-alarm rate of candidate thresholds on the validation pairs of one concept."""

    def __init__(self, scores: Sequence[PairMeasurement]) -> None:
        present = [score for score in scores if not score.absent]
        if not present:
            raise DataError(
                "no validation photo shows the concept, so no threshold can be chosen; add such photos"
            )
        self.concept = scores[0].concept
        self.absent = [score for score in scores if score.absent]
        groups = [score.photograph for score in present]
        counts = Counter(groups)
        # The weights sum to 1. Each source photo has the same weight, which its copies share equally.
        self.weights: Array = np.array([1 / (counts[group] * len(counts)) for group in groups])
        self.curves: Array = np.stack([np.nan_to_num(score.histogram.iou_curve()) for score in present])
        # Rendered pictures affect the mask threshold only if there are no real photos.
        taken = np.array([not score.sample.rendered for score in present])
        taken = taken if taken.any() else ~taken
        self.deciding: Array = self.weights * taken
        self.labelled = [score for score, kept in zip(present, taken, strict=True) if kept]
        self.presence = np.array([score.presence for score in present])
        self.absent_presence = np.array([score.presence for score in self.absent])

    def best_bin(self) -> int:
        """Return the bin with the best mean IoU."""
        # Averaging three neighbouring bins reduces the effect of a single lucky bin.
        smooth = np.convolve(self.deciding @ self.curves, np.ones(3) / 3, mode="same")
        return int(smooth[2 : BINS - 2].argmax()) + 2

    def figures(self, start: int, gate: float) -> tuple[float, float]:
        """Return mean IoU and false-alarm rate at a mask threshold (as a bin) and a presence threshold."""
        iou = float(self.weights @ (self.curves[:, start] * (self.presence >= gate)))
        alarms = np.array([score.histogram.counts(start / BINS).false_alarm for score in self.absent], bool)
        return iou, float(np.mean(alarms & (self.absent_presence >= gate))) if self.absent else 0.0

    def presence_threshold(self, rule: ThresholdRule, start: int, caution: float | None) -> float:
        """Choose the presence threshold by a rule. `caution` decides between equally good thresholds."""
        if rule.kind == "iou":
            found = [self.figures(start, gate) for gate in PRESENCE_CHOICES]
            worth = np.array([iou - FALSE_ALARM_PRICE * rate for iou, rate in found])
            equal = PRESENCE_CHOICES[worth >= worth.max() - 1e-9]
            wanted = 0.5
            if caution is not None:
                low, high = (np.log(level / (1 - level)) for level in (equal[0], equal[-1]))
                wanted = 1 / (1 + np.exp(-(low + caution * (high - low))))
            return float(equal[np.abs(equal - wanted).argmin()])
        if rule.kind not in ("recall", "precision"):
            raise ConfigError(f"presence thresholds can be chosen by iou, recall or precision, not by {rule}")
        kept = self.presence >= PRESENCE_CHOICES[:, None]
        if rule.kind == "recall":
            shares = np.array([float(self.weights @ each) for each in kept])
        else:
            right = kept.sum(axis=1)
            wrong = (self.absent_presence >= PRESENCE_CHOICES[:, None]).sum(axis=1)
            shares = np.divide(right, right + wrong, out=np.zeros(len(right)), where=right > 0)
        return float(PRESENCE_CHOICES[self._first_or_last(shares, rule, "presence")])

    def mask_threshold(self, rule: ThresholdRule, gate: float) -> float:
        """Choose the mask threshold by a rule other than "iou", at a given presence threshold."""
        if rule.kind == "sweep":
            return max(SWEEP, key=lambda level: self.figures(bin_of(level), gate)[0])
        if rule.kind == "percentile":
            seen = Histogram.pooled(s.histogram for s in self.labelled if s.presence >= gate)
            # If too many pixels have the highest probability, all these pixels are marked instead of none.
            return min((BINS - 1) / BINS, percentile_threshold(seen, rule.wanted))
        curve = precision_recall(self.labelled, gate)
        values = np.nan_to_num(curve.recall if rule.kind == "recall" else curve.precision)
        # the threshold 0 is excluded, because it marks every pixel
        return (self._first_or_last(values[1:], rule, "mask") + 1) / BINS

    def _first_or_last(self, values: Array, rule: ThresholdRule, what: str) -> int:
        """Return the index of the highest threshold with enough recall, or the lowest with enough precision.

        Raises:
            DataError: No threshold reaches the wanted value.
        """
        reached = np.flatnonzero(values >= rule.wanted)
        if not len(reached):
            raise DataError(
                f"{self.concept}: no {what} threshold reaches {rule} on the validation photos; "
                f"the highest value is {values.max():.3f}"
            )
        return int(reached[-1] if rule.kind == "recall" else reached[0])
