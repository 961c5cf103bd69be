"""Trains a model on a data set and writes a run folder, from which the run can be resumed or exported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, ModelError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.imaging.photos import open_picture
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.sampling.feature_cache import CachedEncoder, FeatureCache
from drywallqa.training.alarm_callback import AlarmCallback
from drywallqa.training.checkpoint_callback import CheckpointCallback
from drywallqa.training.checkpoints import LAST
from drywallqa.training.config import TrainConfig
from drywallqa.training.data_module import PhotoDataModule
from drywallqa.training.distributed import Devices, is_first
from drywallqa.training.phrase_embeddings import PhraseEmbeddings
from drywallqa.training.pictures import TensorBoardPictures, write_sample_sheet
from drywallqa.training.run_folder import (
    SHEET,
    TEXT,
    describe_run,
    foreground_weights,
    prepare_run_folder,
)
from drywallqa.training.run_log import LoggingCallback, RunLog
from drywallqa.training.task import SegmentationTask
from drywallqa.training.trainer import make_trainer, prepare_process
from drywallqa.training.validation import ValidationPart


@dataclass(frozen=True)
class TrainingRequest:
    """The options of a training run; `drywallqa train --help` describes them.

    Attributes:
        data: A data set with splits.
        run: The run's folder.
        config: YAML file of settings.
        settings: Further settings, each as `a.b=value`.
        start: A bundle to fine-tune; "default" is the built-in bundle.
        text: The folder of a text encoder. If None, the encoder comes from the start bundle or the default
            bundle.
        resume: Whether to resume from the last checkpoint.
        overwrite: Whether to replace an existing run.
        progress: Whether to show progress.
        fail_fast: Whether a failed check or an alarm stops the run.
        devices: The processes that train the run together.
        ray_workers: Number of Ray Train workers, which replace `devices`; 0 to train without Ray.
    """

    data: Path
    run: Path
    config: Path | None = None
    settings: tuple[str, ...] = ()
    start: Path | None = None
    text: Path | None = None
    resume: bool = False
    overwrite: bool = False
    progress: bool = True
    fail_fast: bool = False
    devices: Devices = field(default_factory=Devices)
    ray_workers: int = 0


def build_model(config: TrainConfig, embedding_width: int) -> PromptedModel:
    """Build the model to train, load its published weights, and freeze the parts that are not trained.

    Raises:
        ModelError: The family cannot be trained, or the published weights are missing or do not fit.
    """
    settings = config.model
    family = registry.find_family(settings.name)
    if not family.trainable:
        raise ModelError(f"{family.name} has nothing to train; choose another family: drywallqa models list")
    # find the weights first, because building a full-size model takes seconds
    folders = registry.find_weights(family.name, settings.weights) if settings.pretrained else {}
    general = {"encoder": settings.encoder, "width": settings.width, "embedding_width": embedding_width}
    model: PromptedModel = registry.create_from_settings(family.name, general, settings.options)
    if settings.pretrained:
        model.load_pretrained(folders)
    elif settings.weights:
        model.load_text(Path(settings.weights))
    model.freeze(settings.training)
    return model


def fit(
    request: TrainingRequest,
    dataset: Dataset,
    phrases: PhraseEmbeddings,
    config: TrainConfig,
    start: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Train a model and write the run's folder.

    Args:
        request: The options of the run.
        dataset: A data set with the splits "train" and "val".
        phrases: Embeddings of each concept's phrasings.
        config: The settings.
        start: Weights to start from instead of the published weights.

    Returns:
        The last checkpoint.

    Raises:
        ConfigError: The batch size is not a multiple of the number of processes.
        OutputError: The folder contains a run, and neither `resume` nor `overwrite` is set.
        DataError: The split "train" or "val" is empty.
        ModelError: `start` does not fit the model.
        AlarmError: The loss is not finite, or a check found a problem and `fail_fast` is set.
        StoppedError: The user pressed Ctrl-C. The run is saved.
    """
    run, devices = request.run, request.devices
    size = config.optimisation.batch_size
    if size % devices.world:
        raise ConfigError(
            f"optimisation.batch_size={size} cannot be divided evenly among {devices.world} processes; "
            f"use a multiple of {devices.world}"
        )
    checkpoint = prepare_run_folder(run, resume=request.resume, overwrite=request.overwrite)
    check_dataset(dataset)
    prepare_process(config, devices)
    task, photos, validation = prepare_training(dataset, phrases, config, run, start)
    config, log, shown = photos.config, RunLog(run, is_first()), request.progress and is_first()
    if is_first():
        describe_run(run, dataset, config, devices, log)
        phrases.text.save(run / TEXT)
        task.model.save_text(run / TEXT)
        write_sample_sheet(photos.pairs(), run / SHEET)
    callbacks = [
        AlarmCallback(dataset, photos, log, fail_fast=request.fail_fast),
        CheckpointCallback(run, config.checkpoints, config.optimisation.accumulate, log),
        LoggingCallback(log, shown=shown),
        TensorBoardPictures(validation),
    ]
    progress_bar = shown and sys.stderr.isatty()
    trainer = make_trainer(run, config, devices, callbacks, progress_bar=progress_bar)
    trainer.fit(task, datamodule=photos, ckpt_path=checkpoint)
    return run / LAST


def prepare_training(
    dataset: Dataset,
    phrases: PhraseEmbeddings,
    config: TrainConfig,
    run: Path,
    start: Mapping[str, torch.Tensor] | None = None,
) -> tuple[SegmentationTask, PhotoDataModule, ValidationPart]:
    """Build the task, the data module and the validation of a run.

    The window sizes in the data module's `config` are adjusted to the model family.
    """
    model = build_model(config, phrases.text.embed(()).shape[1])
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        load_strictly(model, start, "the weights to start from")
    config, letterbox = fit_sizes(config)
    log, train = RunLog(run, is_first()), dataset.part("train")
    weights = foreground_weights(train, list(phrases.embeddings), config, run, log)
    phrases = phrases.embedded_by(model.eval())
    model.train()
    model.freeze(config.model.training)
    settings = config.optimisation
    whole = replace(letterbox, size=config.validation_window)
    validation = ValidationPart(dataset.part("val"), phrases, whole, gated=settings.presence_weight > 0)
    steps = -(-config.batches // settings.accumulate) * settings.epochs
    task = SegmentationTask(model, config, steps, validation, weights)
    encoder = CachedEncoder(model, FeatureCache()) if config.data.cached_views else None
    return task, PhotoDataModule(train, phrases, config, model.stride, letterbox, encoder), validation


def fit_sizes(config: TrainConfig) -> tuple[TrainConfig, Letterbox]:
    """Adjust the window sizes of training and validation to the model family, and print each change.

    Returns:
        The adjusted settings, and the letterbox for training pictures.
    """
    family = registry.find_family(config.model.name, config.model.options)
    letterbox = family.letterbox(config.data.window, print)
    validation = family.letterbox(config.validation_window, print)
    data = config.data.model_copy(update={"window": letterbox.size})
    return config.model_copy(update={"data": data, "validation_window": validation.size}), letterbox


def check_dataset(dataset: Dataset) -> None:
    """Check that a data set can be used for training. To save time, read only the sizes of the masks.

    Raises:
        DataError: A split is empty, a file is missing, or a mask and its photo differ in size.
    """
    for part in ("train", "val"):
        if not len(dataset.part(part)):
            raise DataError(f"{dataset.folder}: no photo in split '{part}'; run: drywallqa data split")
    for sample in dataset.part("train", "val"):
        if not dataset.photo_path(sample).is_file():
            raise DataError(f"{dataset.photo_path(sample)}: the photo is missing; import the data set again")
        for name in filter(None, sample.labels.values()):
            path = dataset.folder / name
            try:
                with open_picture(path) as mask:
                    width, height = mask.size
            except OSError as error:
                raise DataError(f"{path}: the mask cannot be read; import the data set again") from error
            if (width, height) != (sample.width, sample.height):
                raise DataError(
                    f"{path}: the mask is {width}×{height} px but its photo is "
                    f"{sample.width}×{sample.height} px; import the data set again"
                )
