"""One call from a data set to a run folder with checkpoints; resumable."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import yaml
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from drywallqa import __version__
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, ModelError, OutputError
from drywallqa.evaluation.collect import collect
from drywallqa.evaluation.summary import summarise
from drywallqa.models import efficientnet_lite, registry
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.training.config import TrainConfig
from drywallqa.training.pairs import Item, Pairs
from drywallqa.training.phrases import Phrases
from drywallqa.training.task import SegmentationTask, freeze
from drywallqa.window import Window

LAST = "last.ckpt"
TEXT = "text"
"""The run's folder of the text side it was trained with."""


class _Photos(lightning.LightningDataModule):
    """Hands out each epoch's own pictures."""

    def __init__(self, dataset: Dataset, phrases: Phrases, config: TrainConfig) -> None:
        super().__init__()
        self.dataset, self.phrases, self.config = dataset.part("train"), phrases, config

    def train_dataloader(self) -> DataLoader[Item]:
        epoch = self.trainer.current_epoch if self.trainer else 0
        pairs = Pairs(self.dataset, self.phrases.embeddings, self.config.data, self.config.seed, epoch)
        return DataLoader(
            pairs,
            batch_size=self.config.optimisation.batch_size,
            num_workers=self.config.data.workers,
            worker_init_fn=_single_thread,
            drop_last=True,
            prefetch_factor=4 if self.config.data.workers else None,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(torch.zeros(1)))


def _single_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def build_model(config: TrainConfig, embedding_width: int) -> nn.Module:
    """Make the model that a run trains, ImageNet weights and freezing included."""
    settings = config.model
    model: nn.Module = registry.create(
        settings.name, encoder=settings.encoder, width=settings.width, embedding_width=embedding_width
    )
    if settings.pretrained:
        efficientnet_lite.load_imagenet(model.encoder, settings.encoder)  # type: ignore[arg-type]
    freeze(model, settings.frozen_stages)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


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

    Returns:
        The last checkpoint.

    Raises:
        OutputError: A run exists and neither resume nor overwrite was given.
        DataError: The split "train" or "val" is empty.
        ModelError: `start` does not fit the model.
    """
    checkpoint = _prepare(run, resume, overwrite)
    for part in ("train", "val"):
        if not len(dataset.part(part)):
            raise DataError(f"{dataset.folder}: no photo in split '{part}'; run: drywallqa data split")
    keep_memory()
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    torch.set_num_threads(config.threads or len(os.sched_getaffinity(0)))
    model = build_model(config, phrases.width)
    if start is not None:
        load_weights(model, start, "the weights to start from")
    settings = config.optimisation
    per_epoch = config.data.photos_per_epoch // settings.batch_size
    if not per_epoch:
        raise ConfigError("data.photos_per_epoch is smaller than optimisation.batch_size; raise it")
    _describe(run, dataset, config)
    phrases.text.save(run / TEXT)
    validation = _Validation(dataset.part("val"), phrases, Window(config.validation_window))
    task = SegmentationTask(model, config, per_epoch * settings.epochs, validation)
    _quieten()
    trainer = lightning.Trainer(
        accelerator="auto",
        max_epochs=settings.epochs,
        gradient_clip_val=settings.gradient_clip,
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
        ],
    )
    trainer.fit(task, datamodule=_Photos(dataset, phrases, config), ckpt_path=checkpoint)
    return run / LAST


def _quieten() -> None:
    """Keep Lightning's tips and its remarks about what is meant here out of the user's sight."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for remark in (
        ".*in eval mode at the start.*",
        ".*number of training batches.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
    ):
        warnings.filterwarnings("ignore", remark)


def _free_name(folder: Path, name: str) -> str:
    """Number a log's folder, so that a resumed run keeps what was logged before."""
    number = 0
    while (folder / f"{name}-{number}").exists():
        number += 1
    return f"{name}-{number}"


def keep_memory() -> None:
    """Ask glibc to keep freed memory instead of handing it back to the system.

    A training step frees and asks for the same large blocks again; without this half of a step on a CPU went
    into the kernel clearing pages. Does nothing where there is no glibc.
    """
    try:
        tune = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    tune(mmap_max, 0)
    tune(trim_threshold, 2**31 - 1)


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


class _Validation:
    """Scores the averaged model on the val part through the product's own path."""

    def __init__(self, dataset: Dataset, phrases: Phrases, window: Window) -> None:
        self.dataset, self.phrases, self.window = dataset, phrases, window

    def __call__(self, model: nn.Module) -> dict[str, float]:
        concepts = list(self.phrases.embeddings)
        backend = TorchBackend(model, lambda names: np.stack([self.phrases.centre(n) for n in names]))
        scores = list(collect(backend, self.window, self.dataset, {c: c for c in concepts}))
        figures = {}
        for concept, summary in summarise(scores, dict.fromkeys(concepts, (0.5, 0.5))).items():
            figures[f"val/{concept}/iou"] = summary.iou
            figures[f"val/{concept}/dice"] = summary.dice
            figures[f"val/{concept}/false alarms"] = summary.false_alarm_rate
        print({name: round(value, 4) for name, value in figures.items()}, flush=True)
        return figures


def load_weights(model: nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Load weights strictly.

    Raises:
        ModelError: Names are missing or unexpected, or a shape differs.
    """
    try:
        missing, unexpected = model.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise ModelError(f"{origin}: {error}") from error
    if missing or unexpected:
        raise ModelError(
            f"{origin} does not fit the model; missing: {', '.join(missing) or 'none'}; "
            f"unexpected: {', '.join(unexpected) or 'none'}"
        )
