"""The segmenter predicts masks from a photo and prompts."""

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
from drywallqa.inference.mask_kinds import OUTLINE
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
        bundle: The folder of a bundle. None loads the bundled model.
        backend: The runtime: "onnxruntime", or, if installed, "openvino" or "torch".
        device: The device on which to run the model.
        threads: Number of threads per photo. None uses all cores that are available to the process.
        precision: "fp32", "bf16" or "fp16" if the runtime and the machine support it, "int8" if the bundle
            has int8 graphs. None selects fp32, or int8 for the profile "fast" if possible.
        profile: "full" or "fast". "fast" uses the smaller bundled model. For any other bundle, "fast" halves
            the number of pixels in the window.
        options: All runtime options in one object. The individual arguments above are then ignored.

    Raises:
        BundleError: The bundle is missing, is damaged or needs a newer version of drywallqa.
        BackendError: The runtime cannot run the bundle.
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
    """Segments photos by prompts. Threads can share a segmenter, and it can be pickled.

    `load` creates a segmenter for a bundle.

    Attributes:
        bundle: The bundle to run.
        options: Options of the runtime.

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
        # A runtime's session cannot be pickled. The other process opens a new session on first use.
        self.__dict__.update(state, _backend=None, _lock=threading.Lock())

    @property
    def precision(self) -> str:
        """The numeric precision of the model."""
        return self.options.precision or "fp32"

    @property
    def runtime(self) -> Mapping[str, Any]:
        """Options of the runtime as a mapping: `name`, `device`, `threads`, `precision`."""
        options = self.options
        return {
            "name": options.backend, "device": options.device, "threads": options.threads,
            "precision": self.precision,
        }  # fmt: skip

    def open(self) -> Backend:
        """Load the model into its runtime if it is not loaded yet. Predictions call this automatically.

        Raises:
            BackendError: The runtime is unknown or cannot run the model.
            MissingExtraError: The runtime is not installed.
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
        """Return a segmenter that runs this model with the settings of another bundle.

        Thresholds, refinements, window and text model come from the other bundle. The model is not loaded
        again.
        """
        other = Segmenter(bundle, self.options)
        other._backend = self.open()
        return other

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt names, or None if the prompt names no known concept.

        Raises:
            PromptError: The prompt is empty, too long, or has only control characters.
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
        """Prepare prompts for `answer`; see `segment` for arguments and errors."""
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
        """Prepare prompts whose concepts the caller gives. The prompts are not interpreted.

        Args:
            asked: Pairs of prompt and concept. The concept is None if the prompt names no known concept.
            scale: See `segment`.
            refine: See `segment`.

        Raises:
            PromptError: A prompt cannot be used.
            ConfigError: The scale or the refinement is invalid.
        """
        options = SegmentOptions(scale=scale, refine=refine, mask=OUTLINE)
        return make_queries(self.bundle, self.open(), asked, options)

    def answer(
        self,
        photo: photos.Photo,
        questions: PromptQueries,
        *,
        image_id: str | None = None,
        keep_probability: bool = True,
    ) -> Iterator[Prediction]:
        """Predict the masks of one photo lazily. Only one prediction is in memory at a time.

        Raises:
            PhotoError: The photo cannot be read.
        """
        ready = prepare_photo(
            photos.read_noted_photo(photo), image_id or photos.image_id_of(photo), questions,
            self.bundle.window,
        )  # fmt: skip
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
        """Segment one photo with each prompt. The model encodes the photo, or each tile, only once.

        Args:
            photo: A path, a PIL image, an RGB uint8 array [H,W,3] or a `NotedPhoto`. The photo is not
                modified.
            prompts: The prompts. Each prompt may use any wording for a concept that the model knows.
            threshold: See `SegmentOptions`.
            allow_unknown: See `SegmentOptions`.
            image_id: The photo's name; by default its file name without the suffix.
            scale: See `SegmentOptions`.
            keep_probability: Whether predictions keep their probabilities. Probabilities need four times as
                much memory as masks.
            refine: See `SegmentOptions`.
            options: All `SegmentOptions` in one object. The individual arguments above are then ignored.

        Raises:
            PhotoError: The photo cannot be read.
            PromptError: There is no prompt, or a prompt cannot be used.
            UnknownPromptError: A prompt has no known concept.
            ConfigError: The threshold, the scale or the refinement is invalid.
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
        """Segment a stream of photos, with up to `batch_size` photos in memory at a time.

        See `segment` for all other arguments. Photos that are not files get the names `photo-1`, `photo-2`
        and so on, according to their position in the stream. The model encodes up to `batch_size` photos
        together if their shapes are equal.

        Yields:
            The predictions of each photo, one per prompt, in the order of the photos.

        Raises:
            PhotoError: A photo cannot be read. The photos before it are segmented first.
            PromptError: See `segment`. This error is raised before any photo is read.
        """
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; pass at least 1")
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
                    noted = photos.read_noted_photo(photo)
                    ready.append(prepare_photo(noted, name, queries, self.bundle.window))
            except Exception as error:  # raised below, after the photos before it are segmented
                failure = error
            for one, features in zip(ready, encode_photos(self.open(), ready), strict=True):
                yield list(predict(self.open(), one, features, queries, keep))
            if failure is not None:
                raise failure

    def segment_video(self, video: Video, prompts: str | Sequence[str], **how: Any) -> Iterator[VideoFrame]:
        """Segment a video file or a stream of frames; see `video.segment_video`."""
        from drywallqa.inference.video import segment_video

        return segment_video(self.ask, self.answer, video, prompts, **how)
