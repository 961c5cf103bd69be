"""Videos and streams of frames: each frame is a photo, and no more than a few are held at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drywallqa.background import prefetch
from drywallqa.errors import ConfigError, MissingExtraError, PhotoError
from drywallqa.imaging import photos
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries

# A container without an index of its frames tells their number from its length and rate.
_ROUNDING = 0.02

Video = str | os.PathLike[str] | Iterable[NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """The answers about one frame.

    Attributes:
        number: The frame's place in the video, from 0 on.
        seconds: When it is shown, from the video's beginning; None of a stream without a clock.
        predictions: The answers, one a prompt; their `image_id` is the video's name and the number.
    """

    number: int
    seconds: float | None
    predictions: list[Prediction]


class Answers(Protocol):
    """The part of a segmenter that a video needs."""

    @property
    def ask(self) -> Callable[..., PromptQueries]:
        """Makes prompts ready."""
        ...

    def answer(
        self, photo: photos.Photo, questions: PromptQueries, *, image_id: str | None, keep_probability: bool
    ) -> Iterator[Prediction]:
        """Answer them about a photo."""
        ...


def segment_video(
    segmenter: Answers,
    video: Video,
    prompts: str | Sequence[str],
    *,
    every: int = 1,
    keep_probability: bool = False,
    **how: Any,
) -> Iterator[VideoFrame]:
    """Segment a video file, or a stream of frames, frame by frame; the next is decoded meanwhile.

    Args:
        segmenter: What answers.
        video: A file, or RGB uint8 arrays [H,W,3] as they come, which may go on for ever.
        prompts: As for `Segmenter.segment`.
        every: Segment each so many-th frame; those between are passed over.
        keep_probability: Whether answers hold their probabilities.
        how: Threshold, scale and so on, as for `Segmenter.segment`.

    Returns:
        The answers, frame by frame; bad settings, prompts and files raise at once, before the first.

    Raises:
        PhotoError: The file is missing, is no video, or has no frames; a frame of a stream is no photo. After
            the last frame: the file ended before all frames that it declares were read.
        MissingExtraError: OpenCV is not installed, and a file is asked for.
        PromptError: As for `Segmenter.segment`.
        ConfigError: `every` is less than 1.
    """
    if every < 1:
        raise ConfigError(f"every is {every}; give at least 1")
    questions = segmenter.ask(prompts, **how)
    if isinstance(video, str | os.PathLike):
        name, frames = Path(video).stem, _file_frames(_opened(Path(video)), Path(video), every)
    else:
        name, frames = "frame", _stream_frames(video, every)
    return _answered(segmenter, frames, questions, name, keep_probability)


def _answered(
    segmenter: Answers, frames: Iterator[_Frame], questions: PromptQueries, name: str, keep: bool
) -> Iterator[VideoFrame]:
    for frame in prefetch(frames):
        image_id = f"{name}-{frame.number:06d}"
        answers = segmenter.answer(frame.pixels, questions, image_id=image_id, keep_probability=keep)
        yield VideoFrame(frame.number, frame.seconds, list(answers))


@dataclass(frozen=True, eq=False)
class _Frame:
    number: int
    seconds: float | None
    pixels: NDArray[np.uint8]


def _stream_frames(stream: Iterable[NDArray[np.uint8]], every: int) -> Iterator[_Frame]:
    for number, pixels in enumerate(stream):
        if number % every == 0:
            yield _Frame(number, None, photos.read_photo(pixels))


def _opened(path: Path) -> Any:
    """Open a video file with its first frame at hand."""
    photos.check_readable_file(path)
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("reading a video", "video") from error
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise PhotoError(path, "this is no video that can be read", "convert it to MP4, or leave it out")
    if not capture.grab():
        capture.release()
        raise PhotoError(path, "there is no frame in this video", "record it again, or leave it out")
    return capture


def _file_frames(capture: Any, path: Path, every: int) -> Iterator[_Frame]:
    """Yield frames in RGB, turned as a viewer shows them; those that are passed over are not converted."""
    import cv2

    number, more = 0, True
    try:
        while more:
            if number % every == 0:
                seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                well, pixels = capture.retrieve()
                if not well:
                    raise PhotoError(path, f"frame {number} is damaged", "record or convert the video again")
                photo = photos.read_photo(np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)))
                yield _Frame(number, seconds, photo)
            more = capture.grab()
            number += 1
        _check_whole(path, number, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()


def _check_whole(path: Path, delivered: int, declared: int) -> None:
    """Make sure that a video gave the frames that it declares, but for what rounding may explain.

    Raises:
        PhotoError: It gave fewer.
    """
    if delivered < declared - max(1, round(_ROUNDING * declared)):
        raise PhotoError(
            path,
            f"the video ends after {delivered} of {declared} frames, which were looked at",
            "copy or record it again; if it was trimmed, convert it first",
        )
