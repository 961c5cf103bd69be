"""Ctrl-C, full disks, and what a run leaves behind for people and machines."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch
from PIL import Image

from drywallqa.datasets import dataset
from drywallqa.errors import OutputError, StoppedError
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training import checkpoints
from drywallqa.training.checkpoint_callback import CheckpointCallback
from drywallqa.training.checkpoints import write_tensors
from drywallqa.training.config import CheckpointConfig
from drywallqa.training.data_module import RemainingBatches
from drywallqa.training.run_log import RunLog
from tiny_runs import assert_same_weights, events, render, train, weights

THREE = ("data.photos_per_epoch=6", "optimisation.epochs=2", "data.phrase_jitter=0.03")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert train(data, run, settings_=THREE) == 0
    return run


def test_run__logs_for_people_and_machines(whole: Path) -> None:
    kinds = [event["event"] for event in events(whole)]
    assert kinds[0] == "check" or kinds[0] == "start"
    assert "end" in kinds[-2:]  # the speed is told beside it
    (validation,) = events(whole, "validation")
    assert 0 <= validation["val/iou"] <= 1
    assert "validation: epoch" in (whole / "log.txt").read_text()


def test_run__shows_what_the_model_sees(whole: Path, data: Path, tmp_path: Path) -> None:
    with Image.open(whole / "batch.png") as sheet:
        assert sheet.size[0] > 3 * 64
    assert train(data, tmp_path / "none", "--show-batch", str(tmp_path / "s.png"), settings_=THREE) == 0
    assert not (tmp_path / "none").exists()
    assert (tmp_path / "s.png").is_file()


def test_ctrl_c__saves_in_the_middle_of_an_epoch_and_resumes_exactly(
    data: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original, before = TrainingPairs.__getitem__, signal.getsignal(signal.SIGINT)

    def pressed(self: TrainingPairs, index: int) -> Any:
        if (self.epoch, index) == (1, 2):
            signal.raise_signal(signal.SIGINT)
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingPairs, "__getitem__", pressed)
        assert train(data, tmp_path / "r", settings_=THREE) == 130
    assert "--resume" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    (stopped,) = events(tmp_path / "r", "stop")
    assert "step 4" in stopped["text"]
    assert train(data, tmp_path / "r", "--resume") == 0
    assert_same_weights(whole, tmp_path / "r")


def test_ctrl_c__a_step_that_has_begun_is_finished_first(tmp_path: Path) -> None:
    """Gradients that are half added up are in no checkpoint."""
    stopping, saved = CheckpointCallback(tmp_path, CheckpointConfig(), 2, RunLog(tmp_path)), []
    stopping.interrupted = True
    trainer = SimpleNamespace(world_size=1, save_checkpoint=saved.append, global_step=1, current_epoch=0)
    stopping.on_train_batch_start(trainer, None, None, 3)
    assert not saved
    with pytest.raises(StoppedError, match="after step 1"):
        stopping.on_train_batch_start(trainer, None, None, 4)
    assert saved == [tmp_path / "last.ckpt"]


def test_remaining__hands_out_the_rest_and_keeps_its_length() -> None:
    rest = RemainingBatches(3, 2, first=1)
    assert len(rest) == 3
    assert list(rest) == [[2, 3], [4, 5]]


def test_remaining__deals_a_batch_out_to_several_processes() -> None:
    parts = [list(RemainingBatches(2, 4, rank=rank, world=2)) for rank in (0, 1)]
    assert parts == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), None])
def test_write_tensors__a_full_disk_leaves_the_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: OSError | None
) -> None:
    path = tmp_path / "last.ckpt"
    write_tensors({"good": torch.ones(2)}, path)

    def full(content: Any, stream: Any) -> None:
        stream.write(b"half of it")
        raise trouble or RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(OutputError, match=r"last\.ckpt.*last good checkpoint is intact.*--resume"):
        write_tensors({"new": torch.zeros(2)}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True)["good"].sum() == 2
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_train__a_full_disk_is_one_line_and_costs_no_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, calls = torch.save, []

    def full(content: Any, stream: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(content, stream)

    monkeypatch.setattr(checkpoints.torch, "save", full)
    assert train(data, tmp_path / "r", settings_=THREE) == 2
    told = capsys.readouterr().err.splitlines()
    assert "no space left on device" in told[-1]
    monkeypatch.undo()
    assert torch.load(tmp_path / "r" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert weights(tmp_path / "r")


def test_train__a_mask_of_another_size_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    known = dataset.load_dataset(copy)
    name = next(name for s in known for name in s.labels.values() if name)
    Image.new("L", (10, 12)).save(copy / name)
    assert train(copy, tmp_path / "r") == 3
    told = capsys.readouterr().err
    assert "10×12" in told
    assert Path(name).name in told


@pytest.mark.parametrize("keep", ["one concept", "one photo"])
def test_train__one_concept_or_one_photo_is_enough(data: Path, tmp_path: Path, keep: str) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    known = dataset.load_dataset(copy)
    if keep == "one concept":
        few = [dataset.replace(s, labels={"crack": s.labels["crack"]}) for s in known]
        changed = dataset.replace(known.with_samples(few), concepts={"crack": known.concepts["crack"]})
    else:
        cracked = [s for s in known if s.split == "train" and s.labels["crack"]]
        changed = known.with_samples([cracked[0], *known.part("val")])
    dataset.save_dataset(changed)
    assert train(copy, tmp_path / "r") == 0


def test_train__a_folder_that_cannot_be_written_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert train(data, tmp_path / "file" / "run") == 2
    assert "choose another" in capsys.readouterr().err


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_train__other_schedules_losses_and_accumulation_run(
    data: Path, tmp_path: Path, schedule: str
) -> None:
    more = (
        f"optimisation.schedule={schedule}", "optimisation.accumulate=2", "validate_every=1",
        "loss.name=weighted_bce_dice", "optimisation.epochs=2", "optimisation.plateau_patience=0",
    )  # fmt: skip
    assert train(data, tmp_path / "r", settings_=more) == 0
    assert (tmp_path / "r" / "foreground.json").is_file()
    assert len(events(tmp_path / "r", "validation")) == 2


def test_train__stops_early_where_nothing_gets_better(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drywallqa.training.validation import ValidationPart

    monkeypatch.setattr(ValidationPart, "__call__", lambda self, model: {"val/iou": 0.25})
    more = ("optimisation.epochs=6", "optimisation.patience=1", "validate_every=1")
    assert train(data, tmp_path / "r", settings_=more) == 0
    assert len(events(tmp_path / "r", "validation")) == 2
    assert (tmp_path / "r" / "best.safetensors").is_file()
