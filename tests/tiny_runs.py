"""Training runs of a few steps on rendered pictures, through the command line."""

from __future__ import annotations

import json
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
