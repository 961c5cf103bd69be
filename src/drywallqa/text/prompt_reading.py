"""Find out what a whole prompt means: one concept, none, several at once, or the absence of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa.text import phrase_bank, prompts
from drywallqa.text.concept_classifier import ConceptClassifier
from drywallqa.text.text_encoder import CACHED, OnnxTextEncoder

SHORT = 14  # words; in longer prompts one sentence vector no longer holds the meaning
WINDOW = 10  # words
SURE = 0.9  # probability; a window must reach it, and below it the lists of phrases decide
DOMINANCE = 2.0


@dataclass(frozen=True)
class PromptReading:
    """The meaning of a prompt.

    Attributes:
        kind: `known`, `unknown`, `several` or `negated`.
        concepts: The concepts concerned: one if known, one of several if the rest is unknown.
        essence: The part of the prompt that carries the meaning.
    """

    kind: Literal["known", "unknown", "several", "negated"]
    concepts: tuple[str, ...]
    essence: str


class PromptReader:
    """Reads cleaned prompts: it classifies the whole text, its parts and what it negates."""

    def __init__(self, encoder: OnnxTextEncoder, classifier: ConceptClassifier) -> None:
        self._encoder, self._classifier = encoder, classifier
        self.read = lru_cache(CACHED)(self._read)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._encoder, self._classifier)

    def _read(self, text: str) -> PromptReading:
        """Read one cleaned prompt. The shipped lists of phrases decide where the classifier is not sure."""
        concepts = self._classifier.concepts
        if not concepts:
            return PromptReading("unknown", (), text)
        reading = self._read_any_length(prompts.without_idioms(text))
        if reading.kind != "unknown" and self._classify([text])[0].max() >= SURE:
            return reading
        meaning = phrase_bank.shipped_meaning(text, concepts)
        if meaning is None:
            return reading
        return PromptReading("known", (meaning,), text) if meaning else PromptReading("unknown", (), text)

    def _read_any_length(self, text: str) -> PromptReading:
        if len(text.split()) > SHORT:
            return self._read_long(text)
        asked, refused = prompts.contrast(text)
        if asked:
            reading = self._read_short(asked)
            if reading.kind == "known" and reading.concepts[0] not in self._meanings(refused):
                return reading
        reading = self._read_short(text)
        for shorter in (prompts.main_clause(text), prompts.without_place(text)):
            if reading.kind == "unknown" and shorter != text:
                other = self._read_short(shorter)
                reading = other if other.kind == "known" else reading
        return reading

    def _read_short(self, text: str) -> PromptReading:
        """Read the whole text, its parts, and what it negates."""
        negations, parts = prompts.negations(text), prompts.prompt_parts(text)
        texts = [text, *parts, *(n.scope for n in negations), *(n.rest or "-" for n in negations)]
        whole, *meanings = self._meanings(texts)
        named, negated = meanings[: len(parts)], meanings[len(parts) :]
        # A single part with a meaning may speak for the whole: "find the crack and mark it".
        whole = whole or (named[0] if len(parts) == 1 else None)
        scopes, rests = negated[: len(negations)], negated[len(negations) :]
        for negation, scope, rest in zip(negations, scopes, rests, strict=True):
            if scope is None or scope == (whole if negation.doubtful else rest):
                continue
            if rest is not None and not negation.doubtful:  # "the line, not the area around it"
                return PromptReading("known", (rest,), negation.rest)
            return PromptReading("negated", (scope,), text)
        distinct = tuple(dict.fromkeys(concept for concept in named if concept))
        if len(distinct) > 1 or (distinct and whole is None):
            return PromptReading("several", distinct, text)
        return PromptReading("known", (whole,), text) if whole else PromptReading("unknown", (), text)

    def _read_long(self, text: str) -> PromptReading:
        """Read window by window, and return the concept with the most probability over all windows."""
        concepts, windows = self._classifier.concepts, prompts.word_windows(text, WINDOW)
        scores = self._classify(windows)[:, :-1].copy()
        for place, window in enumerate(windows):
            if any(self._meanings(prompts.negated_scopes(window))):
                scores[place] = 0.0
        weight = np.where(scores >= SURE, scores, 0.0).sum(axis=0)
        order = np.argsort(-weight)
        if weight[order[0]] == 0.0:
            return PromptReading("unknown", (), windows[0])
        if len(order) > 1 and weight[order[0]] < DOMINANCE * weight[order[1]]:
            return PromptReading("several", tuple(concepts[place] for place in order[:2]), text)
        return PromptReading("known", (concepts[order[0]],), windows[int(scores[:, order[0]].argmax())])

    def _classify(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._classifier.probabilities(self._encoder.encode(texts)[1])

    def _meanings(self, texts: Sequence[str]) -> list[str | None]:
        return self._classifier.decide(self._classify(texts)) if texts else []
