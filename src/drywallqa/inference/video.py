"""Segment videos and streams of frames with only a few frames in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.background import prefetch
from drywallqa.errors import ConfigError, MissingExtraError, PhotoError
from drywallqa.imaging import photos
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import PromptQueries

# For a container without an index, the number of frames is estimated from duration and frame rate.
_ROUNDING = 0.02

Video = str | os.PathLike[str] | Iterable[NDArray[np.uint8]]
Frame = tuple[int, float | None, NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """The predictions for one frame.

    Attributes:
        number: The index of the frame in the video, from 0.
        seconds: Time from the start of the video; None for a stream of arrays.
        predictions: The predictions, one per prompt. Their `image_id` consists of the video's name and the
            frame's number.
    """

    number: int
    seconds: float | None
    predictions: list[Prediction]


def segment_video(
    ask: Callable[..., PromptQueries],
    answer: Callable[..., Iterator[Prediction]],
    video: Video,
    prompts: str | Sequence[str],
    *,
    every: int = 1,
    keep_probability: bool = False,
    **how: Any,
) -> Iterator[VideoFrame]:
    """Segment a video file or a stream of frames. The next frame is decoded in the background.

    Args:
        ask: `Segmenter.ask`.
        answer: `Segmenter.answer`.
        video: A file, or an iterable of RGB uint8 arrays [H,W,3], which may be endless.
        prompts: See `Segmenter.segment`.
        every: Segment every n-th frame and skip the other frames.
        keep_probability: Whether predictions keep their probabilities.
        how: Other options of `Segmenter.segment`, such as `threshold` and `scale`.

    Returns:
        The predictions of each frame. Invalid settings, prompts and files raise an error before the first
        frame.

    Raises:
        PhotoError: The file is missing, is not a video or has no frames, or a frame is not a valid photo.
            This error is also raised after the last frame if the file has fewer frames than it declares.
        MissingExtraError: The video is a file and OpenCV is not installed.
        PromptError: See `Segmenter.segment`.
        ConfigError: `every` is less than 1.
    """
    if every < 1:
        raise ConfigError(f"every is {every}; pass at least 1")
    queries = ask(prompts, **how)
    if isinstance(video, str | os.PathLike):
        name, frames = Path(video).stem, _file_frames(_open_file(Path(video)), Path(video), every)
    else:
        name = "frame"
        frames = ((n, None, photos.read_photo(one)) for n, one in enumerate(video) if n % every == 0)
    return (
        VideoFrame(
            number,
            seconds,
            list(answer(pixels, queries, image_id=f"{name}-{number:06d}", keep_probability=keep_probability)),
        )
        for number, seconds, pixels in prefetch(frames)
    )


def _open_file(path: Path) -> Any:
    """Open a video file and grab its first frame."""
    photos.check_readable_file(path)
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("reading a video", "video") from error
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise PhotoError(path, "this is not a readable video", "convert it to MP4, or leave it out")
    if not capture.grab():
        capture.release()
        raise PhotoError(path, "this video has no frames", "record it again, or leave it out")
    return capture


def _file_frames(capture: Any, path: Path, every: int) -> Iterator[Frame]:
    """Yield RGB frames with the rotation of the file applied. Skipped frames are not converted.

    Raises:
        PhotoError: A frame is damaged, or the video has clearly fewer frames than it declares.
    """
    import cv2

    number, more = 0, True
    try:
        while more:
            if number % every == 0:
                seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                decoded, pixels = capture.retrieve()
                if not decoded:
                    raise PhotoError(path, f"frame {number} is damaged", "record or convert the video again")
                photo = photos.read_photo(np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)))
                yield number, seconds, photo
            more = capture.grab()
            number += 1
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    if number < declared - max(1, round(_ROUNDING * declared)):
        raise PhotoError(
            path,
            f"the video ends after {number} of {declared} frames; these frames were segmented",
            "copy or record the video again; if the video was trimmed, convert it first",
        )
