"""A batch whose loss was not finite, run once more with every layer watched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drywallqa.errors import ModelError
from drywallqa.models.contract import load_strictly
from drywallqa.text.text_side import TextSide
from drywallqa.training import config as configuration
from drywallqa.training.alarm_callback import NOT_FINITE
from drywallqa.training.fit import build_model
from drywallqa.training.foreground import NAME as FOREGROUND
from drywallqa.training.mask_losses import foreground_weights
from drywallqa.training.run_folder import CONFIG, TEXT
from drywallqa.training.task import SegmentationTask, seed_torch


@dataclass(frozen=True)
class ReplayResult:
    """What a replay showed.

    Attributes:
        step: Optimiser steps before the batch.
        ranges: What went in → its least and its greatest value.
        parts: Each part of the loss.
        broken_weights: Weights that hold something not finite.
        culprit: The first layer that made something not finite out of finite inputs, "" for none.
        broken_gradients: Weights whose gradient is not finite.
    """

    step: int
    ranges: dict[str, tuple[float, float]]
    parts: dict[str, float]
    broken_weights: tuple[str, ...]
    culprit: str
    broken_gradients: tuple[str, ...]

    @property
    def again(self) -> bool:
        """Whether the loss is not finite this time too."""
        return not all(_finite(torch.tensor(value)) for value in self.parts.values())

    def sentences(self) -> list[str]:
        """Tell it in lines."""
        told = [f"batch after step {self.step}"]
        told += [f"  {name}: {low:.4g} to {high:.4g}" for name, (low, high) in self.ranges.items()]
        told += [f"  {name}: {value:.6g}" for name, value in self.parts.items()]
        if self.broken_weights:
            told.append(f"not finite before the batch: {', '.join(self.broken_weights[:8])}")
        if self.culprit:
            told.append(f"first layer whose output is not finite: {self.culprit}")
        if self.broken_gradients:
            told.append(f"gradients that are not finite: {', '.join(self.broken_gradients[:8])}")
        told.append(self._verdict())
        return told

    def _verdict(self) -> str:
        if not self.again:
            return "the loss is finite this time: what broke it lay outside batch and weights"
        if self.broken_weights:
            return "the weights were broken already: an earlier step was too large; lower the rates"
        if not all(torch.isfinite(torch.tensor(ends)).all() for ends in self.ranges.values()):
            return "the batch itself holds what is not finite: look at its photos and masks"
        if self.culprit:
            return f"the loss is not finite again, and it begins in {self.culprit}"
        bad = [name for name, value in self.parts.items() if not _finite(torch.tensor(value))]
        return f"the loss is not finite again, and it begins in {bad[0]}: the outputs themselves are finite"


def replay_batch(run: Path) -> ReplayResult:
    """Run the batch that a run kept once more.

    Raises:
        ModelError: The run kept none, or its weights do not fit.
    """
    path = run / NOT_FINITE
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{path}: no batch to replay ({error}); a run keeps one where its loss breaks"
        ) from error
    task = _task(run, kept["model"])
    seed_torch(kept.get("place", [task.config.seed, 0, 0, 0]))
    batch: dict[str, Any] = kept["batch"]
    with _watched(task.model) as culprits:
        loss = task.loss_of(*task.predict(batch), batch["truth"], batch["known"])
    loss.backward()
    return ReplayResult(
        step=int(kept["step"]),
        ranges={name: ends for name, value in batch.items() for ends in _ends(value)},
        parts={name: float(value) for name, value in task.figures.items()},
        broken_weights=tuple(name for name, value in kept["model"].items() if not _finite(value)),
        culprit=culprits[0] if culprits else "",
        broken_gradients=tuple(
            name for name, p in task.model.named_parameters() if p.grad is not None and not _finite(p.grad)
        ),
    )


def _task(run: Path, weights: dict[str, Tensor]) -> SegmentationTask:
    config = configuration.load_config(run / CONFIG)
    untouched = config.model_copy(update={"model": config.model.model_copy(update={"pretrained": False})})
    model = build_model(untouched, TextSide.load(run / TEXT).embed(["crack"]).shape[1])
    load_strictly(model, weights, str(run / NOT_FINITE))
    foreground: list[float] = []
    if (run / FOREGROUND).is_file():
        shares = json.loads((run / FOREGROUND).read_text(encoding="utf-8"))
        foreground = list(foreground_weights(shares, config.loss.pos_weight).values())
    task = SegmentationTask(model.train(), config, 1, None, foreground)
    task.settle()
    return task


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[str]]:
    """Note the layers that make something not finite of finite inputs, in the order of their calls."""
    culprits: list[str] = []

    def look(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if _finite(inputs) and not _finite(output):
                culprits.append(f"{name} ({type(layer).__name__})")

        return hook

    leaves = [(name, part) for name, part in model.named_modules() if not any(part.children())]
    handles = [part.register_forward_hook(look(name)) for name, part in leaves]
    try:
        yield culprits
    finally:
        for handle in handles:
            handle.remove()


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    return all(_finite(part) for part in value) if isinstance(value, tuple | list) else True


def _ends(value: Any) -> list[tuple[float, float]]:
    tensors = [value] if isinstance(value, Tensor) else list(value)
    numbers = torch.cat([tensor.detach().float().flatten() for tensor in tensors])
    return [(float(numbers.min()), float(numbers.max()))]
