"""From a model's logits to the answers about one photo: seen whole, or in tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Features, Float
from drywallqa.errors import BackendError
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.questions import Question, Questions
from drywallqa.window import Placement, sigmoid

_BAND = 4_000_000  # px of a photo that are turned into probabilities at a time


class Whole(NamedTuple):
    """A photo that was shown to the model whole: what it is called, where it lay, what came out."""

    image_id: str
    placement: Placement
    features: Features


def decode(backend: Backend, features: Features, embeddings: Float, image_id: str) -> tuple[Float, Float]:
    """Decode features under prompts, as `Backend.decode`, and make sure that numbers come out.

    Raises:
        BackendError: Some are none.
    """
    logits, presence = backend.decode(features, embeddings)
    if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
        raise BackendError(
            f"{image_id}: the model gave numbers that are none (nan or infinite); "
            "the bundle is damaged or the device computes wrongly: try --device cpu"
        )
    return logits, presence


def from_whole(backend: Backend, whole: Whole, questions: Questions, keep: bool) -> Iterator[Prediction]:
    """Answer questions from a whole photo, one after the other, so that one answer at a time is held.

    Args:
        backend: The model.
        whole: The photo, encoded.
        questions: What is asked.
        keep: Whether the probabilities are kept.

    Raises:
        BackendError: The model gave numbers that are none.
    """
    logits, presence = decode(backend, whole.features, questions.embeddings, whole.image_id)
    believed = sigmoid(presence[0])
    for question in questions.each:
        yield _from_logits(logits[0, question.row], float(believed[question.row]), whole, question, keep)


def _from_logits(logits: Float, presence: float, whole: Whole, question: Question, keep: bool) -> Prediction:
    height, width = whole.placement.height, whole.placement.width
    mask = np.empty((height, width), np.bool_)
    kept = np.empty((height, width), np.float32) if keep else None
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        probability = sigmoid(whole.placement.restore(logits, top, bottom))
        mask[top:bottom] = probability > np.float32(question.threshold)
        if kept is not None:
            kept[top:bottom] = probability
    return answer(question, mask, kept, presence, whole.image_id)


def answer(
    question: Question,
    mask: NDArray[np.bool_],
    probability: NDArray[np.float32] | None,
    presence: float,
    image_id: str,
) -> Prediction:
    """Make a prediction: its mask is empty where presence is too low."""
    if presence < question.presence_threshold:
        mask = np.zeros_like(mask)
    return Prediction(
        mask, probability, presence, question.concept, question.threshold, question.prompt, image_id
    )
