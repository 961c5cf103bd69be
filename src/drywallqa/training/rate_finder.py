"""The learning-rate finder: a short training whose rates rise from far too low to far too high.

L. N. Smith, Cyclical Learning Rates for Training Neural Networks (WACV 2017), https://arxiv.org/abs/1506.01186.
The rates of encoder and decoder keep their proportion; the suggestion is where the loss falls fastest.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drywallqa.errors import AlarmError
from drywallqa.files import write_whole
from drywallqa.training.data_module import PhotoDataModule
from drywallqa.training.task import SegmentationTask, parameter_groups, seed_torch

CURVE = "rates.csv"
STEPS, LOWEST, HIGHEST = 100, 1e-3, 1e2
"""Steps, and the range of the factor on the rates that are set."""
_SMOOTHING, _BURST = 0.9, 4.0
_LEAST = 10


@dataclass(frozen=True)
class RateCurve:
    """What the finder measured.

    Attributes:
        factors: On the rates that are set, rising.
        losses: At each, smoothed.
        encoder_rate: As set.
        decoder_rate: As set.
        best: The factor at which the loss falls fastest.
    """

    factors: tuple[float, ...]
    losses: tuple[float, ...]
    encoder_rate: float
    decoder_rate: float
    best: float

    def settings(self) -> list[str]:
        """Say the suggestion as settings of a run."""
        rates = {"encoder_rate": self.encoder_rate, "decoder_rate": self.decoder_rate}
        return [f"optimisation.{name}={self.best * rate:.2g}" for name, rate in rates.items()]


def find_rates(task: SegmentationTask, photos: PhotoDataModule, run: Path) -> RateCurve:
    """Train a few steps at rising rates, and write the curve to the run's folder.

    The model is spoilt by it.

    Raises:
        AlarmError: The loss broke before there was anything to see.
        OutputError: The curve cannot be written.
    """
    settings = task.config.optimisation
    groups = parameter_groups(task.model, settings.encoder_rate, settings.decoder_rate, settings.weight_decay)
    optimizer = torch.optim.AdamW(groups, eps=settings.epsilon)
    rates = [group["lr"] for group in optimizer.param_groups]
    factors, losses = [], []
    task.settle()
    for step, batch in enumerate(_batches(photos, STEPS)):
        factor = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        loss = _step(task, optimizer, batch, step)
        if not math.isfinite(loss):
            break
        factors.append(factor)
        losses.append(loss)
        if len(losses) > _LEAST and smooth_losses(losses)[-1] > _BURST * min(smooth_losses(losses)):
            break
    if len(losses) < _LEAST:
        raise AlarmError(
            f"the loss broke after {len(losses)} steps at a thousandth of the rates that are set; "
            "look at the data: drywallqa train --data DIR --out RUN --show-batch batch.png"
        )
    curve = RateCurve(
        tuple(factors),
        tuple(smooth_losses(losses)),
        settings.encoder_rate,
        settings.decoder_rate,
        steepest(factors, smooth_losses(losses)),
    )
    _write(curve, losses, run / CURVE)
    return curve


def _batches(photos: PhotoDataModule, steps: int) -> Iterator[Any]:
    """Hand out so many batches, over as many epochs as that takes."""
    done = 0
    for epoch in range(-(-steps // photos.batches)):
        for batch in photos.loader(epoch):
            if done == steps:
                return
            done += 1
            yield batch


def _step(task: SegmentationTask, optimizer: torch.optim.Optimizer, batch: Any, step: int) -> float:
    seed_torch([task.config.seed, 0, step, 0])
    loss = task.loss_of(*task.predict(batch), batch["truth"], batch["known"])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(task.model.parameters(), task.config.optimisation.gradient_clip)
    optimizer.step()
    return float(loss.detach())


def smooth_losses(losses: Sequence[float]) -> list[float]:
    """Average exponentially, corrected for the start."""
    kept, mean = [], 0.0
    for step, loss in enumerate(losses, 1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        kept.append(mean / (1 - _SMOOTHING**step))
    return kept


def steepest(factors: Sequence[float], losses: Sequence[float]) -> float:
    """Return the factor at which the loss falls fastest over the logarithm of the factor.

    Looked for before the lowest loss; what comes after it is the burst.
    """
    lowest = int(np.argmin(losses))
    if lowest < 2:
        return factors[0]
    slopes = np.gradient(np.asarray(losses), np.log(np.asarray(factors)))
    return factors[int(np.argmin(slopes[: lowest + 1]))]


def _write(curve: RateCurve, losses: Sequence[float], path: Path) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["factor", "encoder_rate", "decoder_rate", "loss", "smoothed"])
    for factor, loss, smoothed in zip(curve.factors, losses, curve.losses, strict=True):
        rows.writerow([factor, factor * curve.encoder_rate, factor * curve.decoder_rate, loss, smoothed])
    write_whole(path, text.getvalue().encode())
