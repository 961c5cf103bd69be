"""Logits and probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The one sigmoid: logits to probabilities in [0,1], stable for any finite logit."""
    return np.asarray(0.5 * (np.tanh(0.5 * logits) + 1.0), np.float32)


def logit(probability: float) -> float:
    """The one logit of a single probability, which is kept at 1e-6 or more from 0 and 1."""
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))
