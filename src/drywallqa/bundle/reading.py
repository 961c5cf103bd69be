"""What a prompt as a whole means: one concept, none, several at once, or the absence of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa import prompts

SHORT = 14  # words; beyond that the sense drowns in one sentence vector
WINDOW = 10
SURE = 0.9  # what a window of a long prompt must reach, since there are many of them
DOMINANCE = 2.0

Float = NDArray[np.float32]
Classify = Callable[[Sequence[str]], Float]


@dataclass(frozen=True)
class Reading:
    """The outcome.

    Attributes:
        kind: `known`, `unknown`, `several` or `negated`.
        concepts: The concepts concerned; one where known; one of several where the rest is unknown.
        essence: The part of the prompt that carries the meaning.
        confidence: The probability of the concept, 0 where unknown.
    """

    kind: Literal["known", "unknown", "several", "negated"]
    concepts: tuple[str, ...]
    essence: str
    confidence: float = 0.0


class Reader:
    """Reads cleaned prompts by asking a classifier about the whole and about its parts."""

    def __init__(self, classify: Classify, concepts: Sequence[str], threshold: float) -> None:
        """Take the classifier: texts to probabilities [P,K+1], the last column being "other"."""
        self._classify, self._concepts, self._threshold = classify, tuple(concepts), threshold

    def read(self, text: str) -> Reading:
        """Read one cleaned prompt."""
        text = prompts.without_idioms(text)
        if len(text.split()) > SHORT:
            return self._read_long(text)
        negations, parts = prompts.negations(text), prompts.parts(text)
        asked = [text, *parts, *(n.scope for n in negations), *(n.rest or "-" for n in negations)]
        scores = self._classify(asked)
        whole, found = self._meant(scores[0]), [self._meant(row) for row in scores[1 : 1 + len(parts)]]
        offset = 1 + len(parts)
        for place, negation in enumerate(negations):
            scope = self._meant(scores[offset + place])
            rest = self._meant(scores[offset + len(negations) + place])
            spared = whole == scope if negation.doubtful else rest == scope
            if scope is not None and not spared:
                return Reading("negated", (scope,), text)
        distinct = tuple(dict.fromkeys(concept for concept in found if concept))
        if len(distinct) > 1:
            return Reading("several", distinct, text)
        if whole is None:
            return Reading("several" if distinct else "unknown", distinct, text)
        return Reading("known", (whole,), text, float(scores[0].max()))

    def _read_long(self, text: str) -> Reading:
        """Read window by window; the concept that most windows speak of is meant."""
        windows = prompts.windows(text, WINDOW)
        scores = self._classify(windows)[:, :-1].copy()
        for place, window in enumerate(windows):
            if any(self._meant(row) for row in self._negated(window)):
                scores[place] = 0.0
        weight = np.where(scores >= SURE, scores, 0.0).sum(axis=0)
        order = np.argsort(-weight)
        if weight[order[0]] == 0.0:
            return Reading("unknown", (), windows[0])
        if len(order) > 1 and weight[order[0]] < DOMINANCE * weight[order[1]]:
            return Reading("several", tuple(self._concepts[place] for place in order[:2]), text)
        best = int(scores[:, order[0]].argmax())
        return Reading("known", (self._concepts[order[0]],), windows[best], float(scores[best, order[0]]))

    def _negated(self, window: str) -> Float:
        scopes = [negation.scope for negation in prompts.negations(window) if not negation.doubtful]
        return self._classify(scopes) if scopes else np.zeros((0, len(self._concepts) + 1), np.float32)

    def _meant(self, row: Float) -> str | None:
        best = int(row[:-1].argmax())
        return self._concepts[best] if row[best] >= self._threshold else None
