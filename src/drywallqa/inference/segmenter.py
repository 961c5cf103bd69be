"""The segmenter: a photo and prompts in, masks out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa import photos
from drywallqa.backend import Backend, Features, Float
from drywallqa.errors import BackendError, ConfigError
from drywallqa.inference import questions as asking
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.questions import Question, Questions, RunnableBundle, Threshold
from drywallqa.window import Placement, sigmoid


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    backend: str = "onnxruntime",
    device: str = "cpu",
    threads: int | None = None,
) -> Segmenter:
    """Load a segmenter.

    Args:
        bundle: A bundle's folder; None takes the one that comes with the package.
        backend: The runtime, by name.
        device: Where it runs.
        threads: How many threads one photo may use; None leaves that to the runtime.

    Raises:
        BundleError: The bundle is missing, damaged or too new.
        BackendError: The runtime cannot run it.
    """
    from drywallqa.bundle import load_bundle

    loaded = load_bundle(None if bundle is None else Path(bundle))
    segmenter = Segmenter(loaded, backend=backend, device=device, threads=threads)
    segmenter.open()
    return segmenter


class _Placed(NamedTuple):
    image_id: str
    canvas: Float
    placement: Placement


class Segmenter:
    """Answers prompts about photos. Safe to share between threads, and can be pickled.

    Example:
        >>> segmenter = drywallqa.load()  # doctest: +SKIP
        >>> [p.concept for p in segmenter.segment("wall.jpg", ["hairline fissure"])]  # doctest: +SKIP
        ['crack']
    """

    def __init__(
        self,
        bundle: RunnableBundle,
        *,
        backend: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        """Take a bundle; `load` is the usual way."""
        self._bundle = bundle
        self._runtime: dict[str, Any] = {"name": backend, "device": device, "threads": threads}
        self._backend: Backend | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_bundle": self._bundle, "_runtime": self._runtime}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # A runtime's session does not travel; the other process opens its own when it is first asked.
        self._backend, self._lock = None, threading.Lock()

    @property
    def bundle(self) -> RunnableBundle:
        """The bundle that answers."""
        return self._bundle

    def open(self) -> Backend:
        """Load the model into its runtime, once; asking does it anyway.

        Raises:
            BackendError: The runtime is not installed or cannot run the model.
        """
        with self._lock:
            if self._backend is None:
                self._backend = self._bundle.open_backend(**self._runtime)
            return self._backend

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt means, None where it means none that the model knows.

        Raises:
            PromptError: The prompt is empty, of control characters only, or too long.
        """
        return asking.meaning(self._bundle, prompt, allow_unknown=True)

    def ask(
        self, prompts: str | Sequence[str], *, threshold: Threshold = "auto", allow_unknown: bool = False
    ) -> Questions:
        """Make prompts ready for `answer`; see `segment` for arguments and errors."""
        return asking.ask(self._bundle, self.open(), prompts, threshold, allow_unknown)

    def answer(
        self, photo: photos.Photo, questions: Questions, *, image_id: str | None = None
    ) -> Iterator[Prediction]:
        """Answer questions about one photo, one after the other, so that one answer at a time is held.

        Raises:
            PhotoError: The photo cannot be read.
        """
        placed = self._place(photo, image_id or image_id_of(photo))
        features = self.open().encode_image(placed.canvas[None])
        return self._answers(placed, features, questions)

    def segment(
        self,
        photo: photos.Photo,
        prompts: str | Sequence[str],
        *,
        threshold: Threshold = "auto",
        allow_unknown: bool = False,
        image_id: str | None = None,
    ) -> list[Prediction]:
        """Segment one photo under each prompt; the photo is encoded once.

        Args:
            photo: A path, a PIL image or an RGB uint8 array [H,W,3]; never changed.
            prompts: What to look for, in any words for a concept that the model knows.
            threshold: "auto" for what validation chose for the concept, or a probability.
            allow_unknown: Let prompts through that mean no known concept.
            image_id: The photo's name; by default the stem of its file.

        Raises:
            PhotoError: The photo cannot be read.
            PromptError: No prompt, or one that cannot be used.
            UnknownPromptError: A prompt means nothing that the model knows.
            ConfigError: The threshold is impossible.
        """
        questions = self.ask(prompts, threshold=threshold, allow_unknown=allow_unknown)
        return list(self.answer(photo, questions, image_id=image_id))

    def segment_many(
        self,
        photos: Iterable[photos.Photo],
        prompts: str | Sequence[str],
        *,
        threshold: Threshold = "auto",
        allow_unknown: bool = False,
        batch_size: int = 4,
    ) -> Iterator[list[Prediction]]:
        """Segment a stream of photos; at most `batch_size` of them are held at a time.

        Args:
            photos: As for `segment`; those that are no files are named `photo-1`, `photo-2` by place.
            prompts: As for `segment`.
            threshold: As for `segment`.
            allow_unknown: As for `segment`.
            batch_size: How many photos are encoded together where their shapes allow it.

        Yields:
            The predictions of each photo, one a prompt, in the photos' order.

        Raises:
            PhotoError: A photo cannot be read; those before it have been answered.
            PromptError: As for `segment`, at once.
        """
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; give at least 1")
        questions = self.ask(prompts, threshold=threshold, allow_unknown=allow_unknown)
        return self._stream(photos, questions, batch_size)

    def _stream(
        self, sources: Iterable[photos.Photo], questions: Questions, batch_size: int
    ) -> Iterator[list[Prediction]]:
        numbered = iter(enumerate(sources, 1))
        while batch := list(islice(numbered, batch_size)):
            placed: list[_Placed] = []
            failure: Exception | None = None
            for number, photo in batch:
                try:
                    placed.append(self._place(photo, image_id_of(photo, f"photo-{number}")))
                except Exception as error:  # raised below, once the photos before it are answered
                    failure = error
                    break
            encoded = self._encode(placed)
            for one, features in zip(placed, encoded, strict=True):
                yield list(self._answers(one, features, questions))
            if failure is not None:
                raise failure

    def _place(self, photo: photos.Photo, image_id: str) -> _Placed:
        canvas, placement = self._bundle.window.fit(photos.read(photo))
        return _Placed(image_id, canvas, placement)

    def _encode(self, placed: Sequence[_Placed]) -> list[Features]:
        """Encode photos, those of one shape together, and give each its own features [1,…]."""
        backend = self.open()
        found: dict[int, Features] = {}
        for shape in dict.fromkeys(one.canvas.shape for one in placed):
            members = [place for place, one in enumerate(placed) if one.canvas.shape == shape]
            features = backend.encode_image(np.stack([placed[place].canvas for place in members]))
            for row, place in enumerate(members):
                found[place] = tuple(part[row : row + 1] for part in features)
        return [found[place] for place in range(len(placed))]

    def _answers(self, placed: _Placed, features: Features, questions: Questions) -> Iterator[Prediction]:
        logits, presence = self.open().decode(features, questions.embeddings)
        if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
            raise BackendError(
                f"{placed.image_id}: the model gave numbers that are none (nan or infinite); "
                "the bundle is damaged or the device computes wrongly: try --device cpu"
            )
        believed = sigmoid(presence[0])
        for question in questions.each:
            probability = sigmoid(placed.placement.restore(logits[0, question.row]))
            yield _prediction(placed.image_id, question, probability, float(believed[question.row]))


def _prediction(
    image_id: str, question: Question, probability: NDArray[np.float32], presence: float
) -> Prediction:
    mask = probability > np.float32(question.threshold)
    if presence < question.presence_threshold:
        mask = np.zeros_like(mask)
    return Prediction(
        mask, probability, presence, question.concept, question.threshold, question.prompt, image_id
    )


def image_id_of(photo: photos.Photo, otherwise: str = "photo") -> str:
    """Return the whole stem of a photo's file, or `otherwise` where it comes from none."""
    if isinstance(photo, str | os.PathLike):
        return Path(photo).stem or otherwise
    if isinstance(photo, Image.Image):
        return Path(str(getattr(photo, "filename", "") or "")).stem or otherwise
    return otherwise
