"""Several processes train what one does: by Lightning's launcher, by torchrun, and under Ray Train."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

from tiny_runs import events, render, settings, weights

pytestmark = pytest.mark.prove

SETTINGS = (
    "model.batch_norm=frozen", "data.photos_per_epoch=12", "optimisation.batch_size=4",
    "optimisation.epochs=2", "optimisation.epsilon=1e-6", "validate_every=1", "checkpoints.steps=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


def run(
    program: list[str], data: Path, out: Path, *more: str, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    verb = [*program, "train", "--data", str(data), "--out", str(out), "-q", *more, *settings(*SETTINGS)]
    done = subprocess.run(verb, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == expect, done.stdout[-3000:] + done.stderr[-6000:]
    return done


PLAIN = [sys.executable, "-m", "drywallqa"]


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    run(PLAIN, data, out)
    return out


def assert_close(one: Path, other: Path) -> None:
    expected, got = weights(one), weights(other)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.allclose(value.double(), got[name].double(), rtol=0, atol=1e-4), name
    first, second = (events(folder, "validation") for folder in (one, other))
    assert len(first) == len(second) == 2
    for mine, theirs in zip(first, second, strict=True):
        for name in (key for key in mine if key.startswith("val/")):
            assert (mine[name] is None) == (theirs[name] is None)
            assert mine[name] is None or mine[name] == pytest.approx(theirs[name], abs=1e-3)


def test_devices__two_processes_give_the_result_of_one(alone: Path, data: Path, tmp_path: Path) -> None:
    done = run(PLAIN, data, tmp_path / "two", "--devices", "2")
    assert done.stdout.count("trained: ") == 1
    assert_close(alone, tmp_path / "two")
    assert len(events(tmp_path / "two", "end")) == 1


def test_devices__torchrun_does_too(alone: Path, data: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run([*launcher, "-m", "drywallqa"], data, tmp_path / "two", "--devices", "2")
    assert done.stdout.count("trained: ") == 1
    assert_close(alone, tmp_path / "two")


def test_ray__two_workers_give_the_result_of_one_process(alone: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the fleet extra is not installed, so nothing runs under Ray Train")
    run(PLAIN, data, tmp_path / "two", "--ray-workers", "2")
    assert_close(alone, tmp_path / "two")
    refused_by_a_worker = run(PLAIN, data, tmp_path / "two", "--ray-workers", "2", expect=2)
    assert "--overwrite" in refused_by_a_worker.stderr.splitlines()[-1]
