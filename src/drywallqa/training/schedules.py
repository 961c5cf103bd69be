"""How rates change over a run, and when it ends early."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.optim import lr_scheduler

from drywallqa.training.config import OptimisationConfig

MONITORED = "val/iou"
"""Mean over concepts of the IoU on validation."""
_NEVER = 10**9
"""Epochs until Lightning would step what is stepped elsewhere."""


def schedule(optimizer: torch.optim.Optimizer, settings: OptimisationConfig, steps: int) -> dict[str, Any]:
    """Make the schedule that Lightning drives, but for plateau, which is stepped by the validation itself.

    Lightning leaves a plateau's step out in the epoch in which a run is resumed.

    Args:
        optimizer: Whose groups hold the highest rates.
        settings: Its kind and numbers.
        steps: Optimiser steps of the whole run.
    """
    if settings.schedule == "plateau":
        plateau = lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=settings.plateau_factor, patience=settings.plateau_patience
        )
        never = {"interval": "epoch", "frequency": _NEVER, "monitor": MONITORED, "strict": False}
        return {"scheduler": plateau, **never}
    warm = max(settings.warmup_share, 2 / (steps + 1))
    if settings.schedule == "one_cycle":
        cycle = lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps + 1,
            pct_start=warm,
            cycle_momentum=False,
        )
        return {"scheduler": cycle, "interval": "step"}
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps))
    return {"scheduler": cosine, "interval": "step"}


def step_plateaus(configs: Iterable[Any], score: float) -> None:
    """Tell schedules that wait for a plateau how a validation came out."""
    for config in configs:
        if isinstance(config.scheduler, lr_scheduler.ReduceLROnPlateau):
            config.scheduler.step(score)


def patience_of(settings: OptimisationConfig) -> int:
    """Validations without a better IoU before a run ends; 0 for never."""
    if settings.patience is not None:
        return settings.patience
    return 5 if settings.schedule == "plateau" else 0


def early_end(settings: OptimisationConfig) -> list[Callback]:
    """End a run that no longer gets better; nothing where it may not end."""
    patience = patience_of(settings)
    if not patience:
        return []
    return [EarlyStopping(MONITORED, mode="max", patience=patience, check_on_train_epoch_end=False)]
