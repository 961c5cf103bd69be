"""Videos and streams of frames: each frame is a photo, and no more than a few are held at a time."""

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

# A container without an index of its frames estimates their number from its length and rate.
_ROUNDING = 0.02

Video = str | os.PathLike[str] | Iterable[NDArray[np.uint8]]
Frame = tuple[int, float | None, NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """The predictions for one frame.

    Attributes:
        number: The frame's place in the video, from 0 on.
        seconds: When it is shown, from the video's beginning; None in a stream without a clock.
        predictions: The predictions, one a prompt; their `image_id` is the video's name and the number.
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
    """Segment a video file, or a stream of frames, frame by frame; the next is decoded in the background.

    Args:
        ask: `Segmenter.ask`.
        answer: `Segmenter.answer`.
        video: A file, or RGB uint8 arrays [H,W,3] as they come, which may go on for ever.
        prompts: As for `Segmenter.segment`.
        every: The step between the frames that are segmented; those between are skipped.
        keep_probability: Whether predictions hold their probabilities.
        how: Threshold, scale and so on, as for `Segmenter.segment`.

    Returns:
        The predictions, frame by frame; bad settings, prompts and files raise at once, before the first.

    Raises:
        PhotoError: The file is missing, is no video, or has no frames; a frame of a stream is no photo. After
            the last frame: the file ended before all frames that it declares were read.
        MissingExtraError: OpenCV is not installed, and the video is a file.
        PromptError: As for `Segmenter.segment`.
        ConfigError: `every` is less than 1.
    """
    if every < 1:
        raise ConfigError(f"every is {every}; give at least 1")
    queries = ask(prompts, **how)
    frames: Iterator[Frame]
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


def _file_frames(capture: Any, path: Path, every: int) -> Iterator[Frame]:
    """Yield frames in RGB, turned as a viewer shows them; skipped frames are not converted.

    Raises:
        PhotoError: A frame is damaged, or the video has fewer frames than it declares, beyond rounding.
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
            f"the video ends after {number} of {declared} frames, which were segmented",
            "copy or record it again; if it was trimmed, convert it first",
        )
