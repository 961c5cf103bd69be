"""Measure how much a model would learn from the label of a photo.

The signals are the model's uncertainty, the difference between its masks of the photo and of the mirrored
photo, and the photo's features. All masks come from `Segmenter.answer`. A photo's features are recorded when
its mask is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drywallqa.backend import Backend, Features, Float
from drywallqa.imaging.perceptual_hash import thumbnail
from drywallqa.imaging.photos import NotedPhoto, Photo, read_noted_photo
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts

_UNCERTAIN = 0.5  # closeness to the mask threshold from which a pixel counts as uncertain
_BLOCK = 4096  # number of photos whose distances are computed at a time
_LEAST = 1e-6  # smallest divisor, for thresholds of exactly 0 or 1


@dataclass(frozen=True, eq=False)
class PhotoFeatures:
    """Features of a photo for comparisons with other photos.

    Attributes:
        features: The encoder's deepest features, averaged over the photo and scaled to length 1 [C].
        thumbnail: Grey thumbnail [32,32].
    """

    features: Float
    thumbnail: Float


@dataclass(frozen=True)
class LearningSignals:
    """Measures of how uncertain the model is about one photo.

    Attributes:
        mask_uncertainty: Share of pixels whose probability is close to the mask threshold, among all pixels
            that may be marked, 0–1.
        presence_uncertainty: How close the presence probability is to the presence threshold, 0–1. The value
            is 1 at the threshold.
        disagreement: 1 minus the IoU of the photo's mask and the mirrored photo's mask, after the second mask
            is mirrored back. The value is 0 if both masks are empty.
        quality: Remarks about defects of the photo.
    """

    mask_uncertainty: float
    presence_uncertainty: float
    disagreement: float
    quality: tuple[str, ...] = ()

    @property
    def uncertainty(self) -> float:
        """The larger of the mask uncertainty and the presence uncertainty."""
        return max(self.mask_uncertainty, self.presence_uncertainty)


class _RecordingBackend:
    """A backend that records pooled features.

    After `recorded` is set to None, the next call of `encode_image` is recorded.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend, self.decode = backend, backend.decode
        self.recorded: Float | None = None

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        return self.backend.encode_prompts(prompts)

    def encode_image(self, images: Float) -> Features:
        features = self.backend.encode_image(images)
        if self.recorded is None:
            self.recorded = pooled(features[-1])
        return features


class SignalReader:
    """Runs a model on photos and measures the signals for one concept.

    Args:
        segmenter: The model.
        prompt: A prompt for the concept.
        concept: The concept.
    """

    def __init__(self, segmenter: Segmenter, prompt: str, concept: str) -> None:
        self._backend = _RecordingBackend(segmenter.open())
        self._segmenter = Segmenter(WrappedModel.around(segmenter.bundle, self._backend))
        self._queries = self._segmenter.ask_for([(prompt, concept)])

    def describe(self, photo: Photo) -> PhotoFeatures:
        """Read the features of a labelled photo.

        Raises:
            PhotoError: The photo cannot be read.
            BackendError: The model returned NaN or infinite logits.
        """
        noted = read_noted_photo(photo)
        return PhotoFeatures(self._answer(noted, keep=False)[1], thumbnail(noted.pixels))

    def measure(self, photo: Photo) -> tuple[LearningSignals, PhotoFeatures]:
        """Measure the signals of an unlabelled photo, and read its features.

        Raises:
            PhotoError: The photo cannot be read.
            BackendError: The model returned NaN or infinite logits.
        """
        noted = read_noted_photo(photo)
        seen, features = self._answer(noted)
        mirrored, _ = self._answer(NotedPhoto(np.ascontiguousarray(noted.pixels[:, ::-1])), keep=False)
        signals = LearningSignals(
            mask_uncertainty(seen),
            float(closeness(seen.presence, seen.presence_threshold)),
            mask_disagreement(seen.mask, mirrored.mask[:, ::-1]),
            seen.quality,
        )
        return signals, PhotoFeatures(features, thumbnail(noted.pixels))

    def _answer(self, noted: NotedPhoto, *, keep: bool = True) -> tuple[Prediction, Float]:
        self._backend.recorded = None
        (prediction,) = self._segmenter.answer(noted, self._queries, keep_probability=keep)
        assert self._backend.recorded is not None, "every prediction encodes the photo"
        return prediction, self._backend.recorded


def pooled(part: Float) -> Float:
    """Average features [B,C,h,w] or [B,N,C] over a photo or its first tiles.

    The mean [C] is scaled to length 1.
    """
    axes = (0, 2, 3) if part.ndim == 4 else tuple(range(part.ndim - 1))
    mean = part.mean(axis=axes, dtype=np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), _LEAST), np.float32)


def closeness(probability: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """Return how close a probability is to a threshold.

    The result is 1 at the threshold and falls linearly to 0 at the probabilities 0 and 1.
    """
    values = np.asarray(probability, np.float64)
    return np.minimum(values / max(threshold, _LEAST), (1 - values) / max(1 - threshold, _LEAST)).clip(0, 1)


def mask_uncertainty(prediction: Prediction) -> float:
    """Return the share of uncertain pixels among all uncertain or certainly marked pixels, 0–1.

    The divisor also includes 0.1 % of the photo's pixels, so that a few stray pixels have little effect.
    """
    assert prediction.probability is not None, "uncertainty needs the probability"
    near = closeness(prediction.probability, prediction.threshold) >= _UNCERTAIN
    certain = (prediction.probability > prediction.threshold) & ~near
    uncertain = int(near.sum())
    return uncertain / (uncertain + int(certain.sum()) + FALSE_ALARM_SHARE * near.size)


def mask_disagreement(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return 1 minus the IoU of two masks [H,W]; 0 if both are empty."""
    iou = Counts.of(mask, other).iou
    return 0.0 if np.isnan(iou) else 1 - iou


def nearest_distances(features: Sequence[Float], known: Sequence[Float]) -> NDArray[np.float64]:
    """Return the cosine distance [N] from each vector [C] to the nearest known vector [C].

    All vectors have length 1. If there are no known vectors, all distances are NaN.
    """
    nearest = np.full(len(features), np.nan)
    for start in range(0, len(features) if known else 0, _BLOCK):
        part = np.array(features[start : start + _BLOCK])
        nearest[start : start + _BLOCK] = 1 - (part @ np.array(known).T).max(axis=1)
    return nearest.clip(0, 2)


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the rank of each value [N], from 0 for the lowest to 1 for the highest. Ties share a rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middle[inverse.ravel()] / max(1, len(inverse) - 1), np.float64)
