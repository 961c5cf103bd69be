"""What a worker does when it is asked again, because the one before it ended in the middle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="the fleet extra is not installed")

import pyarrow

from drywallqa.errors import BackendError, OutputError
from drywallqa.fleet.cluster import own_error
from drywallqa.fleet.locations import open_location
from drywallqa.fleet.photo_listing import find_fleet_photos
from drywallqa.fleet.worker import DEADLY, AttemptCounts, SegmentationRequest, Worker
from drywallqa.inference.plan import RunOptions
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBackend, FakeBundle, wall
from inline_ray import Actor, install

PROMPT = "segment crack"


class ProcessEnds(BaseException):
    """Stands for a process that is gone: nothing in the worker may catch it."""


class DeadlyBackend(FakeBackend):
    def encode_image(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        if images[0, :, 20:24, 20:24].min() > 2:  # white after normalising
            raise ProcessEnds
        return super().encode_image(images)


@pytest.fixture(autouse=True)
def ray(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def task(tmp_path: Path) -> SegmentationRequest:
    (tmp_path / "site").mkdir()
    for number in range(5):
        photo = np.full((48, 64, 3), 255, np.uint8) if number == 2 else wall(shade=100 + number)
        Image.fromarray(photo).save(tmp_path / "site" / f"{number}.png")
    return SegmentationRequest(
        (PROMPT,), RunOptions(), open_location("."), open_location(str(tmp_path / "out"))
    )


def block(task: SegmentationRequest, tmp_path: Path) -> Any:
    _, photos, _ = find_fleet_photos([tmp_path / "site"], task.out, recursive=False)
    return pyarrow.Table.from_pylist([asdict(photo) | {"todo": [PROMPT]} for photo in photos])


def worker(task: SegmentationRequest, attempts: AttemptCounts) -> Worker:
    return Worker(lambda: Segmenter(FakeBundle(backend=DeadlyBackend())), task, Actor(attempts))


def test_worker__a_photo_that_ends_workers_is_found_out_and_left_out(
    task: SegmentationRequest, tmp_path: Path
) -> None:
    photos, attempts, ended = block(task, tmp_path), AttemptCounts(), 0
    while True:
        try:
            rows = worker(task, attempts)(photos).to_pylist()
            break
        except ProcessEnds:
            ended += 1
            assert ended <= DEADLY
    assert ended == DEADLY
    assert [Path(row["source"]).name for row in rows] == [f"{number}.png" for number in range(5)]
    (failed,) = [row for row in rows if row["error"] is not None]
    assert failed["image_id"] == "2"
    assert failed["error"].startswith(failed["source"])
    assert "3 workers died while they processed this photo" in failed["error"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_worker__ended_by_chance_blames_nobody(task: SegmentationRequest, tmp_path: Path) -> None:
    (tmp_path / "site" / "2.png").unlink()
    photos, attempts = block(task, tmp_path), AttemptCounts()
    for _ in range(DEADLY - 1):  # as if machines were taken away, each right at the beginning of the block
        attempts.begin_block(photos["source"].to_pylist())
    rows = worker(task, attempts)(photos).to_pylist()
    assert [row["error"] for row in rows] == [None] * 4
    again = worker(task, attempts)(photos).to_pylist()  # its result was lost on the way: masks are the same
    assert [row["mask_sha256"] for row in again] == [row["mask_sha256"] for row in rows]


def test_worker__a_full_disk_ends_the_run(
    task: SegmentationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "site" / "2.png").unlink()
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="no space left on device"):
        worker(task, AttemptCounts())(block(task, tmp_path))


def test_own_error__finds_ours_behind_others() -> None:
    ours = OutputError("the disk is full")
    wrapped = RuntimeError("a task failed")
    wrapped.__cause__ = ours
    outer = RuntimeError("the job failed")
    outer.cause = wrapped  # type: ignore[attr-defined]
    assert own_error(outer) is ours
    other = own_error(RuntimeError("long story\n\nthe actor died\n"))
    assert isinstance(other, BackendError)
    assert "the actor died" in str(other)
    assert "run the command again" in str(other)
