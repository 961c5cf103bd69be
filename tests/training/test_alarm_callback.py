"""The report's failures replayed through the command line: each is named before the first step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch
from PIL import Image
from torch import nn

from drywallqa.datasets import dataset
from drywallqa.models.lite_models import CompactModel
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training import fit, task
from drywallqa.training.validation import ValidationPart
from tiny_runs import events, render, train


class NewEachCall(CompactModel):
    def decode(self, features: Any, embeddings: Any) -> Any:
        return super().decode(features, nn.Linear(64, 64)(embeddings))


class MadeLate(CompactModel):
    def decode(self, features: Any, embeddings: Any) -> Any:
        if not hasattr(self, "late"):
            self.late = nn.Linear(64, 64)
        return super().decode(features, self.late(embeddings))


class Unsaved(CompactModel):
    def decode(self, features: Any, embeddings: Any) -> Any:
        return super().decode(features, self.projections[0](embeddings))


class Doubled(CompactModel):
    def decode(self, features: Any, embeddings: Any) -> Any:
        logits, presence = super().decode(features, embeddings)
        return torch.sigmoid(logits), presence


class Deaf(CompactModel):
    def decode(self, features: Any, embeddings: Any) -> Any:
        return super().decode(features, torch.ones_like(embeddings))


def as_kind(kind: type) -> Callable[[CompactModel], None]:
    def change(model: CompactModel) -> None:
        model.__class__ = kind
        if kind is Unsaved:
            model.__dict__["projections"] = [nn.Linear(64, 64)]

    return change


def frozen(model: CompactModel) -> None:
    for part in (model.neck, model.decoder):
        part.requires_grad_(False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


def change_model(monkeypatch: pytest.MonkeyPatch, change: Callable[[CompactModel], None]) -> None:
    original = fit.build_model

    def build(*arguments: Any) -> Any:
        model = original(*arguments)
        change(model)
        return model

    monkeypatch.setattr(fit, "build_model", build)


def named(capsys: pytest.CaptureFixture[str], run: Path) -> list[str]:
    assert "stopped by an alarm" in capsys.readouterr().err
    return [event["finding"] for event in events(run, "alarm")]


def test_train__a_sound_run_raises_nothing(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "r", "--fail-fast") == 0
    assert events(tmp_path / "r", "alarm") == []
    (check,) = events(tmp_path / "r", "check")
    assert "nothing found" in check["text"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (as_kind(NewEachCall), "made-in-forward"),
        (as_kind(MadeLate), "made-late"),
        (as_kind(Unsaved), "outside-saved-state"),
        (as_kind(Doubled), "sigmoid-twice"),
        (as_kind(Deaf), "prompt-ignored"),
        (frozen, "decoder-frozen"),
    ],
    ids=["new at each call", "lazy", "unsaved", "sigmoid twice", "prompt ignored", "decoder frozen"],
)
def test_fail_fast__names_what_is_wrong_with_the_model(
    change: Callable[[CompactModel], None],
    cause: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change_model(monkeypatch, change)
    assert train(data, tmp_path / "r", "--fail-fast") == 1
    assert named(capsys, tmp_path / "r")[0] == cause


def test_fail_fast__looks_at_the_model_though_shares_are_a_rounding_above_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = TrainingPairs.__getitem__

    def rounded(self: TrainingPairs, index: int) -> Any:
        item = original(self, index)
        return {**item, "truth": item["truth"] * (1 + 2e-7)}

    monkeypatch.setattr(TrainingPairs, "__getitem__", rounded)
    change_model(monkeypatch, as_kind(NewEachCall))
    assert train(data, tmp_path / "r", "--fail-fast") == 1
    assert named(capsys, tmp_path / "r")[0] == "made-in-forward"


def test_fail_fast__names_a_rate_a_hundred_times_too_high(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = ("optimisation.decoder_rate=0.15", "optimisation.encoder_rate=0.04")
    assert train(data, tmp_path / "r", "--fail-fast", settings_=fast) == 1
    assert named(capsys, tmp_path / "r") == ["rate-too-high"]


def test_fail_fast__names_masks_in_0_to_255(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = TrainingPairs.__getitem__

    def bytes_for_shares(self: TrainingPairs, index: int) -> Any:
        item = original(self, index)
        item["truth"] = item["truth"] * 255
        return item

    monkeypatch.setattr(TrainingPairs, "__getitem__", bytes_for_shares)
    assert train(data, tmp_path / "r", "--fail-fast") == 1
    assert named(capsys, tmp_path / "r") == ["masks-range"]


def test_fail_fast__names_empty_masks(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    for path in (copy / "masks").rglob("*.png"):
        Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    assert train(copy, tmp_path / "r", "--fail-fast", settings_=("data.composite_share=0",)) == 1
    assert named(capsys, tmp_path / "r")[0] == "masks-empty"


def test_fail_fast__names_photographs_on_both_sides(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    known = dataset.load_dataset(copy)
    shared = [dataset.replace(s, set_name="x", source_photo="IMG_1") for s in known]
    dataset.save_dataset(known.with_samples(shared))
    assert train(copy, tmp_path / "r", "--fail-fast") == 1
    assert named(capsys, tmp_path / "r") == ["split-leak"]


def test_train__without_fail_fast_an_alarm_is_told_and_the_run_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change_model(monkeypatch, as_kind(Deaf))
    assert train(data, tmp_path / "r") == 0
    assert "alarm: prompt-ignored" in capsys.readouterr().err
    assert (tmp_path / "r" / "last.ckpt").is_file()


def test_train__a_loss_that_is_nan_keeps_its_batch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, calls = task.presence_loss, []

    def breaks(*arguments: Any) -> Any:
        calls.append(1)
        return original(*arguments) * (float("nan") if len(calls) > 2 else 1)  # one check, one step

    monkeypatch.setattr(task, "presence_loss", breaks)
    assert train(data, tmp_path / "r") == 1
    assert "loss-not-finite" in capsys.readouterr().err
    kept = torch.load(tmp_path / "r" / "not-finite.pt", weights_only=True)
    assert kept["step"] == 1
    assert kept["batch"]["image"].shape == (2, 3, 64, 64)
    assert all(torch.isfinite(value).all() for value in kept["model"].values())


@pytest.mark.parametrize(("grace", "code"), [(1, 1), (300, 0)])
def test_fail_fast__names_a_validation_of_zeros_once_the_grace_is_over(
    grace: int, code: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"val/crack/iou": 0.0, "val/taping area/iou": float("nan"), "val/iou": 0.0}
    monkeypatch.setattr(ValidationPart, "__call__", lambda self, model: figures)
    more = (f"watch.grace={grace}", "watch.window=100")
    assert train(data, tmp_path / "r", "--fail-fast", settings_=more) == code
    raised = [event["finding"] for event in events(tmp_path / "r", "alarm")]
    assert raised == (["validation-empty"] if code else [])
