"""The settings of a training run: strict, with sentences for mistakes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from drywallqa.errors import ConfigError
from drywallqa.sampling.settings import DataConfig, Positive, Share, StrictModel

if TYPE_CHECKING:
    from drywallqa.models.contract import TrainedLayers


class ModelConfig(StrictModel):
    """Which model, and what of it is trained."""

    name: str = "compact"
    encoder: str = "lite0"
    width: Annotated[int, Field(ge=8)] = 64
    pretrained: bool = True
    frozen_stages: Annotated[int, Field(ge=0, le=8)] = 3
    """Stem and first stages that keep their ImageNet weights; 0 trains everything."""
    vision_layers: Annotated[int, Field(ge=0)] = 0
    """Last layers of a transformer vision tower that are trained; more than it has train its start too."""
    text_layers: Annotated[int, Field(ge=0)] = 0
    """The same for a text tower."""
    weights: str | None = None
    """Folder of the published weights to start from; the model hub's cache where none is named."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The family's own options, e.g. fusion or size."""
    batch_norm: Literal["trained", "frozen", "synchronised"] = "trained"
    """Batch statistics of the trained parts: each process's own, kept as they are, or those of all processes
    together, which only accelerators can."""

    @property
    def training(self) -> TrainedLayers:
        """What of the model is trained."""
        from drywallqa.models.contract import TrainedLayers

        return TrainedLayers(self.frozen_stages, self.vision_layers, self.text_layers)


class LossConfig(StrictModel):
    """The mask loss; formulas and sources stand in `loss_choice`."""

    name: Literal[
        "bce_dice", "weighted_bce_dice", "focal", "bce_tversky", "bce_dice_cldice", "bce_dice_boundary"
    ] = "bce_dice"
    pos_weight: Positive = 1.0
    """Multiplies the weight that weighted_bce_dice takes from the training set's foreground share."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    focal_alpha: Share = 0.25
    tversky_alpha: Positive = 0.3
    """Price of what is marked falsely."""
    tversky_beta: Positive = 0.7
    """Price of what is missed."""
    region_weight: Annotated[float, Field(ge=0)] = 0.5
    """Factor of the clDice or boundary part."""
    skeleton_steps: Annotated[int, Field(ge=1, le=50)] = 8
    """Erosions of clDice's soft skeleton; twice that is the widest line, in px of the logits' grid."""


class WatchConfig(StrictModel):
    """When alarms judge a run; see `diagnosis.watch`."""

    grace: Annotated[int, Field(ge=1)] = 300
    """Steps before anything but a loss that is not finite is judged."""
    window: Annotated[int, Field(ge=1)] = 100
    """Steps over which a symptom has to hold."""


class CheckpointConfig(StrictModel):
    """When a run is saved, and how much of the disk it may take."""

    minutes: Annotated[float, Field(ge=0)] = 10.0
    """Minutes from one save within an epoch to the next; 0 saves between epochs alone."""
    steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps from one save within an epoch to the next; 0 leaves it to the minutes."""
    every_epoch: bool = False
    """Whether the weights of each epoch are kept too."""
    budget_gb: Positive = 5.0
    """Most GB (10⁹ bytes) of a run's checkpoints; the oldest epochs go first, last and best never."""


class OptimisationConfig(StrictModel):
    """Rates, schedule, averaging, and the weights of the losses' parts."""

    epochs: Annotated[int, Field(ge=1)] = 12
    batch_size: Annotated[int, Field(ge=1)] = 16
    encoder_rate: Positive = 4e-4
    decoder_rate: Positive = 1.5e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    epsilon: Positive = 1e-8
    """Added to AdamW's divisor: a gradient below it moves its weight less than the rate. At the default even
    one that is nothing but rounding makes a whole step, so that runs which add up in another order drift
    apart."""
    gradient_clip: Positive = 1.0
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are added up before a step."""
    schedule: Literal["one_cycle", "cosine", "plateau"] = "one_cycle"
    """One cycle up and down; down along a cosine; or down where validation IoU no longer rises."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    plateau_patience: Annotated[int, Field(ge=0)] = 2
    """Validations without a better IoU before the rates are multiplied by the factor."""
    patience: Annotated[int, Field(ge=0)] | None = None
    """Validations without a better IoU before the run stops; 0 never stops it. Where it is not given, 5 under
    plateau, and 0 under the schedules that have a fixed end and are best there."""
    warmup_share: Share = 0.08
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the exponential moving average of weights that is validated and shipped."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward pass; weights, losses and optimiser stay in float32."""
    dice_weight: Annotated[float, Field(ge=0)] = 1.0
    presence_weight: Annotated[float, Field(ge=0)] = 0.2


class TrainConfig(StrictModel):
    """Everything that decides a run, besides the data set."""

    seed: int = 0
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads; 0 takes those the process may use."""
    validation_window: Annotated[int, Field(ge=64)] = 384
    validate_every: Annotated[int, Field(ge=1)] = 2
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    loss: LossConfig = LossConfig()
    watch: WatchConfig = WatchConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()


def load_config(
    path: Path | None = None, settings: Sequence[str] = (), defaults: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Read a YAML file, lay `a.b=value` settings over it, and a family's defaults under both.

    Raises:
        ConfigError: A name is unknown (the nearest known one is named) or a value impossible.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
        if not isinstance(read, dict):
            raise ConfigError(f"{path}: must hold names and values, not {type(read).__name__}")
        data = read
    for setting in settings:
        _lay(data, setting)
    for name, value in (defaults or {}).items():
        part, _, last = name.rpartition(".")
        inner = data.setdefault(part, {}) if part else data
        if isinstance(inner, dict):
            inner.setdefault(last, value)
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_sentence(error, path)) from error


def _lay(data: dict[str, Any], setting: str) -> None:
    name, equals, value = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting}: write it as name=value, e.g. optimisation.epochs=5")
    *parents, last = name.strip().split(".")
    for parent in parents:
        inner = data.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {setting}: '{parent}' holds a value, not further names")
        data = inner
    data[last] = yaml.safe_load(value)


def known_names(model: type[BaseModel] = TrainConfig, prefix: str = "") -> list[str]:
    """Return every setting's dotted name."""
    names = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += known_names(inner, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return names


def _sentence(error: ValidationError, path: Path | None) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    where = f"{path}: " if path else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known_names(), n=1, cutoff=0.0)
        return f"{where}setting '{name}' is not known; the nearest is '{near[0]}'"
    return f"{where}setting '{name}': {first['msg']} (it is {first['input']!r})"
