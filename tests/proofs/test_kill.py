"""`kill -9` at random moments: a resumed run ends where the undisturbed one does, bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

from drywallqa.training.checkpoint_callback import CheckpointCallback
from drywallqa.training.checkpoints import LAST, WholeCheckpoints, read_weights
from tiny_runs import assert_same_weights, render, train, train_and_exit

pytestmark = pytest.mark.prove

KILLS = 30
SETTINGS = (
    "data.photos_per_epoch=8", "optimisation.epochs=3", "optimisation.accumulate=2", "checkpoints.steps=1",
    "optimisation.schedule=plateau", "optimisation.plateau_patience=0", "optimisation.patience=0",
    "validate_every=1",
)  # fmt: skip


def start(data: Path, run: Path) -> BaseProcess:
    """Start or resume a run in a process of its own, made from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["drywallqa.training.train_run", "tiny_runs"])
    more = ["--resume"] if (run / LAST).is_file() else []
    child = context.Process(target=train_and_exit, args=(data, run, more, SETTINGS))
    child.start()
    return child


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


def state_of(run: Path) -> dict:
    return WholeCheckpoints().load_checkpoint(run / LAST, weights_only=True)


def assert_same_run(one: Path, other: Path) -> None:
    assert_same_weights(one, other)
    first, second = (state_of(run) for run in (one, other))
    for mine, theirs in zip(first["optimizer_states"], second["optimizer_states"], strict=True):
        assert mine["param_groups"] == theirs["param_groups"]
        for number, moments in mine["state"].items():
            for name, value in moments.items():
                assert torch.equal(value, theirs["state"][number][name]), (number, name)
    assert first["lr_schedulers"] == second["lr_schedulers"]
    best = [read_weights(run, "best")[1] for run in (one, other)]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())


def finish(data: Path, run: Path) -> None:
    child = start(data, run)
    child.join()
    assert child.exitcode == 0


def starts(run: Path) -> int:
    """How often training has begun in a run, by its log."""
    log = run / "log.jsonl"
    return log.read_text(encoding="utf-8").count('"event": "start"') if log.is_file() else 0


def kill(data: Path, run: Path, seconds: float) -> bool:
    """Start or resume a run, kill it so long after training began; says whether it was still at work."""
    before, child = starts(run), start(data, run)
    while child.is_alive() and starts(run) == before:
        time.sleep(0.005)
    time.sleep(seconds)
    if child.is_alive():
        os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert child.exitcode in {0, -signal.SIGKILL}
    return child.exitcode != 0


def test_kill__at_random_moments_costs_nothing_but_time(data: Path, tmp_path: Path) -> None:
    finish(data, tmp_path / "whole")
    again = start(data, tmp_path / "again")
    while not starts(tmp_path / "again"):
        time.sleep(0.005)
    began = time.monotonic()
    again.join()
    length = time.monotonic() - began  # only says where kills are aimed at: any other would do
    assert_same_run(tmp_path / "whole", tmp_path / "again")
    dice, kills, number, places = random.Random(0), 0, 0, set()
    while kills < KILLS:
        run, last = tmp_path / f"killed-{number}", 0
        while kills < KILLS and kill(data, run, dice.uniform(0.0, 0.5) * length):
            kills += 1
            if not (run / LAST).is_file():
                continue
            state = state_of(run)  # readable, and its weights are at hand
            assert state["state_dict"]
            assert state["global_step"] >= last
            last = state["global_step"]
            progress = state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
            places.add((state["epoch"], progress["completed"]))
        finish(data, run)
        assert_same_run(tmp_path / "whole", run)
        number += 1
    print(f"{kills} kills of {number} runs, gone on with from {len(places)} places: {sorted(places)}")
    assert places


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resume__from_every_place_where_a_run_is_saved(
    accumulate: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between epochs, within them, before the last batch of one: every place ends the same."""
    settings = (*SETTINGS, f"optimisation.accumulate={accumulate}", "data.photos_per_epoch=6",
                "optimisation.epochs=2")  # fmt: skip
    assert train(data, tmp_path / "whole", settings_=settings) == 0
    original = CheckpointCallback._save
    for place in range(1, 100):
        run, saves = tmp_path / f"cut-{place}", []

        def cut(
            self: CheckpointCallback, trainer: object, place: int = place, saves: list[int] = saves
        ) -> None:
            original(self, trainer)
            saves.append(1)
            if len(saves) == place:
                raise RuntimeError("power cut")

        with monkeypatch.context() as patch:
            patch.setattr(CheckpointCallback, "_save", cut)
            patch.setenv("DRYWALLQA_TRACEBACK", "1")  # printed, so that no file of it is kept
            if train(data, run, settings_=settings) == 0:
                break
        assert train(data, run, "--resume") == 0
        assert_same_run(tmp_path / "whole", run)
    assert place > 4, "saved between epochs and within them"
