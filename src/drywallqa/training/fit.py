"""One call from a data set to a run folder with checkpoints; resumable."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from drywallqa import __version__
from drywallqa.bundle.backends import available_threads
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, ModelError, OutputError
from drywallqa.models import registry
from drywallqa.models.contract import PromptedModel, load_strictly
from drywallqa.training.batches import Photos
from drywallqa.training.checkpoints import WholeCheckpoints
from drywallqa.training.config import TrainConfig
from drywallqa.training.feature_cache import CachedEncoder, FeatureCache
from drywallqa.training.foreground import weights_for
from drywallqa.training.phrases import Phrases
from drywallqa.training.run_log import Log, Logging
from drywallqa.training.schedules import early_end
from drywallqa.training.sheet import write_sheet
from drywallqa.training.stopping import Stopping
from drywallqa.training.surroundings import keep_memory, one_thread_for_pictures, quieten
from drywallqa.training.task import SegmentationTask
from drywallqa.training.validation import Validation
from drywallqa.training.watching import Watching, check_files

LAST = "last.ckpt"
SHEET = "batch.png"
"""The run's picture of what the model sees first."""
TEXT = "text"
"""The run's folder of the text side it was trained with."""


def build_model(config: TrainConfig, embedding_width: int) -> PromptedModel:
    """Make the model that a run trains, published weights and freezing included.

    Raises:
        ModelError: The family cannot be trained, or its weights are missing or do not fit.
    """
    settings = config.model
    family = registry.find(settings.name)
    if not family.trainable:
        raise ModelError(f"{family.name} has nothing to train; choose another family: drywallqa models list")
    # before the model is made, which takes seconds at full size
    folders = registry.find_weights(family.name, settings.weights) if settings.pretrained else {}
    general = {"encoder": settings.encoder, "width": settings.width, "embedding_width": embedding_width}
    model: PromptedModel = registry.create_from(family.name, general, settings.options)
    if settings.pretrained:
        model.load_pretrained(folders)
    model.freeze(settings.training)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def own_phrases(model: PromptedModel, phrases: Phrases, most: int = 200) -> Phrases:
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
    phrases: Phrases,
    config: TrainConfig,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    start: Mapping[str, torch.Tensor] | None = None,
    progress: bool = True,
    fail_fast: bool = False,
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
        progress: Whether to show a progress bar.
        fail_fast: Whether a finding of the checks, or an alarm, stops the run.

    Returns:
        The last checkpoint.

    Raises:
        OutputError: A run exists and neither resume nor overwrite was given.
        DataError: The split "train" or "val" is empty.
        ModelError: `start` does not fit the model.
        AlarmError: A loss is not finite, or `fail_fast` and something was found.
        StoppedError: Ctrl-C; the run is saved.
    """
    checkpoint = _prepare(run, resume, overwrite)
    check_dataset(dataset)
    keep_memory()
    one_thread_for_pictures()
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    torch.set_num_threads(config.threads or available_threads())
    model = build_model(config, phrases.width)
    if start is not None:
        load_strictly(model, start, "the weights to start from")
    family = registry.find(config.model.name)
    window = family.window(config.data.window, print)
    if window.size != config.data.window:
        config = config.model_copy(update={"data": config.data.model_copy(update={"window": window.size})})
    batches = batches_of(config)
    log = Log(run)
    _describe(run, dataset, config)
    phrases.text.save(run / TEXT)
    weights = weights_for(dataset.part("train"), list(phrases.embeddings), config.loss, run, log)
    phrases = own_phrases(model.eval(), phrases)
    model.train()
    model.freeze(config.model.training)
    validation = Validation(dataset.part("val"), phrases, family.window(config.validation_window))
    steps = -(-batches // config.optimisation.accumulate) * config.optimisation.epochs
    task = SegmentationTask(model, config, steps, validation, weights)
    photos = Photos(dataset, phrases, config, model.stride, window)
    if config.data.cached_views:
        photos.encoder = CachedEncoder(model, FeatureCache())
    quieten()
    watchers = [
        Watching(dataset, phrases, photos.pairs, config.watch, log, fail_fast=fail_fast),
        Stopping(run / LAST, log),
        Logging(log),
    ]
    trainer = _trainer(run, config, progress, watchers)
    write_sheet(photos.pairs(), run / SHEET)
    trainer.fit(task, datamodule=photos, ckpt_path=checkpoint)
    return run / LAST


def check_dataset(dataset: Dataset) -> None:
    """Refuse a data set that cannot be trained on, before anything else is done.

    Raises:
        DataError: A split is empty, a file is missing, or a mask has another size than its photo.
    """
    for part in ("train", "val"):
        if not len(dataset.part(part)):
            raise DataError(f"{dataset.folder}: no photo in split '{part}'; run: drywallqa data split")
    check_files(dataset.part("train", "val"))


def batches_of(config: TrainConfig) -> int:
    """Count the batches of an epoch.

    Raises:
        ConfigError: There is not one.
    """
    batches = config.data.photos_per_epoch // config.optimisation.batch_size
    if not batches:
        raise ConfigError("data.photos_per_epoch is smaller than optimisation.batch_size; raise it")
    return batches


def _trainer(
    run: Path, config: TrainConfig, progress: bool, watchers: Sequence[lightning.Callback]
) -> lightning.Trainer:
    """Make the loop that leaves its logs and checkpoints in the run's folder."""
    settings = config.optimisation
    return lightning.Trainer(
        accelerator="auto",
        max_epochs=settings.epochs,
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=settings.accumulate,
        plugins=[WholeCheckpoints()],
        check_val_every_n_epoch=min(config.validate_every, settings.epochs),
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=10,
        enable_progress_bar=progress,
        enable_model_summary=False,
        default_root_dir=run,
        logger=[
            TensorBoardLogger(run, name="", version="tensorboard"),
            CSVLogger(run, name="", version=_free_name(run, "csv")),
        ],
        callbacks=[
            ModelCheckpoint(
                run,
                filename="last",
                save_top_k=1,
                every_n_epochs=1,
                enable_version_counter=False,
                save_on_train_epoch_end=True,
            ),
            LearningRateMonitor("step"),
            *early_end(settings, run),
            *watchers,
        ],
    )


def _free_name(folder: Path, name: str) -> str:
    """Number a log's folder, so that a resumed run keeps what was logged before."""
    number = 0
    while (folder / f"{name}-{number}").exists():
        number += 1
    return f"{name}-{number}"


def _prepare(run: Path, resume: bool, overwrite: bool) -> Path | None:
    last = run / LAST
    if resume:
        if not last.is_file():
            raise OutputError(f"{run}: holds no {LAST} to resume from; start without --resume")
        return last
    if last.exists() and not overwrite:
        raise OutputError(f"{run}: holds a run already; go on with --resume or replace it with --overwrite")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{run}: cannot be written ({error.strerror}); choose another --out") from error
    return None


def _describe(run: Path, dataset: Dataset, config: TrainConfig) -> None:
    """Write what the run is made of."""
    (run / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    environment = {
        "drywallqa": __version__,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "data": str(dataset.folder),
        "photos": {split: len(dataset.part(split)) for split in ("train", "val", "test")},
    }
    (run / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
