"""The pipeline of a folder: reading, the model and writing go on at the same time, within bounds."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.background import PENDING, Later, background_writer, run_now
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.errors import OutputError
from drywallqa.imaging import photos
from drywallqa.inference import batch_run
from drywallqa.inference.outputs import Output
from drywallqa.inference.plan import RunOptions, RunPlan, make_plan
from drywallqa.inference.prediction import Prediction
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import RuntimeOptions
from fakes import FakeBackend, FakeBundle, wall

PATIENCE = 60  # seconds until a test that would wait for ever fails


class StepsBackend(FakeBackend):
    """Says when it has begun which photo."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.begun = [threading.Event() for _ in range(count)]

    def encode_image(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        self.begun[self.encoded].set()
        return super().encode_image(images)


def plan_of(tmp_path: Path, bundle: FakeBundle, count: int, *outputs: Output) -> RunPlan:
    (tmp_path / "site").mkdir()
    for number in range(count):
        Image.fromarray(wall(shade=100 + number)).save(tmp_path / "site" / f"{number}.png")
    return make_plan(bundle, [tmp_path / "site"], ["crack"], tmp_path / "out", RunOptions(outputs=outputs))


def test_run__writes_a_photo_while_the_model_is_at_the_next(tmp_path: Path) -> None:
    backend = StepsBackend(3)
    bundle = FakeBundle(backend=backend)

    def encode(photo: np.ndarray, prediction: Prediction) -> bytes:
        following = int(prediction.image_id) + 1
        if following < 3 and not backend.begun[following].wait(PATIENCE):
            raise OutputError("the model waited until this was written")
        return b"written"

    plan = plan_of(tmp_path, bundle, 3, Output("overlay", ".overlay.txt", encode))
    outcomes = list(batch_run.segment_plan(Segmenter(bundle), plan))
    assert [(outcome.status, outcome.error) for outcome in outcomes] == [("done", None)] * 3
    assert [Path(outcome.source or "").stem for outcome in outcomes] == ["0", "1", "2"]
    assert len(list(plan.out.glob("*.overlay.txt"))) == 3


def test_run__holds_few_photos_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, read, most = FakeBundle(), [0], [0]
    plan = plan_of(tmp_path, bundle, 12)
    original = photos.read_noted_photo

    def counted(source: photos.Photo) -> photos.NotedPhoto:
        read[0] += isinstance(source, Path)
        return original(source)

    monkeypatch.setattr(photos, "read_noted_photo", counted)
    for number, _ in enumerate(batch_run.segment_plan(Segmenter(bundle), plan), 1):
        most[0] = max(most[0], read[0] - number)
    assert read == [12]
    assert most[0] <= 3


def test_run__one_file_that_cannot_be_written_costs_its_photo_alone(tmp_path: Path) -> None:
    bundle = FakeBundle()

    def encode(photo: np.ndarray, prediction: Prediction) -> bytes:
        if prediction.image_id == "1":
            raise OutputError("no room for this one")
        return b"written"

    plan = plan_of(tmp_path, bundle, 3, Output("overlay", ".overlay.txt", encode))
    outcomes = list(batch_run.segment_plan(Segmenter(bundle), plan))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert "no room for this one" in (outcomes[1].error or "")
    assert {str(record["source"]) for record in plan.manifest if "error" in record} == {
        str(tmp_path / "site" / "1.png")
    }


def test_run__very_large_photos_are_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, used = FakeBundle(), []
    plan = plan_of(tmp_path, bundle, 2)
    monkeypatch.setattr(batch_run, "_LARGE", 48 * 64 - 1)
    monkeypatch.setattr(batch_run, "background_writer", lambda: nullcontext(used.append))
    assert [outcome.status for outcome in batch_run.segment_plan(Segmenter(bundle), plan)] == ["done", "done"]
    assert used == []


def test_writer__waits_where_too_much_is_pending() -> None:
    go, given, gave = threading.Event(), [], threading.Semaphore(0)

    def give(later: Later[int]) -> None:
        for number in range(PENDING + 1):
            result = later(lambda number=number: go.wait(PATIENCE) and number)
            given.append(result)
            gave.release()

    with background_writer() as later:
        giver = threading.Thread(target=give, args=(later,))
        giver.start()
        for _ in range(PENDING):
            assert gave.acquire(timeout=PATIENCE)
        giver.join(0.2)
        assert giver.is_alive()
        assert len(given) == PENDING
        go.set()
        giver.join()
        assert [result() for result in given] == list(range(PENDING + 1))


def test_writer__errors_come_with_the_result() -> None:
    def fail() -> int:
        raise OutputError("the disk is gone")

    with background_writer() as later:
        result, after = later(fail), later(lambda: 7)
        with pytest.raises(OutputError, match="gone"):
            result()
        assert after() == 7
    with pytest.raises(OutputError, match="gone"):
        run_now(fail)


def test_queries_for__marks_hold_all_that_changes_a_mask() -> None:
    def mark(
        options: SegmentOptions | None = None, bundle: FakeBundle | None = None, **runtime: object
    ) -> str:
        segmenter = Segmenter(bundle or FakeBundle(), RuntimeOptions(**runtime))  # type: ignore[arg-type]
        return batch_run.queries_for(segmenter, ["crack"], options or SegmentOptions())[1]["crack"]

    usual = mark()
    assert mark(threads=3) == usual
    assert mark(device="cuda:0") == mark(device="cuda:1")
    others = [
        mark(backend="openvino"),
        mark(device="cuda"),
        mark(precision="fp16"),
        mark(SegmentOptions(threshold=0.3)),
        mark(SegmentOptions(scale="native")),
        mark(SegmentOptions(scale="fit")),
        mark(SegmentOptions(refine="morphology")),
        mark(SegmentOptions(refine="morphology+join")),
        mark(bundle=FakeBundle(concepts={"crack": ConceptSettings(presence_threshold=0.6)})),
    ]
    assert len({usual, *others}) == 1 + len(others)
