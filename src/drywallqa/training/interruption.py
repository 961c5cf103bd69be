"""Ctrl-C saves, then stops; a resumed run goes on with the very next batch of the epoch.

A signal may come in the middle of an optimiser step, so it only leaves a note, which is read before the next
batch begins: there weights, averages, optimiser and schedule belong together.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from torch.utils.data import Sampler

from drywallqa.errors import StoppedError
from drywallqa.training.distributed import agree
from drywallqa.training.run_log import RunLog


class InterruptCallback(lightning.Callback):
    """Turns the first Ctrl-C into a checkpoint and an end, the second into an end at once.

    Args:
        checkpoint: Where to save.
        log: Told about it.
        accumulate: Batches an optimiser step; a step that has begun is finished first.
    """

    def __init__(self, checkpoint: Path, log: RunLog, accumulate: int = 1) -> None:
        self.checkpoint, self.record, self.accumulate = checkpoint, log, accumulate
        self.asked = False
        self._before: Any = None

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Listen for Ctrl-C, where signals can be listened for.

        Not in `setup`: Lightning notes all handlers after that, and would put this one back at its end.
        """
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """Give the signal back also where the run breaks."""
        self.teardown(trainer, module, "fit")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping after this step; press Ctrl-C again to stop at once", file=sys.stderr, flush=True)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Save and stop, if that was asked for.

        Raises:
            StoppedError: After saving.
        """
        if batch_idx % self.accumulate or not agree(trainer, self.asked):
            return
        trainer.save_checkpoint(self.checkpoint)
        step = trainer.global_step
        self.record.write("stop", f"Ctrl-C in epoch {trainer.current_epoch} after step {step}; saved")
        raise StoppedError(
            f"stopped by Ctrl-C after step {step}; saved to {self.checkpoint}: go on with --resume"
        )


class RemainingBatches(Sampler[list[int]]):
    """The batches of an epoch in order, from the first that a resumed run has not seen.

    Args:
        batches: Of the whole epoch; also the length, so that the epoch ends where it would have.
        size: Photos a batch, of all processes together.
        first: The first batch to hand out.
        rank: Which process this is.
        world: How many there are; each gets its part of every batch.
    """

    def __init__(self, batches: int, size: int, first: int = 0, rank: int = 0, world: int = 1) -> None:
        self.batches, self.size, self.first = batches, size, first
        self.share, self.rank = size // world, rank

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first, self.batches):
            start = batch * self.size + self.rank * self.share
            yield list(range(start, start + self.share))


def batches_done(trainer: Any, batches: int) -> int:
    """Count the batches of this epoch that the run being resumed has done."""
    if trainer is None or not trainer.fit_loop.restarting:
        return 0
    done = int(trainer.fit_loop.epoch_loop.batch_progress.current.completed)
    return done if done < batches else 0


def ignore_interrupts() -> None:
    """Let a worker leave Ctrl-C to the process that it works for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
