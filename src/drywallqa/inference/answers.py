"""From a model's logits to the answers about one photo: seen whole, or in tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Features, Float
from drywallqa.errors import BackendError
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.questions import Question, Questions
from drywallqa.inference.refine import unit_of
from drywallqa.window import Part, Placement, Window, sigmoid

_BAND = 4_000_000  # px of a photo that are turned into probabilities at a time
_ROUNDING = 1e-5  # of a probability, by which a value between two others may pass both


class Ready(NamedTuple):
    """A photo about to be encoded; its pixels are kept only where tiles or refinements need them."""

    image_id: str
    factors: list[float | None]
    pixels: NDArray[np.uint8] | None
    whole: tuple[Float, Placement] | None
    quality: tuple[str, ...] = ()


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
    place = whole.placement
    mask = np.zeros((place.height, place.width), np.bool_)
    kept = np.empty(mask.shape, np.float32) if keep else None
    for rows, columns in _bands(logits, presence, place, question, keep):
        probability = sigmoid(place.restore(logits, (rows, columns)))
        mask[rows, columns] = probability > np.float32(question.threshold)
        if kept is not None:
            kept[rows, columns] = probability
    return answer(question, mask, kept, presence, whole.image_id)


def _bands(
    logits: Float, presence: float, place: Placement, question: Question, keep: bool
) -> Iterator[tuple[slice, slice]]:
    """Yield the bands of a photo to look at: where only a mask is wanted, what it can reach."""
    part: Part | None = (slice(0, place.height), slice(0, place.width))
    if not keep:
        least = question.threshold - _ROUNDING
        absent = presence < question.presence_threshold
        part = None if absent else place.reach(sigmoid(logits) > np.float32(least))
    if part is None:
        return
    rows, columns = part
    step = max(1, _BAND // (columns.stop - columns.start))
    for top in range(rows.start, rows.stop, step):
        yield slice(top, min(rows.stop, top + step)), columns


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


def refined(
    prediction: Prediction, question: Question, ready: Ready, factor: float | None, window: Window, keep: bool
) -> Prediction:
    """Let a question's refinement follow the model's own answer.

    Args:
        prediction: The answer; its probability has been kept where there is a refinement.
        question: What was asked.
        ready: The photo.
        factor: At which scale it was cut into tiles; None where it was shown whole.
        window: How photos are brought to the model.
        keep: Whether the probability is wanted afterwards, too.
    """
    follows, probability, mask = question.refinement, prediction.probability, prediction.mask
    if probability is None or (keep and not follows):
        return prediction
    if follows and ready.pixels is not None and prediction.presence >= question.presence_threshold:
        # A window is what the model sees at once; as many px of the photo as fill it make 640.
        unit = window.size / factor / 640 if factor else unit_of(mask)
        if follows.soft:
            probability = follows.soften(ready.pixels, probability, unit)
            mask = probability > np.float32(question.threshold)
        mask = follows.harden(probability, mask, unit)
    return replace(prediction, mask=mask, probability=probability if keep else None)
