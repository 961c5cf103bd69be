"""Training settings. Invalid settings are rejected with an error that explains the problem."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from drywallqa.errors import ConfigError
from drywallqa.models import registry
from drywallqa.sampling.settings import DataConfig, Positive, Share, StrictModel

if TYPE_CHECKING:
    from drywallqa.models.contract import TrainedLayers


class ModelConfig(StrictModel):
    """Settings that choose the model and the parts of it to train.

    Attributes:
        frozen_stages: Number of encoder stages to freeze, counted from the stem. Frozen stages keep their
            ImageNet weights.
        vision_layers: Number of layers to train in a transformer vision tower, counted from the last layer. A
            number larger than the number of layers trains the whole tower.
        text_layers: Number of layers to train in a text tower, counted from the last layer.
        weights: Folder with the published weights to start from. If None, use the model hub cache.
        options: Options of the model family, e.g. fusion or size.
        batch_norm: How the trained parts compute batch statistics. "trained" computes them in each process,
            "frozen" never updates them, and "synchronised" computes them over all processes on GPUs.
    """

    name: str = "compact"
    encoder: str = "lite0"
    width: Annotated[int, Field(ge=8)] = 64
    pretrained: bool = True
    frozen_stages: Annotated[int, Field(ge=0, le=8)] = 3
    vision_layers: Annotated[int, Field(ge=0)] = 0
    text_layers: Annotated[int, Field(ge=0)] = 0
    weights: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    batch_norm: Literal["trained", "frozen", "synchronised"] = "trained"

    @property
    def training(self) -> TrainedLayers:
        """The layers of the model to train."""
        from drywallqa.models.contract import TrainedLayers

        return TrainedLayers(self.frozen_stages, self.vision_layers, self.text_layers)


class LossConfig(StrictModel):
    """Settings of the mask loss. The module `losses` gives formulas and sources.

    Attributes:
        pos_weight: Factor that multiplies the foreground weight. The loss weighted_bce_dice computes the
            foreground weight from the share of foreground in the training set.
        tversky_alpha: Weight of false positives in the Tversky loss.
        tversky_beta: Weight of false negatives in the Tversky loss.
        region_weight: Factor that multiplies the clDice or boundary term of the loss.
        skeleton_steps: Number of erosions with which clDice computes a soft skeleton. Lines of at most
            2·skeleton_steps logit pixels in width are thinned to their centre line.
    """

    name: Literal[
        "bce_dice", "weighted_bce_dice", "focal", "bce_tversky", "bce_dice_cldice", "bce_dice_boundary"
    ] = "bce_dice"
    pos_weight: Positive = 1.0
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    focal_alpha: Share = 0.25
    tversky_alpha: Positive = 0.3
    tversky_beta: Positive = 0.7
    region_weight: Annotated[float, Field(ge=0)] = 0.5
    skeleton_steps: Annotated[int, Field(ge=1, le=50)] = 8


class WatchConfig(StrictModel):
    """Settings of the training alarms in `checks.alarms`.

    Attributes:
        grace: Length of the grace period in steps. In this period, only a NaN or infinite loss raises an
            alarm.
        window: Number of steps that a symptom must last before it raises an alarm.
    """

    grace: Annotated[int, Field(ge=1)] = 300
    window: Annotated[int, Field(ge=1)] = 100


class CheckpointConfig(StrictModel):
    """Settings for saving a run, and the run's disk budget.

    Attributes:
        minutes: Number of minutes between two saves within an epoch; 0 turns these saves off.
        steps: Number of optimiser steps between two saves within an epoch; 0 turns these saves off.
        every_epoch: Whether to keep the weights of every epoch.
        budget_gb: Maximum size of a run's checkpoints in GB (10⁹ bytes). To stay within this size, training
            removes the oldest epoch weights. It never removes the last or the best checkpoint.
    """

    minutes: Annotated[float, Field(ge=0)] = 10.0
    steps: Annotated[int, Field(ge=0)] = 0
    every_epoch: bool = False
    budget_gb: Positive = 5.0


class OptimisationConfig(StrictModel):
    """Settings for learning rates, their schedule, weight averaging, and the weights of the loss terms.

    Attributes:
        epsilon: Epsilon of AdamW, which is added to the divisor of each update. Gradients below epsilon cause
            updates smaller than the learning rate. With the default value, even a rounding error in the
            gradient causes an update of full size. Two runs that sum numbers in a different order therefore
            diverge.
        accumulate: Number of batches whose gradients are summed before a step.
        schedule: Learning-rate schedule. "one_cycle" raises and lowers the rates once, "cosine" lowers them
            along a cosine, and "plateau" lowers them if the validation IoU stops improving.
        plateau_factor: Factor by which the plateau schedule multiplies the learning rates to lower them.
        plateau_patience: Number of validations without a better IoU that the plateau schedule tolerates
            before it lowers the rates.
        patience: Number of validations without a better IoU before the run stops early; 0 turns early
            stopping off. The default is 5 for the plateau schedule. It is 0 for the other schedules, because
            they give the best results at the end of a run.
        average_decay: Decay of the exponential moving average of weights. The averaged weights are validated
            and exported.
        precision: Precision of the forward pass. Weights, losses and optimiser state are always float32.
    """

    epochs: Annotated[int, Field(ge=1)] = 12
    batch_size: Annotated[int, Field(ge=1)] = 16
    encoder_rate: Positive = 4e-4
    decoder_rate: Positive = 1.5e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    epsilon: Positive = 1e-8
    gradient_clip: Positive = 1.0
    accumulate: Annotated[int, Field(ge=1)] = 1
    schedule: Literal["one_cycle", "cosine", "plateau"] = "one_cycle"
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    plateau_patience: Annotated[int, Field(ge=0)] = 2
    patience: Annotated[int, Field(ge=0)] | None = None
    warmup_share: Share = 0.08
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Literal["float32", "bfloat16"] = "float32"
    dice_weight: Annotated[float, Field(ge=0)] = 1.0
    presence_weight: Annotated[float, Field(ge=0)] = 0.2

    @property
    def early_stopping(self) -> int:
        """The value of `patience`, or the schedule's default if `patience` is None."""
        return (5 if self.schedule == "plateau" else 0) if self.patience is None else self.patience


class TrainConfig(StrictModel):
    """All settings of a run, except the data set.

    Attributes:
        threads: Number of CPU threads; 0 uses all threads that are available to the process.
    """

    seed: int = 0
    threads: Annotated[int, Field(ge=0)] = 0
    validation_window: Annotated[int, Field(ge=64)] = 384
    validate_every: Annotated[int, Field(ge=1)] = 2
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    loss: LossConfig = LossConfig()
    watch: WatchConfig = WatchConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()

    @property
    def batches(self) -> int:
        """Number of batches per epoch.

        Raises:
            ConfigError: An epoch has too few pictures for a single batch.
        """
        batches = self.data.photos_per_epoch // self.optimisation.batch_size
        if not batches:
            raise ConfigError("data.photos_per_epoch is smaller than optimisation.batch_size; raise it")
        return batches


def load_config(path: Path | None = None, settings: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file and apply `a.b=value` settings. Missing settings get the model family's defaults.

    Raises:
        ConfigError: A name is unknown (the error suggests the nearest known name) or a value is invalid.
        ModelError: The model family is unknown.
    """
    data = read_yaml(path) if path else {}
    for setting in settings:
        _apply(data, setting)
    model = _validate(data, path).model.name
    for name, value in registry.find_family(model).training_defaults.items():
        part, _, last = name.rpartition(".")
        (data.setdefault(part, {}) if part else data).setdefault(last, value)
    return _validate(data, path)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read settings from a YAML file.

    Raises:
        ConfigError: The file is missing or damaged, or does not contain names and values.
    """
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(read, dict):
        raise ConfigError(f"{path}: must contain names and values, not {type(read).__name__}")
    return read


def _apply(data: dict[str, Any], setting: str) -> None:
    name, equals, value = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting}: write it as name=value, e.g. optimisation.epochs=5")
    *parents, last = name.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {setting}: '{parent}' is a single value, not a group of settings")
    data[last] = yaml.safe_load(value)


def _validate(data: dict[str, Any], path: Path | None) -> TrainConfig:
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        name, where = ".".join(str(part) for part in first["loc"]), f"{path}: " if path else ""
        if first["type"] == "extra_forbidden":
            raise ConfigError(where + unknown_setting(name)) from error
        raise ConfigError(
            f"{where}setting '{name}': {first['msg']} (the value is {first['input']!r})"
        ) from error


def known_names(model: type[BaseModel] = TrainConfig, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings."""
    names = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += known_names(inner, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return names


def unknown_setting(name: str) -> str:
    """Return the error message for an unknown setting, with the nearest known name."""
    near = difflib.get_close_matches(name, known_names(), n=1, cutoff=0.0)
    return f"setting '{name}' is not known; the nearest is '{near[0]}'"
