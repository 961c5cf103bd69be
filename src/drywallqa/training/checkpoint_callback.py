"""Which checkpoints a run keeps: the last, the best on validation, and each epoch's within a budget.

A whole state is saved between optimiser steps alone, before a batch begins or when the run has ended: there
weights, average, optimiser, schedule and position belong together, and no gradient is half added up.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor

from drywallqa.training.checkpoints import BEST, LAST, weights_path, write_weights
from drywallqa.training.config import CheckpointConfig
from drywallqa.training.distributed import agree
from drywallqa.training.run_log import RunLog
from drywallqa.training.schedules import MONITORED

EPOCHS = "epochs"
"""The run's folder of each epoch's weights."""
_GB = 1e9


def remove_checkpoints(run: Path) -> None:
    """Remove the checkpoints of a run that is replaced, so that none of them is taken for the new run's."""
    for path in (
        run / LAST,
        weights_path(run / LAST),
        run / BEST,
        *run.glob(f"{EPOCHS}/epoch-*.safetensors"),
    ):
        path.unlink(missing_ok=True)


class CheckpointCallback(lightning.Callback):
    """Saves a run.

    Args:
        run: Its folder.
        config: When, and within which budget.
        accumulate: Batches an optimiser step.
        log: Told about the best, and where the budget does not suffice.

    Attributes:
        best: The best IoU on validation so far.
    """

    def __init__(self, run: Path, config: CheckpointConfig, accumulate: int, log: RunLog) -> None:
        self.run, self.config, self.accumulate, self.record = run, config, accumulate, log
        self.best = -math.inf
        self.saved_at, self.saved_step = 0.0, 0
        self.warned = self.between = False

    def state_dict(self) -> dict[str, Any]:
        """Keep the best figure with the run."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.best = float(state_dict["best"])

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Count from here."""
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Save what the epoch before came to, before anything of the new one is loaded."""
        if trainer.global_step > self.saved_step:
            self.between = True
            self._save(trainer)
            self.between = False

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Save within an epoch where that is due."""
        if batch_idx % self.accumulate:
            return
        steps = trainer.global_step - self.saved_step
        due = steps > 0 and (
            0 < self.config.steps <= steps or 0 < self.config.minutes * 60 <= time.monotonic() - self.saved_at
        )
        if agree(trainer, due):
            self._save(trainer)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Save the end."""
        self._save(trainer)

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Say in the state which batch comes next.

        Lightning notes that a batch is its epoch's last before that batch begins, and forgets how many
        batches an epoch had only when the next one's first begins. A state saved in between would be taken
        for that of a finished epoch, and the next epoch would be left out.
        """
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if self.between:
            progress["current"] = dict.fromkeys(progress["current"], 0)
        if self.between or progress["current"]["completed"] < progress["current"]["ready"]:
            progress["is_last_batch"] = False

    def _save(self, trainer: Any) -> None:
        trainer.save_checkpoint(self.run / LAST)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Keep the weights that are best so far; of equal ones the later, which have been trained longer."""
        score = float(trainer.callback_metrics.get(MONITORED, math.nan))
        if not score >= self.best:
            return
        self.best = score
        if trainer.is_global_zero:
            self._write(module, self.run / BEST, trainer, {MONITORED: repr(score)})
            self.record.write("best", f"epoch {trainer.current_epoch}: IoU {score:.4f}, kept in {BEST}")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Keep the epoch's weights, if that is wanted."""
        if not self.config.every_epoch or not trainer.is_global_zero:
            return
        name = f"epoch-{trainer.current_epoch:04d}.safetensors"
        self._write(module, self.run / EPOCHS / name, trainer, {})
        self._trim()

    def _write(self, module: Any, path: Path, trainer: Any, more: dict[str, str]) -> None:
        weights: dict[str, Tensor] = module.average.module.state_dict()
        about = {"epoch": str(trainer.current_epoch), "global_step": str(trainer.global_step), **more}
        write_weights(weights, path, about)

    def _trim(self) -> None:
        """Remove the oldest epochs' weights until all checkpoints fit the budget."""
        epochs = sorted((self.run / EPOCHS).glob("epoch-*.safetensors"))
        fixed = [p for p in (self.run / LAST, weights_path(self.run / LAST), self.run / BEST) if p.is_file()]
        needed = sum(path.stat().st_size for path in fixed)
        budget = self.config.budget_gb * _GB
        while epochs and needed + sum(path.stat().st_size for path in epochs) > budget:
            epochs.pop(0).unlink()
        if not epochs and not self.warned:
            self.warned = True
            told = (
                f"checkpoints.budget_gb={self.config.budget_gb:g} leaves no room for an epoch's weights "
                f"beside the last and the best ({needed / _GB:.3g} GB)"
            )
            self.record.write("alarm", told)
