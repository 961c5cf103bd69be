"""Replays a batch whose loss was not finite, and finds the layer or loss term that caused this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from drywallqa.errors import ModelError
from drywallqa.models.contract import load_strictly
from drywallqa.training.alarm_callback import NOT_FINITE
from drywallqa.training.losses import foreground_weight
from drywallqa.training.open_run import untrained_model
from drywallqa.training.run_folder import read_foreground
from drywallqa.training.task import SegmentationTask, seed_torch


def replay_batch(run: Path) -> tuple[list[str], bool]:
    """Replay the saved batch of a run, and check the output of every layer.

    Returns:
        The lines of the report, and True if the loss is NaN or infinite again.

    Raises:
        ModelError: The run has no saved batch, or the saved weights do not fit the model.
    """
    path = run / NOT_FINITE
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{path}: no batch to replay ({error}); a run saves one only if its loss is not finite"
        ) from error
    config, _, model = untrained_model(run)
    load_strictly(model, kept["model"], str(path))
    weights = [foreground_weight(s, config.loss.pos_weight) for s in read_foreground(run).values()]
    task = SegmentationTask(model.train(), config, 1, None, weights)
    task.freeze_model()
    seed_torch(kept.get("place", [config.seed, 0, 0, 0]))
    batch = kept["batch"]
    layers = {part: name for name, part in model.named_modules() if not any(part.children())}
    broken_layers: list[str] = []

    def check(layer: nn.Module, inputs: Any, output: Any) -> None:
        if layer in layers and _finite(inputs) and not _finite(output):
            broken_layers.append(f"{layers[layer]} ({type(layer).__name__})")

    with torch.no_grad(), register_module_forward_hook(check):
        task.loss_of(*task.predict(batch), batch["truth"], batch["known"], batch.get("ignored"))
    return _report(kept, task.figures, broken_layers)


def _report(
    kept: dict[str, Any], figures: dict[str, Tensor], broken_layers: list[str]
) -> tuple[list[str], bool]:
    lines = [f"batch after step {kept['step']}"]
    for name, value in kept["batch"].items():
        tensors = [value] if isinstance(value, Tensor) else list(value)
        numbers = torch.cat([tensor.detach().float().flatten() for tensor in tensors])
        lines.append(f"  {name}: {float(numbers.min()):.4g} to {float(numbers.max()):.4g}")
    lines += [f"  {name}: {float(value):.6g}" for name, value in figures.items()]
    broken_weights = [name for name, value in kept["model"].items() if not _finite(value)]
    if broken_weights:
        lines.append(f"weights that were not finite before the batch: {', '.join(broken_weights[:8])}")
    if broken_layers:
        lines.append(f"first layer whose output is not finite: {broken_layers[0]}")
    broken_parts = [name for name, value in figures.items() if not _finite(value)]
    if not broken_parts:
        return [*lines, "the loss is finite this time: neither batch nor weights are the cause"], False
    if broken_weights:
        verdict = "the weights were already not finite: an earlier step was too large; lower the rates"
    elif not all(_finite(value) for value in kept["batch"].values()):
        verdict = "the batch contains NaN or infinity: check its photos and masks"
    else:
        verdict = f"the loss is not finite again; the fault starts in {(broken_layers or broken_parts)[0]}"
    return [*lines, verdict], True


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    return all(_finite(part) for part in value) if isinstance(value, tuple | list) else True
