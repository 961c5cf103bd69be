"""One call from a data set to a run folder with checkpoints; resumable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, ModelError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.processors import available_threads
from drywallqa.sampling.feature_cache import CachedEncoder, FeatureCache
from drywallqa.training.alarm_callback import AlarmCallback, check_dataset_files
from drywallqa.training.checkpoint_callback import CheckpointCallback
from drywallqa.training.checkpoints import LAST
from drywallqa.training.config import TrainConfig
from drywallqa.training.data_module import PhotoDataModule
from drywallqa.training.distributed import ALONE, Devices, is_first, share_of_batch, threads_each
from drywallqa.training.foreground import weights_for
from drywallqa.training.interruption import InterruptCallback
from drywallqa.training.phrase_embeddings import PhraseEmbeddings
from drywallqa.training.process_setup import keep_memory, one_thread_for_pictures, quieten
from drywallqa.training.progress_display import TrainingProgress
from drywallqa.training.run_folder import SHEET, TEXT, describe_run, prepare_run_folder
from drywallqa.training.run_log import LoggingCallback, RunLog
from drywallqa.training.sample_sheet import write_sample_sheet
from drywallqa.training.task import SegmentationTask
from drywallqa.training.tensorboard import TensorBoardPictures
from drywallqa.training.throughput import ThroughputCallback
from drywallqa.training.trainer import make_trainer
from drywallqa.training.validation import ValidationPart, presence_asked


def build_model(config: TrainConfig, embedding_width: int) -> PromptedModel:
    """Make the model that a run trains, published weights and freezing included.

    Raises:
        ModelError: The family cannot be trained, or its weights are missing or do not fit.
    """
    settings = config.model
    family = registry.find_family(settings.name)
    if not family.trainable:
        raise ModelError(f"{family.name} has nothing to train; choose another family: drywallqa models list")
    # before the model is made, which takes seconds at full size
    folders = registry.find_weights(family.name, settings.weights) if settings.pretrained else {}
    general = {"encoder": settings.encoder, "width": settings.width, "embedding_width": embedding_width}
    model: PromptedModel = registry.create_from_settings(family.name, general, settings.options)
    if settings.pretrained:
        model.load_pretrained(folders)
    elif settings.weights:
        model.load_text(Path(settings.weights))
    model.freeze(settings.training)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def own_phrases(model: PromptedModel, phrases: PhraseEmbeddings, most: int = 200) -> PhraseEmbeddings:
    """Embed the phrasings by the model's own text tower: once if it is frozen, else as token ids."""
    if not model.own_text:
        return phrases
    if not getattr(model, "text_is_frozen", True):
        longest = max(model.tokenize(texts[:most]).shape[1] for texts in phrases.texts.values())  # type: ignore[operator]

        def tokens(texts: Sequence[str]) -> Any:
            ids = model.tokenize(texts)  # type: ignore[operator]
            return torch.cat([ids, ids[:, -1:].expand(-1, longest - ids.shape[1])], dim=1).numpy()

        return phrases.through(tokens, most)

    def embed(texts: Sequence[str]) -> Any:
        with torch.no_grad():
            parts = [model.encode_prompts(texts[i : i + 32]) for i in range(0, len(texts), 32)]
        return torch.cat(parts).numpy()

    return phrases.through(embed, most)


def fit(
    dataset: Dataset,
    phrases: PhraseEmbeddings,
    config: TrainConfig,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    start: Mapping[str, torch.Tensor] | None = None,
    progress: bool = True,
    fail_fast: bool = False,
    devices: Devices = ALONE,
) -> Path:
    """Train a model and leave a run folder.

    Args:
        dataset: With splits; "train" is trained on, "val" validated on.
        phrases: The text side's embeddings of each concept's phrasings.
        config: The settings.
        run: Folder of the run.
        resume: Go on from the last checkpoint.
        overwrite: Start anew where a run exists.
        start: Weights to start from instead of ImageNet's.
        progress: Whether to show how far the run is.
        fail_fast: Whether a finding of the checks, or an alarm, stops the run.
        devices: Over which processes the run is spread.

    Returns:
        The last checkpoint.

    Raises:
        OutputError: A run exists and neither resume nor overwrite was given.
        DataError: The split "train" or "val" is empty.
        ModelError: `start` does not fit the model.
        AlarmError: A loss is not finite, or `fail_fast` and something was found.
        StoppedError: Ctrl-C; the run is saved.
    """
    share_of_batch(config.optimisation.batch_size, devices)
    checkpoint = prepare_run_folder(run, resume=resume, overwrite=overwrite)
    check_dataset(dataset)
    prepare_process(config, devices)
    task, photos, phrases = prepare_training(dataset, phrases, config, run, start)
    config = photos.config
    log = RunLog(run, is_first())
    if is_first():
        describe_run(run, dataset, config, devices, log)
        phrases.text.save(run / TEXT)
        task.model.save_text(run / TEXT)
        write_sample_sheet(photos.pairs(), run / SHEET)
    accumulate = config.optimisation.accumulate
    watchers = [
        AlarmCallback(dataset, phrases, photos.pairs, config.watch, log, fail_fast=fail_fast),
        InterruptCallback(run / LAST, log, accumulate),
        CheckpointCallback(run, config.checkpoints, accumulate, log),
        LoggingCallback(log),
        ThroughputCallback(log),
        TensorBoardPictures(dataset.part("val"), photos.validation),
        TrainingProgress(config, batches_of(config), shown=progress and is_first()),
    ]
    make_trainer(run, config, devices, watchers).fit(task, datamodule=photos, ckpt_path=checkpoint)
    return run / LAST


def prepare_process(config: TrainConfig, devices: Devices = ALONE) -> None:
    """Prepare this process for training: memory, threads, seeds, and silence about what is meant."""
    keep_memory()
    one_thread_for_pictures()
    quieten()
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    torch.set_num_threads(threads_each(config.threads or available_threads(), devices))


def prepare_training(
    dataset: Dataset,
    phrases: PhraseEmbeddings,
    config: TrainConfig,
    run: Path,
    start: Mapping[str, torch.Tensor] | None = None,
) -> tuple[SegmentationTask, PhotoDataModule, PhraseEmbeddings]:
    """Make what is trained, and on what; the photos carry the settings, changed to the family's window."""
    model = build_model(config, phrases.width)
    if start is not None:
        load_strictly(model, start, "the weights to start from")
    config, window = fitted(config)
    batches = batches_of(config)
    weights = weights_for(
        dataset.part("train"), list(phrases.embeddings), config.loss, run, RunLog(run, is_first())
    )
    phrases = own_phrases(model.eval(), phrases)
    model.train()
    model.freeze(config.model.training)
    validated, asked = replace(window, size=config.validation_window), config.optimisation.presence_weight
    validation = ValidationPart(dataset.part("val"), phrases, validated, presence_asked(asked))
    steps = -(-batches // config.optimisation.accumulate) * config.optimisation.epochs
    task = SegmentationTask(model, config, steps, validation, weights)
    photos = PhotoDataModule(dataset, phrases, config, model.stride, window, validation)
    if config.data.cached_views:
        photos.encoder = CachedEncoder(model, FeatureCache())
    return task, photos, phrases


def fitted(config: TrainConfig) -> tuple[TrainConfig, Letterbox]:
    """Bring both window sizes to what the family takes, and say so; return the window of training crops."""
    family = registry.find_family(config.model.name, config.model.options)
    window = family.letterbox(config.data.window, print)
    judged = family.letterbox(config.validation_window, print)
    data = config.data.model_copy(update={"window": window.size})
    return config.model_copy(update={"data": data, "validation_window": judged.size}), window


def check_dataset(dataset: Dataset) -> None:
    """Refuse a data set that cannot be trained on, before anything else is done.

    Raises:
        DataError: A split is empty, a file is missing, or a mask has another size than its photo.
    """
    for part in ("train", "val"):
        if not len(dataset.part(part)):
            raise DataError(f"{dataset.folder}: no photo in split '{part}'; run: drywallqa data split")
    check_dataset_files(dataset.part("train", "val"))


def batches_of(config: TrainConfig) -> int:
    """Count the batches of an epoch.

    Raises:
        ConfigError: There is not one.
    """
    batches = config.data.photos_per_epoch // config.optimisation.batch_size
    if not batches:
        raise ConfigError("data.photos_per_epoch is smaller than optimisation.batch_size; raise it")
    return batches
