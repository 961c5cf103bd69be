"""Writes a run's log (`log.jsonl` for programs, `log.txt` for people) and shows progress on a terminal.

A resumed run appends to the same log files.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.profilers import SimpleProfiler

from drywallqa.checks.findings import FaultFinding
from drywallqa.errors import OutputError
from drywallqa.files import append_line, json_bytes, read_json_lines

LINES, TEXT = "log.jsonl", "log.txt"
EVERY = 10
"""Number of batches per log line."""
PRINTED = 30.0
"""Minimum number of seconds between printed lines if stderr is not a terminal."""
WAITING, WORKING = "[_TrainingEpochLoop].train_dataloader_next", "run_training_batch"
"""Lightning's names for the two parts of a training step, waiting for a batch and processing the batch."""
MUCH_WAITING = 0.1
"""If training waits for data for more than this share of the time, the log suggests more workers."""


def read_events(run: Path) -> list[dict[str, Any]]:
    """Read the events in a run's log, without incomplete lines. Return [] if the run has no log."""
    try:
        return [event for _, event in read_json_lines(run / LINES) if event is not None]
    except OSError:
        return []


class RunLog:
    """Appends events to both log files.

    Args:
        run: The run's folder, which must exist.
        writes: Whether this process writes the log files.
    """

    def __init__(self, run: Path, writes: bool = True) -> None:
        self.run, self.writes = run, writes

    def write(self, event: str, text: str, **figures: Any) -> None:
        """Log one event.

        Args:
            event: "start", "check", "step", "validation", "best", "alarm", "stop", "speed" or "end".
            text: The text for both log files.
            figures: Additional values for `log.jsonl`.

        Raises:
            OutputError: The disk is full, or the folder was removed.
        """
        if not self.writes:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json_bytes({"time": stamp, "event": event, "text": text, **finite_figures(figures)}, None)
        sentence = f"{stamp} {event}: {text}\n".encode("utf-8", "backslashreplace")
        for name, content in ((LINES, line), (TEXT, sentence)):
            path = self.run / name
            try:
                append_line(path, content)
            except OSError as error:
                raise OutputError(
                    f"{path}: cannot be written ({(error.strerror or str(error)).lower()}); the last good "
                    "checkpoint is intact; free disk space and continue with --resume"
                ) from error

    def finding(self, event: str, finding: FaultFinding) -> None:
        """Log a problem that was found by a check or an alarm."""
        fault = finding.fault
        self.write(
            event, finding.sentence(), finding=fault.name, symptom=fault.symptom, evidence=finding.evidence,
            cause=fault.cause, remedy=fault.remedy, command=fault.command,
        )  # fmt: skip


def finite_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Replace NaN and infinity with None, because JSON does not allow them."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


class LoggingCallback(lightning.Callback):
    """Logs losses, learning rate and speed every few batches, the validation metrics, and the overall speed.

    Args:
        log: The run's log.
        shown: Whether to print the metrics of each validation to stderr. If stderr is not a terminal, losses
            are printed from time to time as well.
    """

    def __init__(self, log: RunLog, *, shown: bool) -> None:
        self.run_log, self.shown = log, shown
        self.steps_shown = shown and not sys.stderr.isatty()
        self.profiler, self.seconds = SimpleProfiler(), Counter[str]()
        self.photos = self.all_photos = 0
        self.since = self.printed_at = 0.0

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """Install Lightning's profiler. Timers in hooks would count checkpoints and validation as waiting."""
        trainer.profiler = self.profiler

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Log the epoch and step at which the run starts."""
        self.since = self.printed_at = time.perf_counter()
        step, epoch = trainer.global_step, trainer.current_epoch
        self.run_log.write("start", f"epoch {epoch}, step {step}", step=step, epoch=epoch)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log losses, learning rate and speed every few batches and after the last batch of an epoch."""
        self.photos += len(batch["known"]) * trainer.world_size
        if (batch_idx + 1) % EVERY and batch_idx + 1 < trainer.num_training_batches:
            return
        now = time.perf_counter()
        speed = self.photos / max(now - self.since, 1e-9)
        self.since, self.all_photos, self.photos = now, self.all_photos + self.photos, 0
        durations = self.profiler.recorded_durations
        self.seconds.update({name: sum(durations[name]) for name in (WAITING, WORKING)})
        durations.clear()  # otherwise the lists grow during the run
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        losses = {name: float(value) for name, value in module.figures.items()}
        listed = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
        step, epoch = trainer.global_step, trainer.current_epoch
        text = f"epoch {epoch}, step {step}: {listed}, rate {rate:.3g}, {speed:.1f} photos/s"
        figures = {"step": step, "epoch": epoch, "rate": rate, "photos_per_second": round(speed, 2)}
        self.run_log.write("step", text, **figures, **losses)
        if self.steps_shown and now - self.printed_at >= PRINTED:
            self.printed_at = now
            print(text, file=sys.stderr, flush=True)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Log the metrics of a validation."""
        figures = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")
        }
        listed = ", ".join(f"{name[4:]} {value:.4f}" for name, value in figures.items())
        epoch, text = trainer.current_epoch, f"epoch {trainer.current_epoch}: {listed}"
        self.run_log.write("validation", text, step=trainer.global_step, epoch=epoch, **figures)
        if self.shown:
            print(f"validation: {text}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Log the end of the run, and the average training speed since the run started or resumed."""
        self.run_log.write("end", f"after epoch {trainer.current_epoch}, step {trainer.global_step}")
        if not self.all_photos:
            return
        waiting = self.seconds[WAITING]
        seconds = max(waiting + self.seconds[WORKING], 1e-9)
        text = (
            f"{self.all_photos} pictures, {self.all_photos / seconds:.2f} per second, "
            f"{waiting / seconds:.1%} of the time spent waiting for data"
        )
        if waiting / seconds > MUCH_WAITING:
            text = f"{text}; increase data.workers"
        self.run_log.write(
            "speed", text, photos=self.all_photos, photos_per_second=round(self.all_photos / seconds, 3),
            waiting_seconds=round(waiting, 3), waiting_share=round(waiting / seconds, 4),
        )  # fmt: skip
        if self.run_log.writes:
            print(f"speed: {text}", flush=True)


class TrainingProgress(RichProgressBar):
    """Lightning's progress bar on stderr, with the time left in the run, including validations."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4, console_kwargs={"stderr": True})
        self.started_at, self.first = 0.0, 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start measuring the time of the run."""
        super().on_train_start(trainer, pl_module)
        self.started_at, self.first = time.monotonic(), _batches_done(trainer)

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Return the values to show next to the progress bar."""
        done = _batches_done(trainer)
        each = (time.monotonic() - self.started_at) / max(1, done - self.first)
        left = trainer.max_epochs * trainer.num_training_batches - done
        loss = float(pl_module.figures["loss"])
        return {"loss": loss, "left": str(timedelta(seconds=round(left * each)))}


def _batches_done(trainer: Any) -> int:
    current = trainer.fit_loop.epoch_loop.batch_progress.current
    return int(trainer.current_epoch * trainer.num_training_batches + current.ready)
