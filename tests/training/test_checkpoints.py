"""What a run keeps: weights apart from the optimiser's state, the best, each epoch's within a budget."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch
from safetensors.torch import load_file

from drywallqa.errors import ModelError
from drywallqa.training import checkpoints
from drywallqa.training.checkpoint_callback import CheckpointCallback
from drywallqa.training.checkpoints import WholeCheckpoints, read_weights, weights_header
from drywallqa.training.run_log import RunLog
from tiny_runs import assert_same_weights, events, render, train, weights

KEPT = ("optimisation.epochs=3", "validate_every=2", "checkpoints.every_epoch=true")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert train(data, folder, settings_=KEPT) == 0
    return folder


def checkpoint(number: float) -> dict:
    return {"state_dict": {"model.w": torch.full((2,), number)}, "epoch": 0, "global_step": int(number)}


def test_run__keeps_weights_apart_from_the_optimiser(run: Path) -> None:
    state = torch.load(run / "last.ckpt", weights_only=True)
    assert "state_dict" not in state
    assert state["optimizer_states"]
    names = load_file(run / "last.safetensors").keys()
    assert {name.split(".")[0] for name in names} == {"model", "average"}
    assert len(list((run / "epochs").glob("epoch-*.safetensors"))) == 3


def test_run__validates_its_end_and_keeps_the_best(run: Path) -> None:
    validated = events(run, "validation")
    assert [event["epoch"] for event in validated] == [1, 2]
    told = weights_header(run / "best.safetensors")
    assert float(told["val/iou"]) == max(event["val/iou"] for event in validated)


def test_read_weights__takes_the_best_unless_another_is_named(run: Path, tmp_path: Path) -> None:
    assert read_weights(run)[0].name == "best.safetensors"
    last_path, last = read_weights(run, "last")
    assert last_path.name == "last.ckpt"
    whole = weights(run)
    assert all(torch.equal(value, whole[f"average.module.{name}"]) for name, value in last.items())
    epoch = run / "epochs" / "epoch-0002.safetensors"
    assert read_weights(run, str(epoch))[1].keys() == last.keys()
    copy = tmp_path / "no best"
    shutil.copytree(run, copy)
    (copy / "best.safetensors").unlink()
    assert read_weights(copy)[0].name == "last.ckpt"
    with pytest.raises(ModelError, match=r"best\.safetensors.*last\.safetensors"):
        read_weights(copy, "best")


def test_read_weights__takes_a_run_with_everything_in_one_file(run: Path, tmp_path: Path) -> None:
    """Runs of earlier versions lie about, and some are still under way."""
    state = WholeCheckpoints().load_checkpoint(run / "last.ckpt", weights_only=True)
    torch.save(state, tmp_path / "last.ckpt")
    assert read_weights(tmp_path)[1].keys() == read_weights(run)[1].keys()


def test_train__resumes_a_run_with_everything_in_one_file(data: Path, run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    state = WholeCheckpoints().load_checkpoint(run / "last.ckpt", weights_only=True)
    torch.save(state, old / "last.ckpt")
    (old / "last.safetensors").unlink()
    assert train(data, old, "--resume") == 0
    assert_same_weights(run, old)


@pytest.mark.parametrize("step", ["before the state", "before the renaming"])
def test_save__cut_off_between_its_steps_leaves_a_state_with_its_weights(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    io, path = WholeCheckpoints(), tmp_path / "last.ckpt"
    io.save_checkpoint(checkpoint(1), path)

    def power_cut(*arguments: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        if step == "before the state":
            patch.setattr(checkpoints, "write_tensors", power_cut)
        else:
            patch.setattr(checkpoints, "_rename_weights", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            io.save_checkpoint(checkpoint(2), path)
    expected = 1 if step == "before the state" else 2
    for _ in range(2):
        state = io.load_checkpoint(path, weights_only=True)
        assert state["global_step"] == expected
        assert state["state_dict"]["model.w"].tolist() == [expected, expected]
        # once more, from where the cut left it
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "write_tensors", power_cut)
            with pytest.raises(RuntimeError, match="power cut"):
                io.save_checkpoint(checkpoint(3), path)
    io.save_checkpoint(checkpoint(4), path)
    assert io.load_checkpoint(path, weights_only=True)["state_dict"]["model.w"].tolist() == [4, 4]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.ckpt", "last.safetensors"]


def test_save__syncs_handles_that_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="this system tells nothing of how a handle was opened")
    ways = []
    monkeypatch.setattr(os, "fsync", lambda number: ways.append(fcntl.fcntl(number, fcntl.F_GETFL)))
    WholeCheckpoints().save_checkpoint(checkpoint(1), tmp_path / "last.ckpt")
    assert len(ways) == 2
    assert all(way & os.O_ACCMODE != os.O_RDONLY for way in ways)


def test_load__weights_of_another_state_are_refused(tmp_path: Path) -> None:
    io = WholeCheckpoints()
    for name in ("one", "other"):
        io.save_checkpoint(checkpoint(1), tmp_path / f"{name}.ckpt")
    (tmp_path / "other.safetensors").replace(tmp_path / "one.safetensors")
    with pytest.raises(ModelError, match="does not contain the weights"):
        io.load_checkpoint(tmp_path / "one.ckpt", weights_only=True)


def test_budget__the_oldest_epochs_go_first(tmp_path: Path) -> None:
    from drywallqa.training.config import CheckpointConfig

    folder = tmp_path / "epochs"
    folder.mkdir()
    for number in range(4):
        (folder / f"epoch-{number:04d}.safetensors").write_bytes(bytes(1000))
    (tmp_path / "last.ckpt").write_bytes(bytes(500))
    keeping = CheckpointCallback(tmp_path, CheckpointConfig(budget_gb=2.6e-6), 1, RunLog(tmp_path))
    keeping._trim()
    assert [path.name for path in sorted(folder.iterdir())] == [
        "epoch-0002.safetensors", "epoch-0003.safetensors"
    ]  # fmt: skip
    (tmp_path / "last.ckpt").write_bytes(bytes(5000))
    keeping._trim()
    assert (tmp_path / "last.ckpt").is_file()
    assert "leaves no room" in (tmp_path / "log.txt").read_text()


def test_overwrite__forgets_the_checkpoints_that_were_there(data: Path, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    assert train(data, copy, "--overwrite") == 0
    assert not list((copy / "epochs").iterdir())
    assert weights_header(copy / "best.safetensors")["epoch"] == "0"
