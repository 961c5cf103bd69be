"""From a prompt's features to the concept it means, or none: multinomial logistic regression in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
CLEAR = 0.5
"""Share of the probability of any concept that the one which is meant has to hold."""


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
        """[P,F] features to [P,K+1] probabilities."""
        return _softmax(features @ self.weights + self.bias)

    def decide(self, probabilities: Float) -> list[str | None]:
        """The concept of each row [P,K+1], None where none is meant; the one rule by which that is decided.

        A prompt means something known where all concepts together reach the threshold, and the likeliest of
        them where it holds its share of that.
        """
        best, named, clear = _verdict(probabilities)
        sure = (named >= self.threshold) & clear
        return [self.concepts[place] if good else None for place, good in zip(best, sure, strict=True)]


def _verdict(probabilities: Float) -> tuple[NDArray[np.intp], Float, NDArray[np.bool_]]:
    """The likeliest concept of each row [P,K+1], the probability of any, and whether the one stands out."""
    best = probabilities[:, :-1].argmax(axis=1)
    named = 1 - probabilities[:, -1]
    return best, named, probabilities[np.arange(len(best)), best] >= CLEAR * named


def fit_classifier(
    features: Float,
    labels: NDArray[np.intp],
    concepts: Sequence[str],
    *,
    threshold: float = 0.5,
    penalty: float = 1e-3,
    steps: int = 400,
    rate: float = 0.2,
) -> ConceptClassifier:
    """Fit on [N,F] features and labels 0..K (K means "other"), each class weighing the same.

    Full-batch Adam on the cross-entropy with an L2 penalty; features are standardised on the way, and the
    result is written back for plain features.
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
    for step in range(1, steps + 1):
        gradient = inputs.T @ ((_softmax(inputs @ parameters) - truth) * importance) + penalty * parameters
        first += 0.1 * (gradient - first)
        second += 0.01 * (gradient**2 - second)
        progress = rate * (1 - step / (steps + 1))
        parameters -= progress * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    weights = parameters[:-1] / spread[:, None]
    bias = parameters[-1] - mean @ weights
    return ConceptClassifier(tuple(concepts), weights.astype(np.float32), bias.astype(np.float32), threshold)


def choose_refusal_threshold(model: ConceptClassifier, features: Float, labels: NDArray[np.intp]) -> float:
    """The threshold with the fewest errors on held-out phrases, wrongly accepted and refused alike."""
    probabilities = model.probabilities(features)
    best, named, clear = _verdict(probabilities)
    meant = labels < len(model.concepts)
    candidates = np.arange(0.3, 0.96, 0.01)
    errors = []
    for candidate in candidates:
        kept = (named >= candidate) & clear
        wrong = (meant & ~(kept & (best == labels))).sum() / max(meant.sum(), 1)
        errors.append(wrong + (~meant & kept).sum() / max((~meant).sum(), 1))
    lowest = np.flatnonzero(np.array(errors) <= min(errors) + 1e-9)
    return float(round(candidates[lowest[len(lowest) // 2]], 3))


def _softmax(logits: Float) -> Float:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)
