"""Prepares this process for a training run, and builds the Lightning trainer."""

from __future__ import annotations

import ctypes
import itertools
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from drywallqa.errors import ConfigError
from drywallqa.processors import available_threads
from drywallqa.training.checkpoints import WholeCheckpoints
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import Devices
from drywallqa.training.run_log import TrainingProgress
from drywallqa.training.task import MONITORED

_INTENDED = (  # Lightning warnings about intended behaviour
    ".*in eval mode at the start.*",
    ".*number of training batches.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
    ".*dataloader is not resumable.*",  # our sampler makes the data loader resumable
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
)


def prepare_process(config: TrainConfig, devices: Devices) -> None:
    """Set up memory allocation, threads, random seeds and warnings for training in this process."""
    _keep_memory()
    # each worker uses one core; a forked worker hangs if it resizes an existing cv2 thread pool
    cv2.setNumThreads(0)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for pattern in _INTENDED:
        warnings.filterwarnings("ignore", pattern)
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    threads = config.threads or available_threads()
    # on the CPU, the processes of a machine share its threads
    torch.set_num_threads(threads if torch.cuda.is_available() else max(1, threads // devices.devices))


def _keep_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the system.

    Each training step frees and allocates the same large blocks. Without this setting, the kernel's clearing
    of memory pages takes half the time of a training step on the CPU. On systems without glibc, this function
    does nothing.
    """
    try:
        tune = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    tune(mmap_max, 0)
    tune(trim_threshold, 2**31 - 1)


def make_trainer(
    run: Path,
    config: TrainConfig,
    devices: Devices,
    callbacks: Sequence[lightning.Callback],
    *,
    progress_bar: bool,
) -> lightning.Trainer:
    """Build the trainer of a run, which writes logs and checkpoints to the run's folder.

    Raises:
        ConfigError: Synchronised batch statistics are requested, but there is no GPU.
    """
    settings = config.optimisation
    if config.model.batch_norm == "synchronised" and not torch.cuda.is_available():
        raise ConfigError("model.batch_norm=synchronised needs GPUs; on the CPU use 'frozen' or 'trained'")
    plugins, processes = _processes(devices)
    csv = next(name for n in itertools.count() if not (run / (name := f"csv-{n}")).exists())
    extra: list[lightning.Callback] = [LearningRateMonitor("step")]
    if settings.early_stopping:
        extra.append(
            EarlyStopping(
                MONITORED, mode="max", patience=settings.early_stopping, check_on_train_epoch_end=False
            )
        )
    if progress_bar:
        extra.append(TrainingProgress())
    trainer = lightning.Trainer(
        accelerator="auto",
        **processes,
        precision="bf16-mixed" if settings.precision == "bfloat16" else "32-true",
        sync_batchnorm=config.model.batch_norm == "synchronised",
        use_distributed_sampler=False,  # our sampler divides each batch among the processes
        max_epochs=settings.epochs,
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=settings.accumulate,
        plugins=[WholeCheckpoints(), *plugins],
        check_val_every_n_epoch=min(config.validate_every, settings.epochs),
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=min(10, config.batches),
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        enable_checkpointing=False,  # `CheckpointCallback` saves checkpoints
        default_root_dir=run,
        logger=[TensorBoardLogger(run, name="", version="tensorboard"), CSVLogger(run, name="", version=csv)],
        callbacks=[*extra, *callbacks],
    )
    if devices.ray:
        from ray.train.lightning import prepare_trainer

        return prepare_trainer(trainer)  # type: ignore[no-any-return]
    return trainer


def _processes(devices: Devices) -> tuple[list[Any], dict[str, Any]]:
    """Return the Lightning plugins and settings for running these processes."""
    if devices.ray:
        from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

        return [RayLightningEnvironment()], {"devices": "auto", "strategy": RayDDPStrategy()}
    strategy = "ddp" if devices.world > 1 else "auto"
    return [], {"devices": devices.devices, "num_nodes": devices.nodes, "strategy": strategy}
