"""What a model sees of a sample of photos, as a diagnosis looks at it: beside the truth, on a coarse grid."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.backend import Backend, Features, Float
from drywallqa.checks.coarse_pairs import GRID, CoarsePair, Mask
from drywallqa.checks.mask_values import MaskFacts, read_facts
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import BackendError, DataError, DrywallQAError
from drywallqa.evaluation.measure import LabelledPrediction, PairMeasurement
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.imaging.letterbox import Letterbox, logit
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel

PARTS = ("val", "test", "train")
"""The parts that are looked at, the most telling first."""

Photo = NDArray[np.uint8]
_REMEMBERED = 2**29  # bytes of logits that are kept
_SMALLEST = 1e-7  # probabilities are kept this far from 0 and 1 where they are turned into logits
Truths = Mapping[str, Mask]


@dataclass(frozen=True, eq=False)
class ProbePhoto:
    """One photo with its truths, read once.

    Attributes:
        sample: Its entry.
        photo: RGB uint8 [H,W,3].
        truths: Concept → truth [H,W]; only what was labelled.
    """

    sample: Sample
    photo: Photo
    truths: Truths


@dataclass
class ProbeSample:
    """A sample of a data set.

    Attributes:
        photos: What could be read.
        mask_files: What the mask files are like.
        broken: Photos that could not be used: (photo, reason).
    """

    photos: list[ProbePhoto] = field(default_factory=list)
    mask_files: list[MaskFacts] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)


def choose_samples(dataset: Dataset, most: int, parts: Sequence[str] = PARTS) -> list[Sample]:
    """Choose at most `most` photos of each part, spread over sets, labels and photographs."""
    chosen: list[Sample] = []
    for part in parts:
        groups: dict[tuple[object, ...], list[Sample]] = {}
        for sample in sorted(dataset.part(part), key=lambda s: (s.set_name, s.source_photo, s.image_id)):
            shown = tuple(sorted(concept for concept, mask in sample.labels.items() if mask))
            groups.setdefault((sample.set_name, shown), []).append(sample)
        left = most
        for place, members in enumerate(sorted(groups.values(), key=len)):
            share = min(len(members), -(-left // (len(groups) - place)))
            steps: list[float] = np.linspace(0, len(members) - 1, share).round().tolist()
            chosen += [members[int(step)] for step in steps]
            left -= share
    return chosen


def read_probe_photos(
    dataset: Dataset, samples: Iterable[Sample], progress: Callable[[int], None] | None = None
) -> ProbeSample:
    """Read photos and truths; what cannot be read is kept with its reason."""
    found = ProbeSample()
    for done, sample in enumerate(samples, 1):
        try:
            photo = dataset.read_photo(sample)
            truths = {concept: dataset.read_mask(sample, concept) for concept in sample.labels}
            if photo.shape[:2] != (sample.height, sample.width):
                size = f"{photo.shape[1]}×{photo.shape[0]} px, its truth {sample.width}×{sample.height}"
                raise DataError(f"{sample.photo}: the photo is {size}")
        except DrywallQAError as error:
            found.broken.append((sample.photo, str(error)))
            continue
        found.photos.append(ProbePhoto(sample, photo, truths))
        for name in filter(None, sample.labels.values()):
            photograph = sample.photograph
            found.mask_files.append(read_facts(dataset.folder / name, name, photograph))
        if progress:
            progress(done)
    return found


class CachingBackend:
    """A backend that puts the same pixels to a model once, and gives its answer to whoever asks again.

    Args:
        backend: The model.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._known: OrderedDict[bytes, tuple[Float, Float]] = OrderedDict()
        self._size = 0

    def encode_image(self, images: Float) -> Features:
        """Put off the work until it is known whether it was done before."""
        return (images,)

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """Embed prompts as the model does."""
        return self.backend.encode_prompts(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """Answer as the model does, or as it did."""
        shapes = repr((features[0].shape, embeddings.shape)).encode()
        key = hashlib.sha256(shapes + features[0].tobytes() + embeddings.tobytes()).digest()
        if key not in self._known:
            answer = self.backend.decode(self.backend.encode_image(features[0]), embeddings)
            self._known[key] = answer
            self._size += answer[0].nbytes
            while self._size > _REMEMBERED and len(self._known) > 1:
                self._size -= self._known.popitem(last=False)[1][0].nbytes
        self._known.move_to_end(key)
        return self._known[key]


class ModelProbe:
    """Asks a model about exhibits, under the name of each concept or a phrasing of it.

    Args:
        subject: The model.
        prompts: Concept → how it is asked for.
        like: A witness of the same model, whose answers need not be asked for again.

    Attributes:
        questions: What is asked; its embeddings may be exchanged for others.
    """

    def __init__(
        self, subject: MeasuredModel, prompts: Mapping[str, str], like: ModelProbe | None = None
    ) -> None:
        self.subject, self.concepts = subject, tuple(prompts)
        self.remembering: CachingBackend = like.remembering if like else CachingBackend(subject.backend)
        self._bundle = WrappedModel(
            subject.name, subject.window, subject.segmenter.bundle.concepts, self.remembering
        )
        self.segmenter = Segmenter(self._bundle)
        self.questions = self.segmenter.ask_for((prompt, concept) for concept, prompt in prompts.items())

    def look(
        self,
        exhibit: ProbePhoto,
        window: Letterbox | None = None,
        change: Callable[[Photo], Photo] | None = None,
    ) -> list[CoarsePair]:
        """Ask about every concept that the photo is labelled for.

        Args:
            exhibit: The photo.
            window: Another window than the model's own.
            change: What is done to the photo first.
        """
        photo = np.ascontiguousarray(change(exhibit.photo) if change else exhibit.photo)
        segmenter = self.segmenter
        if window is not None:
            segmenter = segmenter.sharing(replace(self._bundle, window=window))
        height, width = _grid(photo)
        try:
            answers = [_coarse_answer(a, height, width) for a in segmenter.answer(photo, self.questions)]
        except BackendError:  # NaN or infinite logits, which the checks of answers tell of
            nothing = np.full((height, width), np.nan, np.float32)
            answers = [_Coarse(nothing, 0.0, *self.subject.thresholds[concept]) for concept in self.concepts]
        sample, seen = exhibit.sample, []
        for place, concept in enumerate(self.concepts):
            if concept not in exhibit.truths:
                continue
            answer = answers[place]
            seen.append(
                CoarsePair(
                    photo=sample.photo,
                    photograph=sample.photograph,
                    part=sample.split or "none",
                    concept=concept,
                    truth=_coarse(exhibit.truths[concept], height, width),
                    logits=answer.logits,
                    other=answers[(place + 1) % len(answers)].logits if len(answers) > 1 else None,
                    presence=answer.presence,
                    level=logit(answer.threshold),
                    presence_level=answer.presence_threshold,
                )
            )
        return seen

    def measure(self, exhibits: Iterable[ProbePhoto]) -> list[PairMeasurement]:
        """Measure exhibits at their own size, whatever presence says; leave out what has no answer."""
        subject = replace(self.subject, segmenter=self.segmenter)
        prompts = {question.prompt: str(question.concept) for question in self.questions.each}
        pairs: list[PairMeasurement] = []
        for exhibit in exhibits:
            evaluator = subject.evaluator(Dataset(Path(), (exhibit.sample,), {}), prompts, gated=False)
            with suppress(BackendError):
                answers = tuple(evaluator.segmenter.answer(exhibit.photo, evaluator.queries))
                pairs += evaluator.measure(
                    LabelledPrediction(exhibit.sample, exhibit.photo, exhibit.truths, answers)
                )
        return pairs


class _Coarse(NamedTuple):
    """An answer on the grid: its logits [h,w], presence, and the thresholds that hold for the photo."""

    logits: NDArray[np.float32]
    presence: float
    threshold: float
    presence_threshold: float


def _coarse_answer(answer: Prediction, height: int, width: int) -> _Coarse:
    """Bring an answer to the grid."""
    if answer.probability is None:
        raise ValueError(f"{answer!r}: the probability was not kept")
    image = Image.fromarray(answer.probability)
    small = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float64)
    inside = np.clip(small, _SMALLEST, 1 - _SMALLEST)
    logits = np.log(inside / (1 - inside)).astype(np.float32)
    return _Coarse(logits, answer.presence, answer.threshold, answer.presence_threshold)


def _grid(photo: Photo) -> tuple[int, int]:
    height, width = photo.shape[:2]
    scale = GRID / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _coarse(mask: Mask, height: int, width: int) -> Mask:
    """Bring a truth to the grid; what is thinner than a cell stays visible."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    share = np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return np.asarray(share >= 0.4)
