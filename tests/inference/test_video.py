from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drywallqa.errors import ConfigError, MissingExtraError, PhotoError, PromptError
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBundle, wall


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(FakeBundle())


def record(path: Path, frames: list[np.ndarray], rate: float = 10.0) -> Path:
    cv2 = pytest.importorskip("cv2", reason="the video extra is not installed")
    height, width = frames[0].shape[:2] if frames else (48, 64)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame[:, :, ::-1].copy())
    writer.release()
    return path


def test_video__each_frame_is_answered_in_its_turn(segmenter: Segmenter, tmp_path: Path) -> None:
    frames = [wall(crack=number % 2 == 0, seam=number == 3) for number in range(6)]
    video = record(tmp_path / "walk.avi", frames)
    answers = list(segmenter.segment_video(video, ["segment crack", "segment taping area"]))
    assert [answer.number for answer in answers] == list(range(6))
    assert [answer.seconds for answer in answers] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert [bool(answer.predictions[0].mask.any()) for answer in answers] == [True, False] * 3
    assert [bool(answer.predictions[1].mask.any()) for answer in answers] == [n == 3 for n in range(6)]
    assert answers[2].predictions[0].image_id == "walk-000002"
    assert answers[2].predictions[0].mask.shape == (48, 64)
    assert answers[2].predictions[0].probability is None
    # Colours in the right order, and nothing lost beside what the codec loses.
    truth = segmenter.segment(frames[0], "segment crack")[0].mask
    assert (truth == answers[0].predictions[0].mask).mean() > 0.97


def test_video__every_third_frame(segmenter: Segmenter, tmp_path: Path) -> None:
    video = record(tmp_path / "walk.avi", [wall()] * 7)
    answers = list(segmenter.segment_video(video, "segment crack", every=3, keep_probability=True))
    assert [answer.number for answer in answers] == [0, 3, 6]
    assert answers[1].seconds == pytest.approx(0.3)
    assert answers[1].predictions[0].probability is not None
    with pytest.raises(ConfigError, match="at least 1"):
        segmenter.segment_video(video, "segment crack", every=0)


@pytest.mark.parametrize("kept", [0.5, 0.8])
def test_video__cut_short_says_so_after_the_frames_that_are_there(
    segmenter: Segmenter, tmp_path: Path, kept: float
) -> None:
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(30)]
    whole = record(tmp_path / "whole.avi", frames)
    assert len(list(segmenter.segment_video(whole, "segment crack"))) == 30
    content = whole.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: int(len(content) * kept)])
    numbers = []

    def walk() -> None:
        for answer in segmenter.segment_video(tmp_path / "cut.avi", "segment crack", every=2):
            numbers.append(answer.number)

    with pytest.raises(
        PhotoError, match=r"cut\.avi: the video ends after \d+ of 30 frames.*; copy or record"
    ):
        walk()
    assert numbers == list(range(0, numbers[-1] + 1, 2))
    assert 10 <= numbers[-1] < 30


def test_stream__goes_on_for_ever_with_few_frames_held(segmenter: Segmenter) -> None:
    held, most, closed = 0, 0, []

    def forget() -> None:
        nonlocal held
        held -= 1

    def camera() -> Iterator[np.ndarray]:
        nonlocal held, most
        try:
            while True:
                frame = wall()
                held += 1
                most = max(most, held)
                weakref.finalize(frame, forget)
                yield frame
                del frame
        finally:
            closed.append(True)

    answers = segmenter.segment_video(camera(), "segment crack")
    for number in range(100):
        answer = next(answers)
        assert (answer.number, answer.seconds) == (number, None)
        assert answer.predictions[0].image_id == f"frame-{number:06d}"
    answers.close()  # type: ignore[attr-defined]
    del answers
    assert most <= 4
    assert closed == [True]


def test_stream__a_frame_that_is_no_photo(segmenter: Segmenter) -> None:
    answers = segmenter.segment_video([wall(), np.zeros((4, 4))], "segment crack")  # type: ignore[list-item]
    assert next(answers).number == 0
    with pytest.raises(PhotoError, match="not a photo"):
        next(answers)


def test_refused__at_once(segmenter: Segmenter, tmp_path: Path) -> None:
    video = record(tmp_path / "walk.avi", [wall()])
    with pytest.raises(PromptError):
        segmenter.segment_video(video, "segment dog")
    with pytest.raises(PhotoError, match="there is no such file"):
        segmenter.segment_video(tmp_path / "gone.mp4", "segment crack")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(PhotoError, match="the file is empty"):
        segmenter.segment_video(tmp_path / "empty.mp4", "segment crack")
    (tmp_path / "text.mp4").write_text("no video " * 50)
    with pytest.raises(PhotoError, match="this is not a readable video"):
        segmenter.segment_video(tmp_path / "text.mp4", "segment crack")


def test_refused__a_video_without_frames(segmenter: Segmenter, tmp_path: Path) -> None:
    whole = record(tmp_path / "walk.avi", [wall()] * 3).read_bytes()
    video = tmp_path / "none.avi"
    # The heads stay, the pictures go: a recording that was cut off before its first frame.
    video.write_bytes(whole[: whole.index(b"movi") + 4])
    with pytest.raises(
        PhotoError, match=r"none\.avi: (this video has no frames|this is not a readable video)"
    ):
        segmenter.segment_video(video, "segment crack")


def test_refused__opencv_is_not_installed(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "walk.mp4").write_bytes(b"something")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"drywallqa\[video\]"):
        segmenter.segment_video(tmp_path / "walk.mp4", "segment crack")
