"""Thresholds per concept for mask and presence, chosen on validation only, by a rule that somebody states."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation.curves import SWEEP, percentile_threshold, precision_recall
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.metrics import BINS, Histogram, bin_of

FALSE_ALARM_PRICE = 0.5
"""How much mean IoU one may give up to be rid of all false alarms."""

PRESENCE_CHOICES = np.round(np.arange(0.02, 0.99, 0.02), 2)

Kind = Literal["iou", "recall", "precision", "sweep", "percentile"]
Array = NDArray[np.float64]

_NOTHING_SHOWN = "no validation photo shows the concept, so no threshold can be chosen; add some"
_RULE = re.compile(r"(recall|precision|percentile)\s*=\s*(\d*\.?\d+|\d+\.)")


@dataclass(frozen=True)
class ThresholdRule:
    """What a threshold is chosen for.

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
        word = text.strip().lower()
        if word == "iou" or word == "sweep":
            return cls("iou" if word == "iou" else "sweep")
        match = _RULE.fullmatch(word)
        if match:
            kind = next(k for k in ("recall", "precision", "percentile") if k == match[1])
            if 0 < float(match[2]) < (100 if kind == "percentile" else 1):
                return cls(kind, float(match[2]))  # type: ignore[arg-type]  # one of the three
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
    """A mask threshold, a presence threshold, and what they reached on the pairs they were chosen on."""

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
    """Choose both thresholds of every concept among validation scores; see `choose`.

    Args:
        scores: Of all concepts.
        rule: For the mask thresholds.
        presence: For the presence thresholds.
        caution: By concept, where it is not the plain one.
    """
    concepts = dict.fromkeys(score.concept for score in scores)
    told = caution or {}
    return {
        c: choose_for_concept([score for score in scores if score.concept == c], rule, presence, told.get(c))
        for c in concepts
    }


def choose_for_concept(
    scores: Sequence[PairMeasurement],
    rule: ThresholdRule = IOU,
    presence: ThresholdRule = IOU,
    caution: float | None = None,
) -> ThresholdChoice:
    """Choose both thresholds of one concept.

    First the presence threshold. By "iou" it maximises mean IoU less `FALSE_ALARM_PRICE` times the
    false-alarm rate, under the mask threshold of best IoU. For a wanted recall it is the highest at which
    that share of the photographs that show the concept is kept; for a wanted precision the lowest at which
    that share of the photos that are kept shows it.

    Validation often finds a wide range of presence thresholds equally good. Then the nearest to one half is
    taken, which is what a belief means, unless caution says otherwise. Walls of a kind that was not in
    training are believed less than those of validation: low thresholds keep their masks. What is no wall may
    be believed as much where a concept looks like many things, as cracks do: high ones keep silent there.

    The best mask threshold is that of photographs, where there are any: how wide labels of rendered pictures
    are was our own choice.

    Then the mask threshold, by its own rule. For a wanted recall of pixels it is the highest that reaches
    it, for a wanted precision the lowest: the rest is then as good as it can be.

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
    present = [score for score in scores if not score.absent]
    if not present:
        raise DataError(_NOTHING_SHOWN)
    levels = _Levels(scores, present)
    best = levels.best_bin()
    gate = levels.presence(presence, best, caution)
    threshold = best / BINS if rule.kind == "iou" else _mask_threshold(levels, rule, gate)
    return ThresholdChoice(threshold, gate, *levels.reached(bin_of(threshold), gate))


def best_mask_threshold(scores: Sequence[PairMeasurement]) -> float:
    """The mask threshold of best mean IoU over the photographs that show the concept, presence aside.

    Raises:
        DataError: None does.
    """
    present = [score for score in scores if not score.absent]
    if not present:
        raise DataError(_NOTHING_SHOWN)
    return _Levels(scores, present).best_bin() / BINS


class _Levels:
    """What each threshold gives, on the validation scores of one concept."""

    def __init__(self, scores: Sequence[PairMeasurement], present: Sequence[PairMeasurement]) -> None:
        self.concept, self.present = scores[0].concept, present
        self.absent = [score for score in scores if score.absent]
        groups = [score.photograph for score in present]
        counts = {group: groups.count(group) for group in dict.fromkeys(groups)}
        # They sum to 1, and are equal for photographs and, within one, for its copies.
        self.weights: Array = np.array([1 / (counts[group] * len(counts)) for group in groups])
        self.curves: Array = np.stack([np.nan_to_num(score.histogram.iou_curve()) for score in present])
        taken = np.array([not score.sample.rendered for score in present])
        taken = taken if taken.any() else ~taken
        self.deciding: Array = self.weights * taken
        self.labelled = [score for score, kept in zip(present, taken, strict=True) if kept]
        self.beliefs = np.array([score.presence for score in present])
        self.absent_beliefs = np.array([score.presence for score in self.absent])

    def best_bin(self) -> int:
        """The bin of best mean IoU."""
        # a plain average over three neighbouring bins keeps one lucky bin from deciding
        smooth = np.convolve(self.deciding @ self.curves, np.ones(3) / 3, mode="same")
        return int(smooth[2 : BINS - 2].argmax()) + 2

    def reached(self, start: int, gate: float) -> tuple[float, float]:
        """Mean IoU and false-alarm rate of the masks from a bin on, at a presence threshold."""
        iou = float(self.weights @ (self.curves[:, start] * (self.beliefs >= gate)))
        alarms = np.array([score.histogram.counts(start / BINS).false_alarm for score in self.absent], bool)
        return iou, float(np.mean(alarms & (self.absent_beliefs >= gate))) if self.absent else 0.0

    def presence(self, rule: ThresholdRule, start: int, caution: float | None) -> float:
        """The presence threshold by a rule; of equally good ones by caution."""
        if rule.kind == "iou":
            found = [self.reached(start, gate) for gate in PRESENCE_CHOICES]
            worth = np.array([iou - FALSE_ALARM_PRICE * rate for iou, rate in found])
            equal = PRESENCE_CHOICES[worth >= worth.max() - 1e-9]
            wanted = 0.5
            if caution is not None:
                low, high = (np.log(level / (1 - level)) for level in (equal[0], equal[-1]))
                wanted = 1 / (1 + np.exp(-(low + caution * (high - low))))
            return float(equal[np.abs(equal - wanted).argmin()])
        if rule.kind not in ("recall", "precision"):
            raise ConfigError(f"presence can be chosen by iou, recall or precision, not by {rule}")
        kept = np.array([float(self.weights @ (self.beliefs >= gate)) for gate in PRESENCE_CHOICES])
        if rule.kind == "recall":
            return float(PRESENCE_CHOICES[self.where(kept, rule, "presence")[-1]])
        right = np.array([np.count_nonzero(self.beliefs >= gate) for gate in PRESENCE_CHOICES])
        wrong = np.array([np.count_nonzero(self.absent_beliefs >= gate) for gate in PRESENCE_CHOICES])
        shares = np.divide(right, right + wrong, out=np.zeros(len(right)), where=right > 0)
        return float(PRESENCE_CHOICES[self.where(shares, rule, "presence")[0]])

    def where(self, values: Array, rule: ThresholdRule, what: str) -> NDArray[np.intp]:
        """Where a wanted share is reached.

        Raises:
            DataError: Nowhere.
        """
        reached = np.flatnonzero(values >= rule.wanted)
        if not len(reached):
            raise DataError(
                f"{self.concept}: no {what} threshold reaches {rule} on the validation photos; "
                f"the most is {values.max():.3f}"
            )
        return reached


def _mask_threshold(levels: _Levels, rule: ThresholdRule, gate: float) -> float:
    if rule.kind == "sweep":
        return max(SWEEP, key=lambda level: levels.reached(bin_of(level), gate)[0])
    seen = [score.histogram for score in levels.labelled if score.presence >= gate]
    if rule.kind == "percentile":
        nothing = np.zeros(BINS, np.int64)
        inside = sum((histogram.inside for histogram in seen), nothing)
        outside = sum((histogram.outside for histogram in seen), nothing)
        # where more pixels than that are as sure as can be, these are what is marked, and not nothing
        return min((BINS - 1) / BINS, percentile_threshold(Histogram(inside, outside), rule.wanted))
    curve = precision_recall(levels.labelled, gate)
    values = np.nan_to_num(curve.recall if rule.kind == "recall" else curve.precision)
    # neither of the ends is a threshold: 0 marks everything
    reached = levels.where(values[1:], rule, "mask") + 1
    return int(reached[-1] if rule.kind == "recall" else reached[0]) / BINS
