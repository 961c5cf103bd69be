"""The segmenter: a photo and prompts in, masks out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drywallqa.backend import Backend, Features
from drywallqa.errors import ConfigError
from drywallqa.imaging import photos
from drywallqa.inference import queries as asking
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.predictor import PreparedPhoto, encode_photos, predict, prepare_photo
from drywallqa.inference.queries import PromptQueries, RunnableBundle, Threshold
from drywallqa.inference.refinement import AUTO
from drywallqa.inference.runtimes import folder_of, load_profile, open_bundle_backend, precision_of
from drywallqa.inference.scales import Scale

if TYPE_CHECKING:
    from drywallqa.inference.video import Video, VideoFrame


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    backend: str = "onnxruntime",
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
    profile: str = "full",
) -> Segmenter:
    """Load a segmenter.

    Args:
        bundle: A bundle's folder; None takes the one that comes with the package.
        backend: The runtime: "onnxruntime", or "openvino" or "torch" where they are installed.
        device: Where it runs.
        threads: How many threads one photo may use; None takes the cores that the process may use.
        precision: What it computes in: "fp32", "bf16" or "fp16" where runtime and machine can, "int8" where
            the bundle holds such graphs. None takes fp32, and int8 for the profile "fast" where it can.
        profile: "full", or "fast": of the bundled models the smaller one, of another the window halved.

    Raises:
        BundleError: The bundle is missing, damaged or too new.
        BackendError: The runtime cannot run it.
        ConfigError: The profile is unknown.
        MissingExtraError: The runtime is not installed.
    """
    model = None if bundle is None else Path(bundle)
    loaded = load_profile(model, profile)
    chosen = precision_of(folder_of(model, profile), profile, backend, precision)
    segmenter = Segmenter(loaded, backend=backend, device=device, threads=threads, precision=chosen)
    segmenter.open()
    return segmenter


class Segmenter:
    """Answers prompts about photos. Safe to share between threads, and can be pickled.

    Example:
        >>> drywallqa.load().segment("wall.jpg", "hairline fissure")[0].concept  # doctest: +SKIP
        'crack'
    """

    def __init__(
        self,
        bundle: RunnableBundle,
        *,
        backend: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "fp32",
    ) -> None:
        """Take a bundle; `load` is the usual way."""
        self._bundle = bundle
        self._runtime: dict[str, Any] = {"name": backend, "device": device, "threads": threads}
        self._runtime |= {"precision": precision} if precision != "fp32" else {}
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

    @property
    def precision(self) -> str:
        """What the model computes in."""
        return str(self._runtime.get("precision", "fp32"))

    @property
    def runtime(self) -> Mapping[str, Any]:
        """How it is run: `name` of the runtime, `device`, `threads`; `precision` where it is not fp32."""
        return self._runtime

    def open(self) -> Backend:
        """Load the model into its runtime, once; asking does it anyway.

        Raises:
            BackendError: The runtime is not installed or cannot run the model.
        """
        with self._lock:
            if self._backend is None:
                self._backend = open_bundle_backend(self._bundle, **self._runtime)
            return self._backend

    def sharing(self, bundle: RunnableBundle) -> Segmenter:
        """Return a segmenter that runs this one's model under another bundle's head.

        Thresholds, refinements, window and text side are the other's; nothing is loaded again.
        """
        other = Segmenter.__new__(Segmenter)
        other.__dict__.update(self.__dict__, _bundle=bundle, _backend=self.open())
        return other

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt means, None where it means none that the model knows.

        Raises:
            PromptError: The prompt is empty, of control characters only, or too long.
        """
        return asking.concept_of(self._bundle, prompt, allow_unknown=True)

    def ask(
        self,
        prompts: str | Sequence[str],
        *,
        threshold: Threshold = "auto",
        allow_unknown: bool = False,
        scale: Scale = "auto",
        refine: str = AUTO,
    ) -> PromptQueries:
        """Make prompts ready for `answer`; see `segment` for arguments and errors."""
        return asking.make_queries(
            self._bundle, self.open(), prompts, threshold, allow_unknown, scale, refine
        )

    def ask_for(
        self, asked: Iterable[tuple[str, str | None]], *, scale: Scale = "auto", refine: str = AUTO
    ) -> PromptQueries:
        """Make prompts ready whose concepts the caller names; see `questions.ask_for`."""
        return asking.make_concept_queries(self._bundle, self.open(), asked, scale, refine)

    def answer(
        self,
        photo: photos.Photo,
        questions: PromptQueries,
        *,
        image_id: str | None = None,
        keep_probability: bool = True,
    ) -> Iterator[Prediction]:
        """Answer questions about one photo, one after the other, so that one answer at a time is held.

        Raises:
            PhotoError: The photo cannot be read.
        """
        ready = self._prepare(photo, image_id or photos.image_id_of(photo), questions)
        return self._answers(ready, encode_photos(self.open(), [ready])[0], questions, keep_probability)

    def segment(
        self,
        photo: photos.Photo,
        prompts: str | Sequence[str],
        *,
        threshold: Threshold = "auto",
        allow_unknown: bool = False,
        image_id: str | None = None,
        scale: Scale = "auto",
        keep_probability: bool = True,
        refine: str = AUTO,
    ) -> list[Prediction]:
        """Segment one photo under each prompt; the photo, or each of its tiles, is encoded once.

        Args:
            photo: A path, a PIL image, an RGB uint8 array [H,W,3] or a `photos.Noted`; never changed.
            prompts: What to look for, in any words for a concept that the model knows.
            threshold: "auto" for what validation chose for the concept, or a probability.
            allow_unknown: Let prompts through that mean no known concept.
            image_id: The photo's name; by default the stem of its file.
            scale: How large photos are shown to the model: "fit" scaled down whole, "native" in tiles at
                their own pixels, a number in tiles of the photo scaled by it; "auto" as suits the concept.
            keep_probability: Whether answers hold their probabilities; of a very large photo they take
                four times the memory of its mask.
            refine: What follows the model: "none", "guided", "crf", "morphology", "join", or several joined
                by "+"; "auto" for what validation chose for the concept.

        Raises:
            PhotoError: The photo cannot be read.
            PromptError: No prompt, or one that cannot be used.
            UnknownPromptError: A prompt means nothing that the model knows.
            ConfigError: The threshold, the scale or the refinement is impossible.
        """
        questions = self.ask(
            prompts, threshold=threshold, allow_unknown=allow_unknown, scale=scale, refine=refine
        )
        return list(self.answer(photo, questions, image_id=image_id, keep_probability=keep_probability))

    def segment_many(
        self,
        photos: Iterable[photos.Photo],
        prompts: str | Sequence[str],
        *,
        threshold: Threshold = "auto",
        allow_unknown: bool = False,
        batch_size: int = 4,
        scale: Scale = "auto",
        keep_probability: bool = True,
        refine: str = AUTO,
    ) -> Iterator[list[Prediction]]:
        """Segment a stream of photos; at most `batch_size` of them are held at a time.

        Args:
            photos: As for `segment`; those that are no files are named `photo-1`, `photo-2` by place.
            prompts: As for `segment`.
            threshold: As for `segment`.
            allow_unknown: As for `segment`.
            batch_size: How many photos are encoded together where their shapes allow it.
            scale: As for `segment`.
            keep_probability: As for `segment`.
            refine: As for `segment`.

        Yields:
            The predictions of each photo, one a prompt, in the photos' order.

        Raises:
            PhotoError: A photo cannot be read; those before it have been answered.
            PromptError: As for `segment`, at once.
        """
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; give at least 1")
        questions = self.ask(
            prompts, threshold=threshold, allow_unknown=allow_unknown, scale=scale, refine=refine
        )
        return self._stream(photos, questions, batch_size, keep_probability)

    def _stream(
        self, sources: Iterable[photos.Photo], questions: PromptQueries, size: int, keep: bool
    ) -> Iterator[list[Prediction]]:
        numbered = iter(enumerate(sources, 1))
        while batch := list(islice(numbered, size)):
            ready: list[PreparedPhoto] = []
            failure: Exception | None = None
            for number, photo in batch:
                try:
                    ready.append(
                        self._prepare(photo, photos.image_id_of(photo, f"photo-{number}"), questions)
                    )
                except Exception as error:  # raised below, once the photos before it are answered
                    failure = error
                    break
            for one, features in zip(ready, encode_photos(self.open(), ready), strict=True):
                yield list(self._answers(one, features, questions, keep))
            if failure is not None:
                raise failure

    def segment_video(self, video: Video, prompts: str | Sequence[str], **how: Any) -> Iterator[VideoFrame]:
        """Segment a video file or a stream of frames; see `video.segment_video`."""
        from drywallqa.inference.video import segment_video

        return segment_video(self, video, prompts, **how)

    def _prepare(self, photo: photos.Photo, image_id: str, questions: PromptQueries) -> PreparedPhoto:
        return prepare_photo(photos.read_noted_photo(photo), image_id, questions, self._bundle.window)

    def _answers(
        self, ready: PreparedPhoto, features: Features, questions: PromptQueries, keep: bool
    ) -> Iterator[Prediction]:
        return predict(self.open(), ready, features, questions, self._bundle.window, keep)
