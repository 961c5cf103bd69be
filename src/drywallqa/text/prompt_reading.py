"""What a prompt as a whole means: one concept, none, several at once, or the absence of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa.text import prompts
from drywallqa.text.concept_classifier import ConceptClassifier

SHORT = 14  # words; beyond that the sense drowns in one sentence vector
WINDOW = 10
SURE = 0.9  # what a window of a long prompt must reach, since there are many; below it a list is asked
DOMINANCE = 2.0

Float = NDArray[np.float32]
Classify = Callable[[Sequence[str]], Float]
Listed = Callable[[str], str | None]


@dataclass(frozen=True)
class PromptReading:
    """The outcome.

    Attributes:
        kind: `known`, `unknown`, `several` or `negated`.
        concepts: The concepts concerned; one where known; one of several where the rest is unknown.
        essence: The part of the prompt that carries the meaning.
    """

    kind: Literal["known", "unknown", "several", "negated"]
    concepts: tuple[str, ...]
    essence: str


class PromptReader:
    """Reads cleaned prompts by asking a classifier about the whole and about its parts."""

    def __init__(
        self, classify: Classify, understanding: ConceptClassifier, listed: Listed = lambda _: None
    ) -> None:
        """Take the classifier: texts to probabilities [P,K+1], the last column being "other".

        Args:
            classify: The classifier.
            understanding: Decides what its probabilities mean.
            listed: What a phrase is listed to mean ("" something else, None if it is not listed), for
                those of which the classifier is not sure.
        """
        self._classify, self._decide, self._concepts = classify, understanding.decide, understanding.concepts
        self._listed = listed

    def read(self, text: str) -> PromptReading:
        """Read one cleaned prompt."""
        reading = self._read(text)
        doubtful = reading.kind == "unknown" or self._classify([text])[0].max() < SURE
        named = self._listed(text) if doubtful else None
        if named is None:
            return reading
        return PromptReading("known", (named,), text) if named else PromptReading("unknown", (), text)

    def _read(self, text: str) -> PromptReading:
        text = prompts.without_idioms(text)
        if len(text.split()) > SHORT:
            return self._read_long(text)
        wanted = self._read_contrast(text)
        if wanted:
            return wanted
        reading = self._read_short(text)
        for shorter in (prompts.main_clause(text), prompts.without_place(text)):
            if reading.kind == "unknown" and shorter != text:
                other = self._read_short(shorter)
                reading = other if other.kind == "known" else reading
        return reading

    def _read_contrast(self, text: str) -> PromptReading | None:
        """Read what is asked for beside something that is not, None where that is not how the text goes."""
        asked, refused = prompts.contrast(text) or ("", [])
        reading = self._read_short(asked) if asked else None
        if reading is None or reading.kind != "known":
            return None
        spared = refused and any(meant in reading.concepts for meant in self._decide(self._classify(refused)))
        return None if spared else reading

    def _read_short(self, text: str) -> PromptReading:
        """Read the whole, its parts, and what it negates."""
        negations, parts = prompts.negations(text), prompts.prompt_parts(text)
        asked = [text, *parts, *(n.scope for n in negations), *(n.rest or "-" for n in negations)]
        means = self._decide(self._classify(asked))
        found, scopes = means[1 : 1 + len(parts)], means[1 + len(parts) :]
        # Where one part alone names anything, it may speak for the whole: "find the crack and mark it".
        whole = means[0] or (found[0] if len(parts) == 1 else None)
        rests = scopes[len(negations) :]
        for negation, scope, rest in zip(negations, scopes, rests, strict=False):
            spared = whole == scope if negation.doubtful else rest == scope
            if scope is None or spared:
                continue
            if rest is not None and not negation.doubtful:  # "the line, not the area around it"
                return PromptReading("known", (rest,), negation.rest)
            return PromptReading("negated", (scope,), text)
        distinct = tuple(dict.fromkeys(concept for concept in found if concept))
        if len(distinct) > 1:
            return PromptReading("several", distinct, text)
        if whole is None:
            return PromptReading("several" if distinct else "unknown", distinct, text)
        return PromptReading("known", (whole,), text)

    def _read_long(self, text: str) -> PromptReading:
        """Read window by window; the concept that most windows speak of is meant."""
        windows = prompts.word_windows(text, WINDOW)
        scores = self._classify(windows)[:, :-1].copy()
        for place, window in enumerate(windows):
            if any(self._decide(self._negated(window))):
                scores[place] = 0.0
        weight = np.where(scores >= SURE, scores, 0.0).sum(axis=0)
        order = np.argsort(-weight)
        if weight[order[0]] == 0.0:
            return PromptReading("unknown", (), windows[0])
        if len(order) > 1 and weight[order[0]] < DOMINANCE * weight[order[1]]:
            return PromptReading("several", tuple(self._concepts[place] for place in order[:2]), text)
        best = int(scores[:, order[0]].argmax())
        return PromptReading("known", (self._concepts[order[0]],), windows[best])

    def _negated(self, window: str) -> Float:
        scopes = [negation.scope for negation in prompts.negations(window) if not negation.doubtful]
        return self._classify(scopes) if scopes else np.zeros((0, len(self._concepts) + 1), np.float32)
