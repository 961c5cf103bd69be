"""Saves the last state of a run, the weights with the best validation IoU, and the weights of each epoch.

The state is saved only between optimiser steps, either before a batch or after the end of the run. At these
points, the weights, their average, the optimiser, the schedule and the batch position belong to the same
step, and there are no accumulated gradients. Because the user may press Ctrl-C during a step, the handler
only sets a flag. The callback checks this flag before the next batch.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning

from drywallqa.errors import StoppedError
from drywallqa.training.checkpoints import BEST, EPOCHS, LAST, weights_path, write_weights
from drywallqa.training.config import CheckpointConfig
from drywallqa.training.distributed import agree
from drywallqa.training.run_log import RunLog
from drywallqa.training.task import MONITORED


class CheckpointCallback(lightning.Callback):
    """Saves a run at regular intervals and on Ctrl-C. A second Ctrl-C stops the run at once.

    Args:
        run: The run's folder.
        config: The settings for save intervals and the disk budget.
        accumulate: Number of batches per optimiser step.
        log: The log that records each new best IoU, a stop by Ctrl-C, and a disk budget that is too small.

    Attributes:
        best: The best validation IoU so far.
        interrupted: Whether Ctrl-C was pressed.
    """

    def __init__(self, run: Path, config: CheckpointConfig, accumulate: int, log: RunLog) -> None:
        self.run, self.config, self.accumulate, self.run_log = run, config, accumulate, log
        self.best = -math.inf
        self.saved_at, self.saved_step = 0.0, 0
        self.warned = self.between_epochs = self.interrupted = False
        self._old_handler: Any = None

    @property
    def state_key(self) -> str:
        """The name of this callback's state in checkpoints. It must not change between versions."""
        return "Keeping"

    def state_dict(self) -> dict[str, Any]:
        """Return the best validation IoU for the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best validation IoU."""
        self.best = float(state_dict["best"])

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Start the timer, and install the Ctrl-C handler in the main thread.

        The hook `setup` would be too early, because Lightning records all signal handlers after `setup` and
        restores them at the end of training.
        """
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGINT, self._interrupt)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Restore the previous Ctrl-C handler."""
        if self._old_handler is not None:
            signal.signal(signal.SIGINT, self._old_handler)
            self._old_handler = None

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """Restore the previous Ctrl-C handler after an error."""
        self.teardown(trainer, module, "fit")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        print("stopping after this step; press Ctrl-C again to stop at once", file=sys.stderr, flush=True)

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """Save the state after the previous epoch, and before the new epoch loads data."""
        if trainer.global_step > self.saved_step:
            self.between_epochs = True
            self._save(trainer)
            self.between_epochs = False

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Save the run if the save interval has passed. After Ctrl-C, save and stop the run.

        Raises:
            StoppedError: The user pressed Ctrl-C, and the run was saved.
        """
        if batch_idx % self.accumulate:
            return
        stop = agree(trainer, self.interrupted)
        step = trainer.global_step
        minutes = (time.monotonic() - self.saved_at) / 60
        due = step > self.saved_step and (
            0 < self.config.steps <= step - self.saved_step or 0 < self.config.minutes <= minutes
        )
        if stop or agree(trainer, due):
            self._save(trainer)
        if stop:
            self.run_log.write(
                "stop", f"Ctrl-C in epoch {trainer.current_epoch} after step {step}; the run is saved"
            )
            raise StoppedError(
                f"stopped by Ctrl-C after step {step}; saved to {self.run / LAST}; continue with --resume"
            )

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Save the final state."""
        self._save(trainer)

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Correct Lightning's batch counts in the saved state.

        Lightning marks a batch as the last of its epoch before that batch begins. Lightning resets the batch
        count only when the first batch of the next epoch begins. Without this correction, a state saved
        between these two points would look like a finished epoch, and a resumed run would skip the next
        epoch.
        """
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if self.between_epochs:
            progress["current"] = dict.fromkeys(progress["current"], 0)
        if self.between_epochs or progress["current"]["completed"] < progress["current"]["ready"]:
            progress["is_last_batch"] = False

    def _save(self, trainer: Any) -> None:
        trainer.save_checkpoint(self.run / LAST)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Save the averaged weights if their validation IoU is at least as high as the best earlier IoU."""
        score = float(trainer.callback_metrics.get(MONITORED, math.nan))
        if not score >= self.best:
            return
        self.best = score
        if trainer.is_global_zero:
            self._write_average(module, self.run / BEST, trainer, {MONITORED: repr(score)})
            self.run_log.write("best", f"epoch {trainer.current_epoch}: IoU {score:.4f}, saved in {BEST}")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """If `every_epoch` is set, save the epoch's weights and delete old weights beyond the budget."""
        if self.config.every_epoch and trainer.is_global_zero:
            name = f"epoch-{trainer.current_epoch:04d}.safetensors"
            self._write_average(module, self.run / EPOCHS / name, trainer, {})
            self._trim()

    def _write_average(self, module: Any, path: Path, trainer: Any, more: dict[str, str]) -> None:
        metadata = {"epoch": str(trainer.current_epoch), "global_step": str(trainer.global_step), **more}
        write_weights(module.average.module.state_dict(), path, metadata)

    def _trim(self) -> None:
        epochs = sorted((self.run / EPOCHS).glob("epoch-*.safetensors"))
        fixed = (self.run / LAST, weights_path(self.run / LAST), self.run / BEST)
        needed = sum(path.stat().st_size for path in fixed if path.is_file())
        budget = self.config.budget_gb * 1e9
        while epochs and needed + sum(path.stat().st_size for path in epochs) > budget:
            epochs.pop(0).unlink()
        if not epochs and not self.warned:
            self.warned = True
            self.run_log.write(
                "alarm",
                f"checkpoints.budget_gb={self.config.budget_gb:g} leaves no room for the weights of an "
                f"epoch, because the last and best checkpoints need {needed / 1e9:.3g} GB",
            )
