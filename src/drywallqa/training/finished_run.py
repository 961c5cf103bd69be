"""A finished or interrupted run, opened to be diagnosed: its model, its settings, its optimizer, its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from drywallqa.checks.findings import FAULTS, FaultFinding, finding_of
from drywallqa.checks.weight_values import check_optimizer, check_weight_average, check_weights
from drywallqa.errors import ModelError
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.text.text_side import TextSide
from drywallqa.training import config as configuration
from drywallqa.training.checkpoints import AVERAGED, LAST, UNREADABLE, WholeCheckpoints, without_prefix
from drywallqa.training.config import TrainConfig
from drywallqa.training.fit import build_model
from drywallqa.training.open_run import run_model
from drywallqa.training.run_folder import TEXT
from drywallqa.training.run_log import LINES, read_events
from drywallqa.training.task import parameter_groups

_STRUCTURE = (
    "made-in-forward", "made-late", "outside-optimizer", "outside-saved-state", "decoder-frozen",
    "no-gradient",
)  # fmt: skip
YOUNG = 300
"""Optimizer steps before which a run is under-trained, and nothing but facts is judged."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run's folder, read.

    Attributes:
        subject: Its averaged model, ready to run; None where the weights do not fit.
        trained: The same with the weights as they were trained; None likewise.
        findings: What its files prove by themselves.
        notes: What a reader should know.
        steps: Optimizer steps.
    """

    subject: MeasuredModel | None
    trained: MeasuredModel | None
    findings: tuple[FaultFinding, ...]
    notes: tuple[str, ...]
    steps: int

    @property
    def young(self) -> bool:
        """Whether it has hardly been trained."""
        return self.steps < YOUNG


def open_finished(run: Path) -> FinishedRun:
    """Open a run's folder and check what lies in it.

    Raises:
        ModelError: There is no checkpoint, or it is damaged.
        ConfigError: Its settings are damaged.
    """
    settings = configuration.load_config(run / "config.yaml")
    try:
        checkpoint: dict[str, Any] = WholeCheckpoints().load_checkpoint(run / LAST, weights_only=True)
        state: Mapping[str, Tensor] = checkpoint["state_dict"]
    except (*UNREADABLE, ModelError) as error:
        told = [*_settings(settings), *_log(run)]
        if not told:
            raise ModelError(f"{run / LAST}: no readable checkpoint ({error}); train first") from error
        return FinishedRun(None, None, tuple(told), (f"the run left no readable checkpoint ({error})",), 0)
    steps = int(checkpoint.get("global_step", 0))
    trained, average = (without_prefix(state, prefix) for prefix in ("model.", AVERAGED))
    text = TextSide.load(run / TEXT)
    plain = settings.model_copy(update={"model": settings.model.model_copy(update={"pretrained": False})})
    model = build_model(plain, text.embed(["crack"]).shape[1])
    findings = [*check_weights(average or trained, trained=steps >= YOUNG), *_settings(settings), *_log(run)]
    findings += _unoptimised(check_optimizer(checkpoint, _trainable(model, settings)), run)
    findings += check_weight_average(trained, average, steps)
    subjects: list[MeasuredModel | None] = []
    for weights, name in ((average or trained, f"run {run.name}"), (trained, "as trained")):
        fitting = _fitting(model, weights, run, findings) if subjects != [None] else None
        subjects.append(_subject(name, run, plain, text, fitting) if fitting is not None else None)
    notes = [f"the run took {steps} optimizer steps"]
    if steps < YOUNG:
        notes.append(
            f"it is under-trained: fewer than {YOUNG} steps say nothing about a model; train longer "
            "before its answers are judged"
        )
    return FinishedRun(subjects[0], subjects[1], tuple(findings), tuple(notes), steps)


def _unoptimised(found: list[FaultFinding], run: Path) -> list[FaultFinding]:
    """Tell frozen parts from forgotten ones: the run's own first check would tell of those."""
    told = run / LINES
    if not told.is_file() or "outside-optimizer" in told.read_text(encoding="utf-8"):
        return found
    return [
        finding_of("parts-frozen", each.evidence, each.weight) if each.name == "outside-optimizer" else each
        for each in found
    ]


def _trainable(model: PromptedModel, settings: TrainConfig) -> list[str]:
    """Name what is trained, in the optimizer's order."""
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, 1.0, 1.0, settings.optimisation.weight_decay)
    return [named[id(p)] for group in groups for p in group["params"]]


def _fitting(
    model: PromptedModel, weights: Mapping[str, Tensor], run: Path, findings: list[FaultFinding]
) -> PromptedModel | None:
    """Fill a model of its own with weights; what does not fit is a finding."""
    import copy

    own = copy.deepcopy(model)
    try:
        load_strictly(own, weights, str(run / LAST))
    except ModelError as error:
        findings.append(finding_of("outside-saved-state", str(error), 0.96))
        return None
    return own.eval()


def _subject(
    name: str, run: Path, settings: TrainConfig, text: TextSide, model: PromptedModel
) -> MeasuredModel:
    opened = run_model(model, text, settings, run)
    return MeasuredModel(name, run, opened.segmenter)


def _settings(settings: TrainConfig) -> list[FaultFinding]:
    """Check settings that cannot be meant."""
    found = []
    low, high = settings.data.photo_scale
    size = settings.validation_window
    if not low / 2.5 <= size <= high * 1.5:
        what = f"validation_window is {size} px, photos are trained at {low:g} to {high:g} px"
        found.append(finding_of("scale-mismatch", what, 0.85))
    rates = settings.optimisation
    top = max(rates.decoder_rate, rates.encoder_rate)
    if top >= 0.02:
        told = f"optimisation's rates are {rates.encoder_rate:g} and {rates.decoder_rate:g}"
        found.append(finding_of("rate-too-high", told, 1.0 if top >= 0.1 else 0.97))
    if rates.decoder_rate < 2e-6:
        found.append(finding_of("rate-too-low", f"optimisation.decoder_rate is {rates.decoder_rate:g}", 0.8))
    if settings.data.phrase_jitter > 0.2:
        what = f"data.phrase_jitter is {settings.data.phrase_jitter:g}, of embeddings of length 1"
        found.append(finding_of("phrase-noise", what, 0.85))
    if settings.loss.pos_weight > 8:
        what = f"loss.pos_weight is {settings.loss.pos_weight:g}"
        found.append(finding_of("collapse-foreground", what, 0.85))
    return found


def _log(run: Path) -> list[FaultFinding]:
    """Read what the run's own checks and alarms said, and how its loss went."""
    events = read_events(run)
    alarms = [event for event in events if event.get("event") == "alarm" and event.get("finding") in FAULTS]
    found = [
        finding_of(
            str(event["finding"]),
            f"the run's own alarm: {event.get('evidence', '')}",
            (0.98 if event["finding"] in _STRUCTURE else 0.88) - 0.001 * place,
        )
        for place, event in enumerate(alarms)
    ]
    losses = [event.get("loss") for event in events if event.get("event") == "step" and "loss" in event]
    if any(loss is None for loss in losses):
        found.append(finding_of("loss-not-finite", "the log holds a loss that is not finite", 0.95))
    known = [float(loss) for loss in losses if loss is not None]
    if len(known) >= 4:
        found += _course(known)
    return found


def _course(losses: list[float]) -> list[FaultFinding]:
    quarter = max(1, len(losses) // 4)
    start, end = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    if min(losses) < -1:
        return [finding_of("masks-range", f"the loss fell to {min(losses):.3g}, below zero", 0.9)]
    if end > 1.5 * start:
        return [finding_of("rate-too-high", f"the loss rose from {start:.3g} to {end:.3g}", 0.8)]
    return []
