"""How fast a run trains, and how much of that time it waits for its data; said at its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import lightning
from lightning.pytorch.profilers import Profiler

from drywallqa.training.run_log import RunLog

FETCHING = "train_dataloader_next"
"""How Lightning calls the wait for the next training batch when it tells a profiler."""
MUCH_WAITING = 0.1
"""Share of the time above which more workers are suggested."""


@dataclass(frozen=True)
class TrainingSpeed:
    """What a run took for its training steps; validation, checks and checkpoints are left out.

    Attributes:
        photos: Pictures that were trained on.
        waiting: Seconds in which the next batch was waited for.
        working: Seconds from a batch's arrival to the end of its step.
    """

    photos: int
    waiting: float
    working: float

    @property
    def per_second(self) -> float:
        """Pictures a second, waiting included."""
        return self.photos / max(self.waiting + self.working, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Share of the time that was spent waiting, 0–1."""
        return self.waiting / max(self.waiting + self.working, 1e-9)

    def sentence(self) -> str:
        """Tell it in one line."""
        told = (
            f"{self.photos} pictures, {self.per_second:.2f} a second, "
            f"{self.waiting_share:.1%} of the time spent waiting for data"
        )
        return told if self.waiting_share <= MUCH_WAITING else f"{told}; raise data.workers"


class DataWaitProfiler(Profiler):
    """Adds up the waits for the next batch, which Lightning tells its profiler exactly.

    Hooks of callbacks cannot tell: between two of them lie checkpoints and validations as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self._since = 0.0, 0.0

    def start(self, action_name: str) -> None:
        """Note when a wait begins."""
        if action_name.endswith(FETCHING):
            self._since = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Add a wait that is over."""
        if action_name.endswith(FETCHING):
            self.seconds += time.perf_counter() - self._since


class ThroughputCallback(lightning.Callback):
    """Logs the speed of a run when it ends; of a resumed one, since it was resumed.

    Args:
        log: Told the speed.
    """

    def __init__(self, log: RunLog) -> None:
        self.record, self.waiting = log, DataWaitProfiler()
        self.photos, self.working, self._since = 0, 0.0, 0.0

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """Become the run's profiler."""
        trainer.profiler = self.waiting

    @property
    def speed(self) -> TrainingSpeed:
        """The speed up to now."""
        return TrainingSpeed(self.photos, self.waiting.seconds, self.working)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Note when a batch arrived."""
        self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count a batch that is done."""
        self.working += time.perf_counter() - self._since
        self.photos += len(batch["known"]) * trainer.world_size

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Log and say the speed, where anything was trained."""
        speed = self.speed
        if not speed.photos:
            return
        self.record.write(
            "speed",
            speed.sentence(),
            photos=speed.photos,
            photos_per_second=round(speed.per_second, 3),
            waiting_seconds=round(speed.waiting, 3),
            waiting_share=round(speed.waiting_share, 4),
        )
        if self.record.writes:
            print(f"speed: {speed.sentence()}", flush=True)
