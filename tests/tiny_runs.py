"""Training runs of a few steps on rendered pictures, through the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from drywallqa.cli import main

TINY = (
    "data.window=64", "data.photos_per_epoch=4", "data.workers=0", "data.phrases=8",
    "optimisation.batch_size=2", "optimisation.epochs=1", "validation_window=64", "model.width=16",
    "model.pretrained=false", "threads=1",
)  # fmt: skip


def settings(*more: str) -> list[str]:
    return [part for setting in (*TINY, *more) for part in ("--set", setting)]


def render(folder: Path) -> Path:
    """A data set of a few rendered photos with a train and a val part."""
    assert main(["data", "render", str(folder), "--count", "8", "--seed", "1"]) == 0
    assert main(["data", "render", str(folder), "--count", "3", "--set", "v", "--split", "val"]) == 0
    return folder


def train(data: Path, run: Path, *more: str, settings_: tuple[str, ...] = ()) -> int:
    return main(["train", "--data", str(data), "--out", str(run), "-q", *more, *settings(*settings_)])


def events(run: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The run's log, or its events of one kind."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if kind in (None, line["event"])]


def weights(run: Path) -> dict[str, Any]:
    """Every tensor that a run goes on with: trained and averaged weights."""
    from drywallqa.training.checkpoints import WholeCheckpoints

    return WholeCheckpoints().load_checkpoint(run / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(one: Path, other: Path) -> None:
    """Two runs have come to the same weights, bit for bit."""
    import torch

    expected, got = weights(one), weights(other)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def train_and_exit(data: Path, run: Path, more: list[str], settings_: tuple[str, ...]) -> None:
    """Train as the whole life of a process; what it says goes nowhere."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        os._exit(train(data, run, *more, settings_=settings_))
