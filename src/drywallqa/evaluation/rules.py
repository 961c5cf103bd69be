"""Choosing thresholds by a rule that somebody states: best IoU, or a wanted recall or precision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation.collect import PairScore
from drywallqa.evaluation.curves import precision_recall
from drywallqa.evaluation.subject import Levels
from drywallqa.evaluation.thresholds import choose
from drywallqa.metrics import BINS

_RULE = re.compile(r"(recall|precision)\s*=\s*(0?\.\d+|[01](?:\.\d*)?)")


@dataclass(frozen=True)
class Rule:
    """What thresholds are chosen for: "iou", or that recall or precision reaches `wanted`."""

    kind: Literal["iou", "recall", "precision"]
    wanted: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read "iou", "recall=0.9" or "precision=0.8".

        Raises:
            ConfigError: It is none of these.
        """
        if text.strip().lower() == "iou":
            return cls("iou")
        match = _RULE.fullmatch(text.strip().lower())
        if not match or not 0 < float(match[2]) < 1:
            raise ConfigError(f"--choose {text}: write iou, recall=0.9 or precision=0.8 (between 0 and 1)")
        return cls("recall" if match[1] == "recall" else "precision", float(match[2]))

    def __str__(self) -> str:
        return "iou" if self.kind == "iou" else f"{self.kind}={self.wanted:g}"


def choose_levels(scores: Sequence[PairScore], rule: Rule) -> Levels:
    """Choose both thresholds of every concept among validation scores.

    The presence threshold is that of best IoU. For a wanted recall the mask threshold is the highest that
    reaches it, for a wanted precision the lowest: the rest is then as good as it can be.

    Raises:
        DataError: A concept is shown by no photo, or no threshold reaches what is wanted.
    """
    concepts = dict.fromkeys(score.concept for score in scores)
    return {concept: _choose([s for s in scores if s.concept == concept], rule) for concept in concepts}


def _choose(scores: Sequence[PairScore], rule: Rule) -> tuple[float, float]:
    best = choose(scores)
    if rule.kind == "iou":
        return best.threshold, best.presence_threshold
    curve = precision_recall([s for s in scores if not s.absent], best.presence_threshold)
    values = np.nan_to_num(curve.recall if rule.kind == "recall" else curve.precision)
    # neither of the ends is a threshold: 0 marks everything
    reached = np.flatnonzero(values[1:] >= rule.wanted) + 1
    if not len(reached):
        raise DataError(
            f"{scores[0].concept}: no threshold reaches {rule} on the validation photos; "
            f"the most is {values[1:].max():.3f}"
        )
    index = reached[-1] if rule.kind == "recall" else reached[0]
    return int(index) / BINS, best.presence_threshold
