"""Find out which concepts a prompt asks for, or whether it asks for the absence of a concept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa.text import phrase_bank, prompts
from drywallqa.text.text_encoder import CACHED, OnnxTextEncoder

SHORT = 14  # words; longer prompts are classified window by window
WINDOW = 10  # words in a window
# Minimum probability of a classification. Below it, a window of a long prompt is ignored, and a short prompt
# is looked up in the shipped phrase lists.
SURE = 0.9
DOMINANCE = 2.0  # minimum ratio of the scores of the best and second-best concept in a long prompt

Float = NDArray[np.float32]


@dataclass(frozen=True)
class PromptReading:
    """The meaning of a prompt.

    Attributes:
        kind: `known`, `unknown`, `several` or `negated`.
        concepts: The concepts in the prompt. If `kind` is `known`, there is exactly one concept. If `kind` is
            `several`, there may be only one concept, because the prompt may also name something unknown.
        essence: The part of the prompt that expresses the concept. This is often the whole prompt.
    """

    kind: Literal["known", "unknown", "several", "negated"]
    concepts: tuple[str, ...]
    essence: str


class PromptReader:
    """Interprets cleaned prompts by classifying the whole text, parts of the text, and negated words."""

    def __init__(self, encoder: OnnxTextEncoder, classifier: ConceptClassifier) -> None:
        self._encoder, self._classifier = encoder, classifier
        self.read = lru_cache(CACHED)(self._read)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._encoder, self._classifier)

    def _read(self, text: str) -> PromptReading:
        """Interpret one cleaned prompt. If the classifier is uncertain, use the shipped phrase lists."""
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
        """Classify the whole text, the parts of the text, and the negated words."""
        negations, parts = prompts.negations(text), prompts.prompt_parts(text)
        texts = [text, *parts, *(n.scope for n in negations), *(n.rest or "-" for n in negations)]
        whole, *meanings = self._meanings(texts)
        named, negated = meanings[: len(parts)], meanings[len(parts) :]
        # If only one part names a thing, that part decides. Example: "find the crack and mark it".
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
        """Classify each word window of a long text; return the concept with the highest total probability."""
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

    def _classify(self, texts: Sequence[str]) -> Float:
        return self._classifier.probabilities(self._encoder.encode(texts)[1])

    def _meanings(self, texts: Sequence[str]) -> list[str | None]:
        return self._classifier.decide(self._classify(texts)) if texts else []


# A prompt means a concept only if the concept has at least this share of all concepts' total probability.
CLEAR = 0.5
_PENALTY, _STEPS, _RATE = 1e-3, 400, 0.2  # L2 penalty, training steps and initial learning rate


@dataclass(frozen=True)
class ConceptClassifier:
    """A linear classifier with one class per concept. The last class is "other".

    Attributes:
        concepts: Names of the K concepts.
        weights: Weight matrix [F,K+1] for F features.
        bias: Bias [K+1].
        threshold: Minimum total probability of all concepts. Below it, a prompt does not mean any concept.
    """

    concepts: tuple[str, ...]
    weights: Float
    bias: Float
    threshold: float

    def probabilities(self, features: Float) -> Float:
        """Compute probabilities [P,K+1] from features [P,F]."""
        return _softmax(features @ self.weights + self.bias)

    def decide(self, probabilities: Float) -> list[str | None]:
        """Return the concept that each row of probabilities [P,K+1] means, or None.

        A row means its most likely concept if the total probability of all concepts reaches the threshold,
        and if the most likely concept has at least the share `CLEAR` of this total.
        """
        best = probabilities[:, :-1].argmax(axis=1)
        known = 1 - probabilities[:, -1]
        clear = probabilities[np.arange(len(best)), best] >= CLEAR * known
        meant = clear & (known >= self.threshold)
        return [self.concepts[place] if good else None for place, good in zip(best, meant, strict=True)]


def fit_classifier(
    features: Float,
    labels: NDArray[np.intp],
    concepts: Sequence[str],
    threshold: float,
) -> ConceptClassifier:
    """Fit a classifier on features [N,F] and labels 0..K. Label K means "other". Classes have equal weight.

    The features are standardised. Full-batch Adam then minimises the cross-entropy plus an L2 penalty. The
    returned weights apply to features that are not standardised.
    """
    classes = len(concepts) + 1
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs = ((features - mean) / spread).astype(np.float32)
    truth = np.eye(classes, dtype=np.float32)[labels]
    weight_of = truth.sum(axis=0).clip(min=1.0)
    importance = (truth @ (1.0 / weight_of) / classes)[:, None].astype(np.float32)
    parameters = np.zeros((inputs.shape[1] + 1, classes), np.float32)
    inputs = np.hstack([inputs, np.ones((len(inputs), 1), np.float32)])
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    for step in range(1, _STEPS + 1):
        gradient = inputs.T @ ((_softmax(inputs @ parameters) - truth) * importance) + _PENALTY * parameters
        first += 0.1 * (gradient - first)
        second += 0.01 * (gradient**2 - second)
        progress = _RATE * (1 - step / (_STEPS + 1))
        parameters -= progress * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    weights = parameters[:-1] / spread[:, None]
    bias = parameters[-1] - mean @ weights
    return ConceptClassifier(tuple(concepts), weights.astype(np.float32), bias.astype(np.float32), threshold)


def choose_refusal_threshold(model: ConceptClassifier, features: Float, labels: NDArray[np.intp]) -> float:
    """Return the threshold with the lowest error rate on held-out phrases.

    The error rate is the share of known phrases that are classified wrongly plus the share of other phrases
    that are classified as a concept.
    """
    probabilities = model.probabilities(features)
    truth = np.array([*model.concepts, None], object)[labels]
    known = labels < len(model.concepts)
    candidates, errors = np.arange(0.3, 0.96, 0.01), []
    for candidate in candidates:
        wrong = np.array(replace(model, threshold=candidate).decide(probabilities), object) != truth
        errors.append(sum((wrong & group).sum() / max(group.sum(), 1) for group in (known, ~known)))
    lowest = np.flatnonzero(np.array(errors) <= min(errors) + 1e-9)
    return float(round(candidates[lowest[len(lowest) // 2]], 3))


def _softmax(logits: Float) -> Float:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)
