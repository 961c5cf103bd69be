"""A run's log stays readable whatever moment the run was killed at; its speed is measured and shown."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training.run_log import (
    LINES,
    TEXT,
    WAITING,
    WORKING,
    LoggingCallback,
    RunLog,
    TrainingProgress,
    read_events,
)
from tiny_runs import events, render, train


def test_read_events__a_line_that_was_cut_off_loses_itself_alone(tmp_path):
    log = RunLog(tmp_path)
    log.write("start", "epoch 0", step=0)
    whole = (tmp_path / LINES).read_bytes()
    log.write("step", "step 1", step=1)
    for length in range(len(whole) + 1, (tmp_path / LINES).stat().st_size - 1):
        (tmp_path / LINES).write_bytes((tmp_path / LINES).read_bytes()[:length])
    assert [event["event"] for event in read_events(tmp_path)] == ["start"]
    log.write("start", "epoch 0, resumed", step=0)
    log.write("step", "a file\u2028name", step=1)
    assert [event["event"] for event in read_events(tmp_path)] == ["start", "start", "step"]
    assert read_events(tmp_path)[-1]["text"] == "a file\u2028name"


def test_log__each_event_starts_on_a_line_of_its_own(tmp_path):
    log = RunLog(tmp_path)
    (tmp_path / TEXT).write_text("2026-01-01 step: cut o")
    log.write("start", "again")
    assert (tmp_path / TEXT).read_text().split("\n")[1].endswith(" start: again")


def test_read_events__no_log(tmp_path):
    assert read_events(tmp_path) == []


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data") / "d")


def test_speed__is_said_and_logged_when_a_run_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four pictures that take a fifth of a second each to load are waited for at least that long."""
    original = TrainingPairs.__getitem__

    def slowly(self: TrainingPairs, index: int) -> object:
        time.sleep(0.2)
        return original(self, index)

    monkeypatch.setattr(TrainingPairs, "__getitem__", slowly)
    assert train(data, tmp_path / "run") == 0
    (event,) = events(tmp_path / "run", "speed")
    assert event["photos"] == 4
    assert event["waiting_seconds"] >= 0.8
    assert 0 < event["waiting_share"] < 1
    assert event["photos_per_second"] > 0
    assert f"speed: {event['text']}" in capsys.readouterr().out


TRAINER = SimpleNamespace(current_epoch=1, global_step=9)


@pytest.mark.parametrize(("waiting", "advice"), [(1.0, False), (5.0, True)])
def test_speed__much_waiting_comes_with_advice(tmp_path: Path, waiting: float, advice: bool) -> None:
    logging = LoggingCallback(RunLog(tmp_path), shown=False)
    logging.all_photos = 100
    logging.seconds.update({WAITING: waiting, WORKING: 20.0 - waiting})
    logging.on_train_end(TRAINER, None)
    speed = read_events(tmp_path)[-1]
    assert speed["photos_per_second"] == pytest.approx(5.0)
    assert speed["waiting_share"] == pytest.approx(waiting / 20)
    assert ("increase data.workers" in speed["text"]) is advice


def test_speed__of_no_training_is_not_logged(tmp_path: Path) -> None:
    LoggingCallback(RunLog(tmp_path), shown=False).on_train_end(TRAINER, None)
    assert [event["event"] for event in read_events(tmp_path)] == ["end"]


def test_progress__estimates_the_time_left_for_the_whole_run() -> None:
    current = SimpleNamespace(ready=3)
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=current)))
    trainer = SimpleNamespace(fit_loop=loop, current_epoch=2, max_epochs=5, num_training_batches=10)
    bar = TrainingProgress()
    bar.started_at, bar.first = time.monotonic() - 46, 0
    metrics = bar.get_metrics(trainer, SimpleNamespace(figures={"loss": 0.5}))
    assert metrics == {"loss": 0.5, "left": "0:00:54"}  # 23 of 50 batches took 46 s
