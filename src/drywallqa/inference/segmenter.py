"""The segmenter: a photo and prompts in, masks out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from drywallqa.backend import Backend
from drywallqa.errors import ConfigError, MissingExtraError, PromptError
from drywallqa.imaging import photos
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.predictor import PreparedPhoto, encode_photos, predict, prepare_photo
from drywallqa.inference.queries import PromptQueries, SegmentOptions, Threshold, concept_of, make_queries
from drywallqa.inference.refinement import AUTO
from drywallqa.inference.tiles import Scale
from drywallqa.onnx_session import RuntimeOptions

if TYPE_CHECKING:
    from drywallqa.inference.video import Video, VideoFrame
    from drywallqa.inference.wrapped_model import RunnableBundle


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    backend: str = "onnxruntime",
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
    profile: str = "full",
    options: RuntimeOptions | None = None,
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
        options: All of these in one object; the single ones above are then ignored.

    Raises:
        BundleError: The bundle is missing, damaged or too new.
        BackendError: The runtime cannot run it.
        ConfigError: The profile is unknown.
        MissingExtraError: The runtime is not installed.
    """
    from drywallqa.bundle.bundle import load_bundle, with_smaller_window

    options = options or RuntimeOptions(backend, device, threads, precision, profile)
    folder = options.folder_of(bundle)
    loaded = load_bundle(folder)
    if bundle is not None and options.profile == "fast":
        loaded = with_smaller_window(loaded)
    segmenter = Segmenter(loaded, replace(options, precision=options.precision_for(folder)))
    segmenter.open()
    return segmenter


@dataclass(eq=False, repr=False)
class Segmenter:
    """Segments photos under prompts. Safe to share between threads, and can be pickled.

    `load` is the usual way to make one.

    Attributes:
        bundle: The bundle that is run.
        options: How it is run.

    Example:
        >>> drywallqa.load().segment("wall.jpg", "hairline fissure")[0].concept  # doctest: +SKIP
        'crack'
    """

    bundle: RunnableBundle
    options: RuntimeOptions = field(default_factory=RuntimeOptions)
    _backend: Backend | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"bundle": self.bundle, "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A runtime's session does not travel; the other process opens its own when it first needs it.
        self.__dict__.update(state, _backend=None, _lock=threading.Lock())

    @property
    def precision(self) -> str:
        """The precision in which the model computes."""
        return self.options.precision or "fp32"

    @property
    def runtime(self) -> Mapping[str, Any]:
        """How the bundle is run, as a mapping: `name` of the runtime, `device`, `threads`, `precision`."""
        options = self.options
        return {
            "name": options.backend, "device": options.device, "threads": options.threads,
            "precision": self.precision,
        }  # fmt: skip

    def open(self) -> Backend:
        """Load the model into its runtime, unless that was done; every prediction does it as well.

        Raises:
            BackendError: The runtime is unknown or cannot run the model.
            MissingExtraError: It is not installed.
        """
        with self._lock:
            if self._backend is None and self.options.backend != "torch":
                self._backend = self.bundle.open_backend(self.options)
            if self._backend is None:
                try:
                    from drywallqa.models.torch_backend import open_torch
                except ModuleNotFoundError as error:
                    raise MissingExtraError("the backend 'torch'", "train") from error
                self._backend = open_torch(self.bundle, self.options)
            return self._backend

    def sharing(self, bundle: RunnableBundle) -> Segmenter:
        """Return a segmenter that runs this one's model under another bundle's head.

        Thresholds, refinements, window and text side are the other's; nothing is loaded again.
        """
        other = Segmenter(bundle, self.options)
        other._backend = self.open()
        return other

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt means, None where it means none that the model knows.

        Raises:
            PromptError: The prompt is empty, of control characters only, or too long.
        """
        return concept_of(self.bundle, prompt, allow_unknown=True)

    def ask(
        self,
        prompts: str | Sequence[str],
        *,
        threshold: Threshold = "auto",
        allow_unknown: bool = False,
        scale: Scale = "auto",
        refine: str = AUTO,
        options: SegmentOptions | None = None,
    ) -> PromptQueries:
        """Make prompts ready for `answer`; see `segment` for arguments and errors."""
        chosen = options or SegmentOptions(threshold, allow_unknown, scale, refine)
        given = [prompts] if isinstance(prompts, str) else list(prompts)
        if not given:
            raise PromptError('no prompt was given; name what to segment, for example "crack"')
        backend = self.open()
        asked = [(prompt, concept_of(self.bundle, prompt, chosen.allow_unknown)) for prompt in given]
        return make_queries(self.bundle, backend, asked, chosen)

    def ask_for(
        self, asked: Iterable[tuple[str, str | None]], *, scale: Scale = "auto", refine: str = AUTO
    ) -> PromptQueries:
        """Make prompts ready whose concepts the caller names, whatever the text side reads in them.

        Args:
            asked: Pairs of prompt and concept; None for a prompt that means no known concept.
            scale: As for `segment`.
            refine: As for `segment`.

        Raises:
            PromptError: A prompt cannot be used.
            ConfigError: The scale or the refinement is impossible.
        """
        options = SegmentOptions(scale=scale, refine=refine)
        return make_queries(self.bundle, self.open(), asked, options)

    def answer(
        self,
        photo: photos.Photo,
        questions: PromptQueries,
        *,
        image_id: str | None = None,
        keep_probability: bool = True,
    ) -> Iterator[Prediction]:
        """Predict the masks of one photo, one after the other, so that one prediction at a time is held.

        Raises:
            PhotoError: The photo cannot be read.
        """
        ready = self._prepare(photo, image_id or photos.image_id_of(photo), questions)
        (features,) = encode_photos(self.open(), [ready])
        return predict(self.open(), ready, features, questions, keep_probability)

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
        options: SegmentOptions | None = None,
    ) -> list[Prediction]:
        """Segment one photo under each prompt; the photo, or each of its tiles, is encoded once.

        Args:
            photo: A path, a PIL image, an RGB uint8 array [H,W,3] or a `NotedPhoto`; never changed.
            prompts: The prompts, in any words for a concept that the model knows.
            threshold: See `SegmentOptions`.
            allow_unknown: See `SegmentOptions`.
            image_id: The photo's name; by default the stem of its file.
            scale: See `SegmentOptions`.
            keep_probability: Whether predictions hold their probabilities; of a very large photo they take
                four times the memory of its mask.
            refine: See `SegmentOptions`.
            options: All `SegmentOptions` in one object; the single ones above are then ignored.

        Raises:
            PhotoError: The photo cannot be read.
            PromptError: No prompt, or one that cannot be used.
            UnknownPromptError: A prompt means nothing that the model knows.
            ConfigError: The threshold, the scale or the refinement is impossible.
        """
        queries = self.ask(
            prompts, threshold=threshold, allow_unknown=allow_unknown, scale=scale, refine=refine,
            options=options,
        )  # fmt: skip
        return list(self.answer(photo, queries, image_id=image_id, keep_probability=keep_probability))

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
        options: SegmentOptions | None = None,
    ) -> Iterator[list[Prediction]]:
        """Segment a stream of photos; at most `batch_size` of them are held at a time.

        All other arguments are as for `segment`. Photos that are no files are named `photo-1`, `photo-2` by
        their place. `batch_size` photos are encoded together where their shapes allow it.

        Yields:
            The predictions of each photo, one a prompt, in the photos' order.

        Raises:
            PhotoError: A photo cannot be read; those before it have been segmented.
            PromptError: As for `segment`, at once.
        """
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; give at least 1")
        queries = self.ask(
            prompts, threshold=threshold, allow_unknown=allow_unknown, scale=scale, refine=refine,
            options=options,
        )  # fmt: skip
        return self._stream(photos, queries, batch_size, keep_probability)

    def _stream(
        self, sources: Iterable[photos.Photo], queries: PromptQueries, size: int, keep: bool
    ) -> Iterator[list[Prediction]]:
        numbered = iter(enumerate(sources, 1))
        while batch := list(islice(numbered, size)):
            ready: list[PreparedPhoto] = []
            failure: Exception | None = None
            try:
                for number, photo in batch:
                    name = photos.image_id_of(photo, f"photo-{number}")
                    ready.append(self._prepare(photo, name, queries))
            except Exception as error:  # raised below, once the photos before it are segmented
                failure = error
            for one, features in zip(ready, encode_photos(self.open(), ready), strict=True):
                yield list(predict(self.open(), one, features, queries, keep))
            if failure is not None:
                raise failure

    def segment_video(self, video: Video, prompts: str | Sequence[str], **how: Any) -> Iterator[VideoFrame]:
        """Segment a video file or a stream of frames; see `video.segment_video`."""
        from drywallqa.inference.video import segment_video

        return segment_video(self.ask, self.answer, video, prompts, **how)

    def _prepare(self, photo: photos.Photo, image_id: str, queries: PromptQueries) -> PreparedPhoto:
        return prepare_photo(photos.read_noted_photo(photo), image_id, queries, self.bundle.window)
