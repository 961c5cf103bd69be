import time
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training.throughput import TrainingSpeed
from tiny_runs import events, render, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data") / "d")


def test_speed__is_said_and_logged_when_a_run_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four pictures that take a fifth of a second each to come are waited for at least that long."""
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


@pytest.mark.parametrize(("waiting", "advice"), [(1.0, False), (5.0, True)])
def test_speed__much_waiting_comes_with_what_to_do(waiting: float, advice: bool) -> None:
    speed = TrainingSpeed(photos=100, waiting=waiting, working=20.0 - waiting)
    assert speed.per_second == pytest.approx(5.0)
    assert speed.waiting_share == pytest.approx(waiting / 20)
    assert ("raise data.workers" in speed.sentence()) is advice


def test_speed__of_nothing_is_nothing() -> None:
    speed = TrainingSpeed(0, 0.0, 0.0)
    assert (speed.per_second, speed.waiting_share) == (0.0, 0.0)
