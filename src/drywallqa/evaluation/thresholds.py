"""Choose the mask threshold and the presence threshold of a concept on validation pairs, by a given rule."""

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

FALSE_ALARM_PRICE = 0.5  # mean IoU that may be lost to remove all false alarms

PRESENCE_CHOICES = np.round(np.arange(0.02, 0.99, 0.02), 2)

Kind = Literal["iou", "recall", "precision", "sweep", "percentile"]
Array = NDArray[np.float64]

_RULE = re.compile(r"(iou|sweep)|(recall|precision|percentile)\s*=\s*(\d*\.?\d+|\d+\.)")


@dataclass(frozen=True)
class ThresholdRule:
    """The rule by which a threshold is chosen.

    Attributes:
        kind: "iou": the best mean IoU. "recall", "precision": that it reaches `wanted`. "sweep": the best of
            0.1, 0.2 … 0.9, as the original report tried them. "percentile": that this percentage of the
            pixels of photos which show the concept lies below.
        wanted: A share in (0,1); of "percentile" a percentage in (0,100).
    """

    kind: Kind
    wanted: float = 0.0

    @classmethod
    def parse(cls, text: str) -> ThresholdRule:
        """Read "iou", "sweep", "recall=0.9", "precision=0.8" or "percentile=95".

        Raises:
            ConfigError: It is none of these.
        """
        match = _RULE.fullmatch(text.strip().lower())
        kind, wanted = (match[1] or match[2], float(match[3] or 0)) if match else ("", 0.0)
        if kind in ("iou", "sweep") or 0 < wanted < (100 if kind == "percentile" else 1):
            return cls(cast(Kind, kind), wanted)
        raise ConfigError(
            f"'{text}' is no rule for thresholds; write iou, sweep, recall=0.9, precision=0.8 (between 0 and "
            "1) or percentile=95"
        )

    def __str__(self) -> str:
        return f"{self.kind}={self.wanted:g}" if self.wanted else self.kind


IOU = ThresholdRule("iou")


def parse_tie_breaks(given: Sequence[str]) -> dict[str, float]:
    """Read "crack=0.75" and the like.

    Raises:
        ConfigError: It is no concept with a share between 0 and 1.
    """
    shares = {}
    for text in given:
        match = re.fullmatch(r"\s*(.*\S)\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?|\.\d+)\s*", text)
        if not match:
            raise ConfigError(f"--caution {text}: write a concept and a share from 0 to 1: crack=0.75")
        shares[match[1]] = float(match[2])
    return shares


@dataclass(frozen=True)
class ThresholdChoice:
    """A mask threshold and a presence threshold, with their figures on the pairs they were chosen on."""

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
    """Choose both thresholds of every concept among validation pairs; see `choose_for_concept`.

    Args:
        scores: Of all concepts.
        rule: For the mask thresholds.
        presence: For the presence thresholds.
        caution: Concept → caution, where there is one.
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

    The presence threshold is chosen first. By "iou" it maximises mean IoU minus `FALSE_ALARM_PRICE` times the
    false-alarm rate, with the mask threshold of best IoU. For a wanted recall it is the highest at which
    that share of the photographs that show the concept is kept; for a wanted precision the lowest at which
    that share of the photos that are kept shows it.

    Validation often finds a wide range of presence thresholds equally good. Then the nearest to one half is
    taken, the natural limit of a probability, unless caution says otherwise. Walls of a kind that was not in
    training get a lower presence than those of validation: low thresholds keep their masks. Pictures of other
    things may get a high presence where a concept looks like many things, as cracks do: high thresholds keep
    the mask empty there.

    The best mask threshold is that of photographs, where there are any: the width of labels in rendered
    pictures was our own choice.

    Then the mask threshold, by its own rule. For a wanted recall of pixels it is the highest that reaches
    it, for a wanted precision the lowest: the other of the two is then as high as possible.

    Args:
        scores: Of one concept.
        rule: For the mask threshold.
        presence: For the presence threshold.
        caution: Among equally good presence thresholds, how far to go, in logits, from the lowest (0) to the
            highest (1).

    Raises:
        DataError: No pair shows the concept, or no threshold reaches what is wanted.
        ConfigError: The rule is none for presence.
    """
    candidates = _Candidates(scores)
    best = candidates.best_bin()
    gate = candidates.presence_threshold(presence, best, caution)
    threshold = best / BINS if rule.kind == "iou" else candidates.mask_threshold(rule, gate)
    return ThresholdChoice(threshold, gate, *candidates.figures(bin_of(threshold), gate))


def best_mask_threshold(scores: Sequence[PairMeasurement]) -> float:
    """Return the mask threshold of best mean IoU over photographs with the concept, ignoring presence.

    Raises:
        DataError: No photograph shows it.
    """
    return _Candidates(scores).best_bin() / BINS


class _Candidates:
    """The figures of each threshold, on the validation pairs of one concept."""

    def __init__(self, scores: Sequence[PairMeasurement]) -> None:
        present = [score for score in scores if not score.absent]
        if not present:
            raise DataError("no validation photo shows the concept, so no threshold can be chosen; add some")
        self.concept = scores[0].concept
        self.absent = [score for score in scores if score.absent]
        groups = [score.photograph for score in present]
        counts = Counter(groups)
        # They sum to 1, and are equal for photographs and, within one, for its copies.
        self.weights: Array = np.array([1 / (counts[group] * len(counts)) for group in groups])
        self.curves: Array = np.stack([np.nan_to_num(score.histogram.iou_curve()) for score in present])
        # Photographs decide about masks; rendered pictures only where there is nothing else.
        taken = np.array([not score.sample.rendered for score in present])
        taken = taken if taken.any() else ~taken
        self.deciding: Array = self.weights * taken
        self.labelled = [score for score, kept in zip(present, taken, strict=True) if kept]
        self.presence = np.array([score.presence for score in present])
        self.absent_presence = np.array([score.presence for score in self.absent])

    def best_bin(self) -> int:
        """Return the bin of best mean IoU."""
        # averaging three neighbouring bins reduces the effect of a single lucky bin
        smooth = np.convolve(self.deciding @ self.curves, np.ones(3) / 3, mode="same")
        return int(smooth[2 : BINS - 2].argmax()) + 2

    def figures(self, start: int, gate: float) -> tuple[float, float]:
        """Mean IoU and false-alarm rate of the masks from a bin on, at a presence threshold."""
        iou = float(self.weights @ (self.curves[:, start] * (self.presence >= gate)))
        alarms = np.array([score.histogram.counts(start / BINS).false_alarm for score in self.absent], bool)
        return iou, float(np.mean(alarms & (self.absent_presence >= gate))) if self.absent else 0.0

    def presence_threshold(self, rule: ThresholdRule, start: int, caution: float | None) -> float:
        """Choose the presence threshold by a rule, among equally good ones by caution."""
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
            raise ConfigError(f"presence can be chosen by iou, recall or precision, not by {rule}")
        kept = self.presence >= PRESENCE_CHOICES[:, None]
        if rule.kind == "recall":
            shares = np.array([float(self.weights @ each) for each in kept])
        else:
            right = kept.sum(axis=1)
            wrong = (self.absent_presence >= PRESENCE_CHOICES[:, None]).sum(axis=1)
            shares = np.divide(right, right + wrong, out=np.zeros(len(right)), where=right > 0)
        return float(PRESENCE_CHOICES[self._first_or_last(shares, rule, "presence")])

    def mask_threshold(self, rule: ThresholdRule, gate: float) -> float:
        """Choose the mask threshold by a rule other than "iou", at a presence threshold."""
        if rule.kind == "sweep":
            return max(SWEEP, key=lambda level: self.figures(bin_of(level), gate)[0])
        if rule.kind == "percentile":
            seen = [score.histogram for score in self.labelled if score.presence >= gate]
            nothing = np.zeros(BINS, np.int64)
            inside = sum((histogram.inside for histogram in seen), nothing)
            outside = sum((histogram.outside for histogram in seen), nothing)
            # if too many pixels have the highest probability, these pixels are marked instead of none
            return min((BINS - 1) / BINS, percentile_threshold(Histogram(inside, outside), rule.wanted))
        curve = precision_recall(self.labelled, gate)
        values = np.nan_to_num(curve.recall if rule.kind == "recall" else curve.precision)
        # 0 is not a threshold, because it marks everything
        return (self._first_or_last(values[1:], rule, "mask") + 1) / BINS

    def _first_or_last(self, values: Array, rule: ThresholdRule, what: str) -> int:
        """Return the highest threshold that reaches a wanted recall, or the lowest that reaches a precision.

        Raises:
            DataError: None does.
        """
        reached = np.flatnonzero(values >= rule.wanted)
        if not len(reached):
            raise DataError(
                f"{self.concept}: no {what} threshold reaches {rule} on the validation photos; "
                f"the most is {values.max():.3f}"
            )
        return int(reached[-1] if rule.kind == "recall" else reached[0])
