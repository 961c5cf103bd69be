"""Classify a prompt's features as one concept or none: multinomial logistic regression in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
CLEAR = 0.5
"""The least share of the concepts' whole probability that the meant concept must have."""
_PENALTY, _STEPS, _RATE = 1e-3, 400, 0.2  # of the fit: L2 penalty, steps and initial learning rate


@dataclass(frozen=True)
class ConceptClassifier:
    """A linear classifier over the concepts and "other", which comes last.

    Attributes:
        concepts: The K concepts.
        weights: [F,K+1].
        bias: [K+1].
        threshold: The least probability at which a concept counts as meant.
    """

    concepts: tuple[str, ...]
    weights: Float
    bias: Float
    threshold: float

    def probabilities(self, features: Float) -> Float:
        """Turn features [P,F] into probabilities [P,K+1]."""
        return _softmax(features @ self.weights + self.bias)

    def decide(self, probabilities: Float) -> list[str | None]:
        """Return the concept that each row of probabilities [P,K+1] means, or None.

        A row means its likeliest concept if all concepts together reach the threshold and that one has at
        least the share `CLEAR` of their probability.
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
    """Fit a classifier on features [N,F] and labels 0..K, where K means "other"; each class weighs the same.

    Full-batch Adam minimises the cross-entropy with an L2 penalty. It works on standardised features; the
    returned weights apply to plain ones.
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

    The error rate is the share of known phrases that are misread plus the share of others that are accepted.
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
