"""A run repeated, replayed, shown, and refused: each through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

from drywallqa.cli import main
from drywallqa.training import task
from drywallqa.training.pictures import side_by_side
from tiny_runs import assert_same_weights, events, render, settings, train

LONGER = ("data.photos_per_epoch=6", "optimisation.epochs=2", "validate_every=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert train(data, folder, settings_=LONGER) == 0
    return folder


def figures(run: Path) -> list[dict[str, Any]]:
    """Everything that a log says of steps and validations but when, and how quickly."""
    apart = {"time", "text", "photos_per_second"}
    told = [event for event in events(run) if event["event"] in {"step", "validation"}]
    return [{name: value for name, value in event.items() if name not in apart} for event in told]


@pytest.mark.parametrize("workers", [0, 2])
def test_train__the_same_seed_gives_the_same_losses_to_the_last_digit(
    workers: int, data: Path, run: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path / "again", settings_=(*LONGER, f"data.workers={workers}")) == 0
    assert any("loss" in told for told in figures(run))
    assert figures(tmp_path / "again") == figures(run)
    assert_same_weights(run, tmp_path / "again")


def test_train__another_seed_gives_other_losses(data: Path, run: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "other", settings_=(*LONGER, "seed=5")) == 0
    assert figures(tmp_path / "other") != figures(run)


def test_run__says_what_it_is_made_of(run: Path) -> None:
    told = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    assert told["versions"]["torch"] == torch.__version__
    assert len(told["data fingerprint"]) == 64
    assert told["seed"] == 0


def test_run__tensorboard_has_figures_rates_curves_and_pictures(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    board.Reload()
    scalars, images = board.Tags()["scalars"], board.Tags()["images"]
    for concept in ("crack", "taping area"):
        for figure in ("iou", "dice", "pixel accuracy", "false alarms"):
            assert f"val/{concept}/{figure}" in scalars
        curve = board.Scalars(f"threshold curve: {concept}/epoch 001")
        assert [event.step for event in curve] == list(range(10, 100, 10))
    assert any(name.startswith("lr-AdamW") for name in scalars)
    assert {"loss/mask", "loss/presence", "loss/total"} <= set(scalars)
    assert any(name.startswith("val crack/") for name in images)
    assert len(board.Images(images[0])) == 2
    assert (run / "csv-0" / "metrics.csv").read_text().count("val/crack/iou") == 1


def test_side_by_side__shows_truth_and_mask() -> None:
    import numpy as np

    photo = np.full((20, 30, 3), 100, np.uint8)
    truth, mask = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    truth[:10], mask[:, :15] = True, True
    drawn = side_by_side(photo, truth, mask)
    height, width = drawn.shape[0], drawn.shape[1] // 3
    assert tuple(drawn[5, 5]) == (100, 100, 100)
    assert drawn[5, width + 5, 0] > 150
    assert drawn[height - 5, width + 5, 0] == 100
    assert drawn[height - 5, 2 * width + 5, 0] > 150


def test_train__resumed_with_other_data_warns(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = tmp_path / "data", tmp_path / "run"
    for source, copy in zip((data, run), copies, strict=True):
        shutil.copytree(source, copy)
    lines = (copies[0] / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    (copies[0] / "manifest.jsonl").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    assert train(copies[0], copies[1], "--resume") == 0
    assert "has changed since this run began" in capsys.readouterr().err


def test_fingerprint__sees_a_changed_mask(data: Path, tmp_path: Path) -> None:
    from drywallqa.datasets import dataset

    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    before = dataset.load_dataset(copy).digest()
    assert before == dataset.load_dataset(data).digest()
    mask = next((copy / "masks").rglob("*.png"))
    mask.write_bytes(mask.read_bytes() + b"\0")
    assert dataset.load_dataset(copy).digest() != before


def test_replay__names_where_a_loss_breaks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, calls = task.presence_loss, []

    def breaks(*arguments: Any) -> Any:
        calls.append(1)
        return original(*arguments) * (float("nan") if len(calls) > 2 else 1)  # one check, one step

    with monkeypatch.context() as patch:
        patch.setattr(task, "presence_loss", breaks)
        assert train(data, tmp_path / "r") == 1
        assert "drywallqa replay" in capsys.readouterr().err
        assert main(["replay", str(tmp_path / "r")]) == 1
        told = capsys.readouterr().out
        assert "batch after step 1" in told
        assert "starts in loss/presence" in told
    assert main(["replay", str(tmp_path / "r")]) == 0
    assert "finite this time" in capsys.readouterr().out
    kept = torch.load(tmp_path / "r" / "not-finite.pt", weights_only=True)
    name = next(name for name in kept["model"] if name.endswith("weight"))
    kept["model"][name][0] = float("nan")
    torch.save(kept, tmp_path / "r" / "not-finite.pt")
    assert main(["replay", str(tmp_path / "r")]) == 1
    told = capsys.readouterr().out
    assert f"weights that were not finite before the batch: {name}" in told
    assert "first layer whose output is not finite" in told


def test_replay__a_run_that_kept_no_batch_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(run)]) == 2
    assert "no batch to replay" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--devices", "3"), "multiple of 3"),
        (("--set", "model.batch_norm=synchronised"), "needs GPUs"),
    ],
)
def test_train__processes_that_cannot_be_are_refused(
    more: tuple[str, ...], told: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available() and "batch_norm" in more[1]:
        pytest.skip("this machine can synchronise statistics")
    assert train(data, tmp_path / "r", *more) == 2
    assert told in capsys.readouterr().err


def test_train__bfloat16_and_frozen_statistics_run(data: Path, tmp_path: Path) -> None:
    from tiny_runs import weights

    chosen = ("optimisation.precision=bfloat16", "model.batch_norm=frozen")
    assert train(data, tmp_path / "r", settings_=chosen) == 0
    means = [value for name, value in weights(tmp_path / "r").items() if name.endswith("running_mean")]
    assert means
    assert not any(bool(value.any()) for value in means), "statistics have moved"


def test_train__a_folder_without_permission_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a stand-in for the system's refusal: root, as which tests may run, may write anywhere."""
    original = Path.touch

    def refuse(self: Path, *arguments: Any, **more: Any) -> None:
        if self.parent == tmp_path / "r":
            raise PermissionError(13, "Permission denied")
        original(self, *arguments, **more)

    monkeypatch.setattr(Path, "touch", refuse)
    assert train(data, tmp_path / "r") == 2
    told = capsys.readouterr().err
    assert "permission denied" in told
    assert str(tmp_path / "r") in told


def test_train__nothing_to_resume_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ["train", "--data", str(data), "--out", str(tmp_path / "r"), "--resume", *settings()]
    assert main(verb) == 2
    assert "start without --resume" in capsys.readouterr().err
