"""How rates change over a run, and when it ends early."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.optim import lr_scheduler

from drywallqa.training.config import OptimisationConfig

MONITORED = "val/iou"
"""Mean over concepts of the IoU on validation."""


def schedule(
    optimizer: torch.optim.Optimizer, settings: OptimisationConfig, steps: int, every: int
) -> dict[str, Any]:
    """Make the schedule that Lightning drives.

    Args:
        optimizer: Whose groups hold the highest rates.
        settings: Its kind and numbers.
        steps: Optimiser steps of the whole run.
        every: Epochs from one validation to the next.
    """
    if settings.schedule == "plateau":
        plateau = lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=settings.plateau_factor, patience=settings.plateau_patience
        )
        driven = {"interval": "epoch", "frequency": every, "monitor": MONITORED, "strict": False}
        return {"scheduler": plateau, **driven}
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


def patience_of(settings: OptimisationConfig) -> int:
    """Validations without a better IoU before a run ends; 0 for never."""
    if settings.patience is not None:
        return settings.patience
    return 5 if settings.schedule == "plateau" else 0


def early_end(settings: OptimisationConfig, run: Any) -> list[Callback]:
    """End a run that no longer gets better, and keep its best checkpoint; nothing where it may not end."""
    patience = patience_of(settings)
    if not patience:
        return []
    best = ModelCheckpoint(
        run, filename="best", monitor=MONITORED, mode="max", save_top_k=1, enable_version_counter=False,
        save_on_train_epoch_end=False,
    )  # fmt: skip
    end = EarlyStopping(MONITORED, mode="max", patience=patience, check_on_train_epoch_end=False)
    return [best, end]
