"""How far a run is, and how long it will take: a moving line on a terminal, one now and then elsewhere."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import lightning

from drywallqa.training.config import TrainConfig
from drywallqa.training.distributed import world

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS = 30.0
"""Between two lines where nobody watches."""


class TrainingProgress(lightning.Callback):
    """Shows epoch, losses, speed and time left on stderr.

    Args:
        config: Of the run.
        batches: An epoch's.
        shown: Whether anything is to be shown.
    """

    def __init__(self, config: TrainConfig, batches: int, *, shown: bool) -> None:
        self.batches, self.shown = batches, shown
        self.epochs, self.size = config.optimisation.epochs, config.optimisation.batch_size
        every = min(config.validate_every, self.epochs)
        self.validations = [e for e in range(self.epochs) if (e + 1) % every == 0 or e == self.epochs - 1]
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.clock, self.told, self.began = 0.0, 0.0, 0.0
        self.batch_seconds: float | None = None
        self.validation_seconds = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Begin to show."""
        self.clock = self.told = time.monotonic()
        if not self.shown or not sys.stderr.isatty():
            return
        from rich import progress as parts
        from rich.console import Console

        self.bar = parts.Progress(
            parts.TextColumn("{task.description}"),
            parts.BarColumn(),
            parts.TextColumn("{task.fields[told]}"),
            console=Console(stderr=True),
            transient=True,
        )
        done = trainer.current_epoch * self.batches
        self.task = self.bar.add_task(
            "training", total=self.epochs * self.batches, completed=done, told="measuring"
        )
        self.bar.start()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Leave out what lies between epochs: it is counted as validation."""
        if batch_idx == 0:
            self.clock = time.monotonic()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Measure the batch, and show where the run is."""
        now = time.monotonic()
        seconds, self.clock = now - self.clock, now
        before = self.batch_seconds
        self.batch_seconds = seconds if before is None else before + 0.05 * (seconds - before)
        if not self.shown:
            return
        told = self.sentence(trainer.current_epoch, batch_idx + 1, float(module.figures["loss"]))
        if self.bar is not None and self.task is not None:
            done = trainer.current_epoch * self.batches + batch_idx + 1
            self.bar.update(self.task, completed=done, told=told)
        elif now - self.told >= SECONDS:
            self.told = now
            print(told, file=sys.stderr, flush=True)

    def sentence(self, epoch: int, done: int, loss: float) -> str:
        """Say where a run is: `done` batches of `epoch`, counted from 0, are behind it."""
        each = self.batch_seconds or 0.0
        ahead = sum(1 for validated in self.validations if validated >= epoch)
        left = ((self.epochs - epoch) * self.batches - done) * each + ahead * self.validation_seconds
        speed = self.size / each if each else 0.0
        return (
            f"epoch {epoch + 1}/{self.epochs}, batch {done}/{self.batches}: loss {loss:.4f}, "
            f"{speed:.1f} photos/s, {timedelta(seconds=round(left))} left"
            + (f", {world()} processes" if world() > 1 else "")
        )

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        """Measure a validation."""
        self.began = time.monotonic()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Show a validation's figures."""
        self.validation_seconds = time.monotonic() - self.began
        if not self.shown:
            return
        figures = {n: float(v) for n, v in trainer.callback_metrics.items() if n.startswith("val/")}
        told = ", ".join(f"{name[4:]} {value:.3f}" for name, value in figures.items())
        line = f"epoch {trainer.current_epoch + 1}/{self.epochs} validated: {told}"
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """Leave the terminal as it was also where the run breaks."""
        self.teardown(trainer, module, "fit")
