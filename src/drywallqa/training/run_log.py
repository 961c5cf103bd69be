"""A run's log: `log.jsonl` for machines, `log.txt` for people. A resumed run goes on in the same files."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning

from drywallqa.checks.findings import FaultFinding
from drywallqa.errors import OutputError
from drywallqa.files import append_line, json_bytes, read_json_lines

LINES, TEXT = "log.jsonl", "log.txt"


def read_events(run: Path) -> list[dict[str, Any]]:
    """Read a run's log without lines that were cut off; nothing where it has none, as earlier versions."""
    try:
        return [event for _, event in read_json_lines(run / LINES) if event is not None]
    except OSError:
        return []


class RunLog:
    """Appends to both files.

    Args:
        run: The run's folder, which exists.
        writes: Whether this process is the one of several that writes.
    """

    def __init__(self, run: Path, writes: bool = True) -> None:
        self.run, self.writes = run, writes

    def write(self, event: str, text: str, **figures: Any) -> None:
        """Log one event.

        Args:
            event: Its kind: "start", "check", "step", "validation", "best", "alarm", "stop" or "end".
            text: What people read.
            figures: What machines read besides.

        Raises:
            OutputError: The disk is full, or the folder went away.
        """
        if not self.writes:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json_bytes({"time": stamp, "event": event, "text": text, **finite_figures(figures)}, None)
        told = f"{stamp} {event}: {text}\n".encode("utf-8", "backslashreplace")
        for name, content in ((LINES, line), (TEXT, told)):
            path = self.run / name
            try:
                append_line(path, content)
            except OSError as error:
                raise OutputError(
                    f"{path}: cannot be written ({(error.strerror or str(error)).lower()}); the last good "
                    "checkpoint is intact: make room and go on with --resume"
                ) from error

    def finding(self, event: str, finding: FaultFinding) -> None:
        """Log what a check or an alarm found."""
        fault = finding.fault
        self.write(
            event, finding.sentence(), finding=fault.name, symptom=fault.symptom, evidence=finding.evidence,
            cause=fault.cause, remedy=fault.remedy, command=fault.command,
        )  # fmt: skip


def finite_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Make figures valid JSON: what is not finite becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


class LoggingCallback(lightning.Callback):
    """Logs losses, rates and speed every few steps, and each validation."""

    def __init__(self, log: RunLog, every: int = 10) -> None:
        self.record, self.every = log, every
        self.since, self.photos = 0.0, 0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Log where the run starts."""
        self.since, self.photos = time.perf_counter(), 0
        step, epoch = trainer.global_step, trainer.current_epoch
        self.record.write("start", f"epoch {epoch}, step {step}", step=step, epoch=epoch)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log every few batches."""
        self.photos += len(batch["known"])
        if (batch_idx + 1) % self.every and batch_idx + 1 < trainer.num_training_batches:
            return
        now = time.perf_counter()
        speed = self.photos * trainer.world_size / max(now - self.since, 1e-9)
        self.since, self.photos = now, 0
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        losses = {name: float(value) for name, value in module.figures.items()}
        told = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
        step, epoch = trainer.global_step, trainer.current_epoch
        self.record.write(
            "step",
            f"epoch {epoch}, step {step}: {told}, rate {rate:.3g}, {speed:.1f} photos/s",
            step=step, epoch=epoch, rate=rate, photos_per_second=round(speed, 2), **losses,
        )  # fmt: skip

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Log a validation's figures."""
        figures = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")
        }
        told = ", ".join(f"{name[4:]} {value:.4f}" for name, value in figures.items())
        step, epoch = trainer.global_step, trainer.current_epoch
        self.record.write("validation", f"epoch {epoch}: {told}", step=step, epoch=epoch, **figures)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Log that the run came to its end."""
        self.record.write("end", f"after epoch {trainer.current_epoch}, step {trainer.global_step}")
