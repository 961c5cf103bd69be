"""Lightning's loop, as every run of ours has it: what it logs, where, and on how many devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from drywallqa.errors import ConfigError
from drywallqa.training.checkpoints import WholeCheckpoints
from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import Devices
from drywallqa.training.schedules import early_end

BOARD = "tensorboard"
"""The run's folder of TensorBoard events."""


class WholeValidation(lightning.Callback):
    """Validates after the last epoch too, whatever the interval is, so that the end can be the best."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Look whether a resumed run begins within its last epoch."""
        self.on_train_epoch_start(trainer, module)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Let the last epoch be validated."""
        if trainer.current_epoch == self.epochs - 1:
            trainer.check_val_every_n_epoch = 1


def make_trainer(
    run: Path, config: TrainConfig, devices: Devices, watchers: Sequence[lightning.Callback]
) -> lightning.Trainer:
    """Make the loop that leaves its logs and checkpoints in the run's folder.

    Raises:
        ConfigError: Statistics are to be synchronised where no accelerator is.
    """
    settings = config.optimisation
    if config.model.batch_norm == "synchronised" and not torch.cuda.is_available():
        raise ConfigError("model.batch_norm=synchronised needs GPUs; on the CPU take 'frozen' or 'trained'")
    plugins, spread = _spread(devices)
    trainer = lightning.Trainer(
        accelerator="auto",
        **spread,
        precision="bf16-mixed" if settings.precision == "bfloat16" else "32-true",
        sync_batchnorm=config.model.batch_norm == "synchronised",
        use_distributed_sampler=False,  # ours deals out the batches itself
        max_epochs=settings.epochs,
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=settings.accumulate,
        plugins=[WholeCheckpoints(), *plugins],
        check_val_every_n_epoch=min(config.validate_every, settings.epochs),
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=min(10, config.data.photos_per_epoch // settings.batch_size),
        enable_progress_bar=False,  # ours knows the whole run
        enable_model_summary=False,
        enable_checkpointing=False,  # `keeping` does that
        default_root_dir=run,
        logger=[
            TensorBoardLogger(run, name="", version=BOARD),
            CSVLogger(run, name="", version=_free_name(run, "csv")),
        ],
        callbacks=[
            LearningRateMonitor("step"),
            WholeValidation(settings.epochs),
            *early_end(settings),
            *watchers,
        ],
    )
    return _under_ray(trainer) if devices.ray else trainer


def _spread(devices: Devices) -> tuple[list[Any], dict[str, Any]]:
    """Say in Lightning's words over which processes a run is spread: plug-ins and settings."""
    if devices.ray:
        from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

        return [RayLightningEnvironment()], {"devices": "auto", "strategy": RayDDPStrategy()}
    strategy = "ddp" if devices.world > 1 else "auto"
    return [], {"devices": devices.devices, "num_nodes": devices.nodes, "strategy": strategy}


def _under_ray(trainer: lightning.Trainer) -> lightning.Trainer:
    from ray.train.lightning import prepare_trainer

    checked: lightning.Trainer = prepare_trainer(trainer)
    return checked


def _free_name(folder: Path, name: str) -> str:
    """Number a log's folder, so that a resumed run keeps what was logged before."""
    number = 0
    while (folder / f"{name}-{number}").exists():
        number += 1
    return f"{name}-{number}"
