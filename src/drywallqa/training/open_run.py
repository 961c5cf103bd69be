"""Opens a training run before export, to segment photos, check the run's files, or replay a saved batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.checks.findings import FAULTS, FaultFinding, finding_of
from drywallqa.checks.weight_values import check_optimizer, check_weight_average, check_weights
from drywallqa.errors import ModelError
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.text.text_side import TextSide
from drywallqa.training.alarm_callback import NOT_FINITE
from drywallqa.training.checkpoints import (
    AVERAGED,
    LAST,
    UNREADABLE,
    WholeCheckpoints,
    read_weights,
    without_prefix,
)
from drywallqa.training.config import TrainConfig, load_config
from drywallqa.training.fit import build_model
from drywallqa.training.losses import foreground_weight
from drywallqa.training.run_folder import CONFIG, TEXT, read_foreground
from drywallqa.training.run_log import LINES, read_events
from drywallqa.training.task import SegmentationTask, parameter_groups, seed_torch

_STRUCTURE = (
    "made-in-forward", "made-late", "outside-optimizer", "outside-saved-state", "decoder-frozen",
    "no-gradient",
)  # fmt: skip
YOUNG = 300
"""Number of optimiser steps below which a run is under-trained, so that its masks are not checked."""


def open_run(run: Path) -> MeasuredModel:
    """Open a run with its best weights, and set all mask thresholds to 0.5.

    Raises:
        ModelError: There is no checkpoint, or its weights do not fit the model.
        ConfigError: The run's settings cannot be read.
    """
    config, text, model = untrained_model(run)
    load_strictly(model, read_weights(run)[1], str(run))
    return _measured_model(f"run {run.name}", run, config, text, model)


def untrained_model(run: Path) -> tuple[TrainConfig, TextSide, PromptedModel]:
    """Read a run's settings and text encoder, and build its model without the trained weights.

    Raises:
        ConfigError: The settings file cannot be read.
        BundleError: The text encoder is missing or damaged.
    """
    config, text = load_config(run / CONFIG), TextSide.load(run / TEXT)
    bare = config.model.model_copy(update={"pretrained": False, "weights": None})
    model = build_model(config.model_copy(update={"model": bare}), text.embed(()).shape[1])
    return config, text, model


def _measured_model(
    name: str, run: Path, config: TrainConfig, text: TextSide, model: PromptedModel
) -> MeasuredModel:
    """Wrap a model for evaluation. The run's text encoder embeds prompts if the model has no text tower."""
    family = registry.find_family(config.model.name, config.model.options)
    model.load_text(run / TEXT)
    backend = TorchBackend(model.eval(), None if family.own_text else text.embed)
    letterbox = family.letterbox(config.validation_window)
    concepts = dict.fromkeys(text.concepts, ConceptSettings())
    return MeasuredModel(name, Segmenter(WrappedModel(family.name, letterbox, concepts, backend, text)))


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """The result of checking a run folder.

    Attributes:
        averaged: The model with its averaged weights; None if these weights do not fit the model.
        trained: The model with the weights of its last step, which are not averaged; None if these weights do
            not fit the model.
        findings: Problems found in the settings, the log, the optimiser state and the weights.
        notes: Remarks to print in addition to the findings.
        young: Whether the run has too few steps for a check of its masks.
    """

    averaged: MeasuredModel | None
    trained: MeasuredModel | None
    findings: Sequence[FaultFinding]
    notes: Sequence[str]
    young: bool


def open_finished(run: Path) -> FinishedRun:
    """Open the folder of a finished or interrupted run, and check its files.

    Raises:
        ModelError: The checkpoint is missing or damaged, and the settings and the log do not show the cause.
        ConfigError: The run's settings are damaged.
    """
    config = load_config(run / CONFIG)
    try:
        checkpoint: dict[str, Any] = WholeCheckpoints().load_checkpoint(run / LAST, weights_only=True)
        state: Mapping[str, Tensor] = checkpoint["state_dict"]
    except (*UNREADABLE, ModelError) as error:
        findings = [*_check_settings(config), *_check_log(run)]
        if not findings:
            raise ModelError(f"{run / LAST}: no readable checkpoint ({error}); train first") from error
        note = f"the run has no readable checkpoint ({error})"
        return FinishedRun(None, None, findings, [note], young=True)
    steps = int(checkpoint.get("global_step", 0))
    trained, average = (without_prefix(state, prefix) for prefix in ("model.", AVERAGED))
    config, text, model = untrained_model(run)
    findings = [*check_weights(average or trained, trained=steps >= YOUNG), *_check_settings(config)]
    findings += [*_check_log(run), *_check_optimizer(checkpoint, model, config, run)]
    findings += check_weight_average(trained, average, steps)
    opened: list[MeasuredModel | None] = [None, None]
    try:
        for place, weights in enumerate((average or trained, trained)):
            own, name = deepcopy(model), f"run {run.name}" if place == 0 else "as trained"
            load_strictly(own, weights, str(run / LAST))
            opened[place] = _measured_model(name, run, config, text, own)
    except ModelError as error:
        findings.append(finding_of("outside-saved-state", str(error), 0.96))
    notes = [f"the run was trained for {steps} optimizer steps"]
    if steps < YOUNG:
        notes.append(
            f"the run is under-trained; to have its masks checked, train it for at least {YOUNG} steps"
        )
    return FinishedRun(opened[0], opened[1], findings, notes, young=steps < YOUNG)


def _check_optimizer(
    checkpoint: dict[str, Any], model: PromptedModel, config: TrainConfig, run: Path
) -> list[FaultFinding]:
    """Find trainable parameters that the optimiser does not update.

    If the check before training did not report these parameters, the finding `parts-frozen` replaces the
    finding `outside-optimizer`.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, 1.0, 1.0, config.optimisation.weight_decay)
    trainable = [names[id(p)] for group in groups for p in group["params"]]
    found = check_optimizer(checkpoint, trainable)
    log = run / LINES
    if not log.is_file() or "outside-optimizer" in log.read_text(encoding="utf-8"):
        return found
    return [
        finding_of("parts-frozen", each.evidence, each.weight) if each.name == "outside-optimizer" else each
        for each in found
    ]


def _check_settings(config: TrainConfig) -> list[FaultFinding]:
    """Find settings whose values are probably mistakes."""
    (low, high), size, rates = config.data.photo_scale, config.validation_window, config.optimisation
    top = max(rates.decoder_rate, rates.encoder_rate)
    jitter, pos_weight = config.data.phrase_jitter, config.loss.pos_weight
    checks = (
        (
            not low / 2.5 <= size <= high * 1.5, "scale-mismatch", 0.85,
            f"validation_window is {size} px, but training photos are {low:g} to {high:g} px long",
        ),
        (
            top >= 0.02, "rate-too-high", 1.0 if top >= 0.1 else 0.97,
            f"the encoder rate is {rates.encoder_rate:g} and the decoder rate is {rates.decoder_rate:g}",
        ),
        (
            rates.decoder_rate < 2e-6, "rate-too-low", 0.8,
            f"optimisation.decoder_rate is {rates.decoder_rate:g}",
        ),
        (
            jitter > 0.2, "phrase-noise", 0.85,
            f"data.phrase_jitter is {jitter:g}, although embeddings have length 1",
        ),
        (pos_weight > 8, "collapse-foreground", 0.85, f"loss.pos_weight is {pos_weight:g}"),
    )  # fmt: skip
    return [finding_of(name, evidence, weight) for wrong, name, weight, evidence in checks if wrong]


def _check_log(run: Path) -> list[FaultFinding]:
    """Collect the alarms from the run's log, and check the losses in the log."""
    events = read_events(run)
    alarms = [event for event in events if event.get("event") == "alarm" and event.get("finding") in FAULTS]
    found = [
        finding_of(
            str(event["finding"]),
            f"alarm during training: {event.get('evidence', '')}",
            (0.98 if event["finding"] in _STRUCTURE else 0.88) - 0.001 * place,
        )
        for place, event in enumerate(alarms)
    ]
    losses = [event.get("loss") for event in events if event.get("event") == "step" and "loss" in event]
    known = [float(loss) for loss in losses if loss is not None]
    if len(known) < len(losses):
        found.append(finding_of("loss-not-finite", "the log contains a loss that is not finite", 0.95))
    if len(known) >= 4:
        quarter = len(known) // 4
        start, end = sum(known[:quarter]) / quarter, sum(known[-quarter:]) / quarter
        if min(known) < -1:
            found.append(finding_of("masks-range", f"the loss fell below zero, to {min(known):.3g}", 0.9))
        elif end > 1.5 * start:
            found.append(finding_of("rate-too-high", f"the loss rose from {start:.3g} to {end:.3g}", 0.8))
    return found


def replay_batch(run: Path) -> tuple[list[str], bool]:
    """Replay the saved batch of a run, and check whether the output of every layer is finite.

    Returns:
        The lines of the report, and whether the loss is NaN or infinite again.

    Raises:
        ModelError: The run has no saved batch, or the saved weights do not fit the model.
    """
    path = run / NOT_FINITE
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{path}: no batch to replay ({error}); a run saves a batch only if its loss is not finite"
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
    return _replay_report(kept, task.figures, broken_layers)


def _replay_report(
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
        return [
            *lines,
            "the loss is finite this time, so neither the batch nor the weights are the cause",
        ], False
    if broken_weights:
        verdict = (
            "the weights were not finite before this batch; an earlier step was too large, so lower the rates"
        )
    elif not all(_finite(value) for value in kept["batch"].values()):
        verdict = "the batch contains NaN or infinity; check its photos and masks"
    else:
        verdict = f"the loss is not finite again; the problem starts in {(broken_layers or broken_parts)[0]}"
    return [*lines, verdict], True


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    return all(_finite(part) for part in value) if isinstance(value, tuple | list) else True
