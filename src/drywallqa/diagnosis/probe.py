"""Run a model on a sample of photos, and pair its predictions with the ground truth on a coarse grid."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.backend import Backend, Features, Float
from drywallqa.checks.coarse_pairs import GRID, CoarsePair, Mask
from drywallqa.checks.mask_values import MaskFacts, read_facts
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import BackendError, DrywallQAError
from drywallqa.evaluation.measure import LabelledPrediction, PairMeasurement
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.imaging.letterbox import Letterbox, logit
from drywallqa.inference.queries import PromptQueries
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel

PARTS = ("val", "test", "train")
"""The splits from which photos are taken, with the most informative split first."""

_CACHE_BYTES = 2**29  # largest total size of the cached logits
_SMALLEST = 1e-7  # probabilities are clipped to [1e-7, 1 - 1e-7] before they are converted to logits


@dataclass(frozen=True, eq=False)
class ProbePhoto:
    """One photo and its ground-truth masks, read once.

    Attributes:
        sample: The photo's entry in the data set.
        photo: RGB uint8 [H,W,3].
        truths: Labelled concept → ground-truth mask [H,W].
        ignored: Concept → pixels [H,W] that nobody labelled.
    """

    sample: Sample
    photo: NDArray[np.uint8]
    truths: Mapping[str, Mask]
    ignored: Mapping[str, Mask] = field(default_factory=dict)


def choose_samples(dataset: Dataset, most: int) -> list[Sample]:
    """Choose at most `most` photos of each split, spread over sets, labels and source photos."""
    chosen: list[Sample] = []
    for part in PARTS:
        groups: dict[tuple[object, ...], list[Sample]] = {}
        for sample in sorted(dataset.part(part), key=lambda s: (s.set_name, s.source_photo, s.image_id)):
            shown = tuple(sorted(concept for concept, mask in sample.labels.items() if mask))
            groups.setdefault((sample.set_name, shown), []).append(sample)
        left = most
        for place, members in enumerate(sorted(groups.values(), key=len)):
            share = min(len(members), -(-left // (len(groups) - place)))
            chosen += [members[place] for place in _spread(len(members), share)]
            left -= share
    return chosen


def _spread(count: int, wanted: int) -> list[int]:
    """Choose evenly spaced indices of a list with `count` items, including the first and the last index."""
    return [int(place) for place in np.linspace(0, count - 1, min(wanted, count)).round()]


def pick_photos(photos: Sequence[ProbePhoto], most: int) -> list[ProbePhoto]:
    """Choose at most `most` photos that show a concept, evenly spaced in the list."""
    shown = [p for p in photos if any(truth.any() for truth in p.truths.values())]
    return [shown[place] for place in _spread(len(shown), most)]


def read_probe_photos(
    dataset: Dataset, most: int
) -> tuple[list[ProbePhoto], list[MaskFacts], list[tuple[str, str]]]:
    """Read at most `most` photos of each split with their ground-truth masks.

    Returns:
        The readable photos, facts about their mask files, and (kind, message) for each unreadable photo.
    """
    photos: list[ProbePhoto] = []
    mask_files: list[MaskFacts] = []
    broken: list[tuple[str, str]] = []
    for sample in choose_samples(dataset, most):
        try:
            photo = dataset.read_photo(sample)
            truths = {concept: dataset.read_mask(sample, concept) for concept in sample.labels}
            layers = {concept: dataset.read_ignored(sample, concept) for concept in sample.ignored}
        except DrywallQAError as error:
            broken.append(("unreadable", str(error)))
            continue
        if photo.shape[:2] != (sample.height, sample.width):
            size = f"{photo.shape[1]}×{photo.shape[0]} px, its mask {sample.width}×{sample.height} px"
            broken.append(("wrong size", f"{sample.photo}: the photo is {size}"))
            continue
        ignored = {concept: layer for concept, layer in layers.items() if layer is not None}
        photos.append(ProbePhoto(sample, photo, truths, ignored))
        for name in filter(None, sample.labels.values()):
            mask_files.append(read_facts(dataset.folder / name, name, sample.photograph))
    return photos, mask_files, broken


class CachingBackend:
    """A backend that caches the model's results, by pixels and prompts.

    Args:
        backend: The model.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._known: OrderedDict[bytes, tuple[Float, Float]] = OrderedDict()
        self._size = 0

    def encode_image(self, images: Float) -> Features:
        """Return the pixels unchanged. `decode` encodes them later, unless the result is cached."""
        return (images,)

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """Return the model's embeddings of the prompts."""
        return self.backend.encode_prompts(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """Return the logits from the cache, or encode the pixels and decode the logits."""
        shapes = repr((features[0].shape, embeddings.shape)).encode()
        key = hashlib.sha256(shapes + features[0].tobytes() + embeddings.tobytes()).digest()
        if key not in self._known:
            result = self.backend.decode(self.backend.encode_image(features[0]), embeddings)
            self._known[key] = result
            self._size += result[0].nbytes
            while self._size > _CACHE_BYTES and len(self._known) > 1:
                self._size -= self._known.popitem(last=False)[1][0].nbytes
        self._known.move_to_end(key)
        return self._known[key]


class ModelProbe:
    """Runs a model on photos. The prompts are the names of the concepts.

    Args:
        subject: The model.
        concepts: The concepts.
        like: Another probe of the same model, whose cached predictions are reused.
    """

    def __init__(
        self, subject: MeasuredModel, concepts: Sequence[str], like: ModelProbe | None = None
    ) -> None:
        self.subject, self.concepts = subject, concepts
        self.backend: CachingBackend = like.backend if like else CachingBackend(subject.segmenter.open())
        self._model = WrappedModel(
            subject.name, subject.window, subject.segmenter.bundle.concepts, self.backend
        )
        self.segmenter = Segmenter(self._model)
        self.queries = self.segmenter.ask_for((concept, concept) for concept in concepts)

    def predict(
        self,
        photos: Iterable[ProbePhoto],
        window: Letterbox | None = None,
        *,
        reverse_channels: bool = False,
        queries: PromptQueries | None = None,
    ) -> list[CoarsePair]:
        """Predict every labelled concept of each photo.

        Args:
            photos: The photos.
            window: Window that replaces the model's window.
            reverse_channels: Whether the photos are passed to the model as BGR.
            queries: Queries, with embeddings, that replace the queries of this probe.
        """
        segmenter = self.segmenter
        if window is not None:
            segmenter = segmenter.sharing(replace(self._model, window=window))
        pairs: list[CoarsePair] = []
        for photo in photos:
            pixels = np.ascontiguousarray(photo.photo[:, :, ::-1]) if reverse_channels else photo.photo
            height, width = pixels.shape[:2]
            scale = GRID / max(height, width)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            try:
                found = [
                    (_coarse_logits(p.probability, size), p.presence, p.threshold, p.presence_threshold)
                    for p in segmenter.answer(pixels, queries or self.queries)
                ]
            except BackendError:  # NaN or infinite logits, which `check_range` reports
                nothing = np.full(size[::-1], np.nan, np.float32)
                found = [(nothing, 0.0, *self.subject.thresholds[concept]) for concept in self.concepts]
            for place, concept in enumerate(self.concepts):
                if concept in photo.truths:
                    logits, presence, threshold, presence_threshold = found[place]
                    other = found[(place + 1) % len(found)][0] if len(found) > 1 else None
                    sample, truth = photo.sample, _coarse_truth(photo.truths[concept], size)
                    pairs.append(
                        CoarsePair(
                            sample.photo, sample.photograph, sample.split or "none", concept, truth, logits,
                            other, presence, logit(threshold), presence_threshold,
                        )
                    )  # fmt: skip
        return pairs

    def measure(self, photos: Iterable[ProbePhoto]) -> Iterator[PairMeasurement]:
        """Measure photos at their original size. A low presence does not empty a mask."""
        subject = replace(self.subject, segmenter=self.segmenter)
        names = {concept: concept for concept in self.concepts}
        evaluator = subject.evaluator(Dataset(Path(), ()), names, gated=False)
        for photo in photos:
            found = tuple(evaluator.segmenter.answer(photo.photo, evaluator.queries))
            shown = LabelledPrediction(photo.sample, photo.photo, photo.truths, found, ignored=photo.ignored)
            yield from evaluator.measure(shown)


def _coarse_logits(probability: NDArray[np.float32] | None, size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a probability map [H,W] to the grid (width, height) and convert it to logits."""
    image = Image.fromarray(np.asarray(probability))
    small = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float64)
    inside = np.clip(small, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(inside / (1 - inside)), np.float32)


def _coarse_truth(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize a mask [H,W] to the grid (width, height). Mark each cell that is at least 40 % covered."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    share = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / 255
    return np.asarray(share >= 0.4)
