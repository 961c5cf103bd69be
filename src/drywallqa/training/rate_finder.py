"""Finds learning rates by training for a few steps at exponentially rising rates.

The finder suggests the rates at which the loss falls fastest. The ratio of the encoder rate to the decoder
rate stays fixed, which Lightning's finder does not support. Source: Smith, Cyclical Learning Rates for
Training Neural Networks (WACV 2017), https://arxiv.org/abs/1506.01186.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR

from drywallqa.errors import AlarmError
from drywallqa.files import write_whole
from drywallqa.training.data_module import PhotoDataModule
from drywallqa.training.task import SegmentationTask, make_optimizer, seed_torch

STEPS, LOWEST, HIGHEST = 100, 1e-3, 1e2
"""Number of steps, and the lowest and the highest factor to multiply the configured rates by."""
_SMOOTHING = 0.9  # decay of the smoothed loss
_DIVERGED = 4.0  # the search ends if the loss exceeds its minimum by this factor
_LEAST = 10  # minimum number of steps before the search can end


@dataclass(frozen=True)
class RateCurve:
    """The training loss as a function of the learning rates.

    Attributes:
        factors: Factors that multiply the configured rates, in ascending order.
        losses: The smoothed loss at each factor.
        encoder_rate: The configured encoder rate.
        decoder_rate: The configured decoder rate.
        best: The factor at which the loss falls fastest.
    """

    factors: Sequence[float]
    losses: Sequence[float]
    encoder_rate: float
    decoder_rate: float
    best: float

    def settings(self) -> list[str]:
        """Return the suggested rates as `name=value` settings."""
        rates = {"encoder_rate": self.encoder_rate, "decoder_rate": self.decoder_rate}
        return [f"optimisation.{name}={self.best * rate:.2g}" for name, rate in rates.items()]


def find_rates(task: SegmentationTask, photos: PhotoDataModule, run: Path) -> RateCurve:
    """Train for a few steps at rising rates, and write the loss curve to the run's folder.

    This training changes the model, so do not use the model afterwards.

    Raises:
        AlarmError: The loss diverged within the first steps.
        OutputError: The loss curve cannot be written.
    """
    settings = task.config.optimisation
    optimizer = make_optimizer(task.model, settings)
    schedule = LambdaLR(optimizer, _factor)
    factors, losses, smoothed, mean = [], [], [], 0.0
    task.freeze_model()
    batches = itertools.chain.from_iterable(photos.loader(epoch) for epoch in itertools.count())
    for step, batch in enumerate(itertools.islice(batches, STEPS)):
        seed_torch([task.config.seed, 0, step, 0])
        loss = task.loss_of(*task.predict(batch), batch["truth"], batch["known"], batch.get("ignored"))
        value = float(loss.detach())
        if not math.isfinite(value):
            break
        factors.append(_factor(step))
        losses.append(value)
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        smoothed.append(
            mean / (1 - _SMOOTHING ** (step + 1))
        )  # bias correction, because the mean starts at 0
        if len(losses) > _LEAST and smoothed[-1] > _DIVERGED * min(smoothed):
            break
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), settings.gradient_clip)
        optimizer.step()
        schedule.step()
    if len(losses) < _LEAST:
        raise AlarmError(
            f"the loss diverged after {len(losses)} steps at a thousandth of the configured rates; "
            "check the data: drywallqa train --data DIR --out RUN --show-batch batch.png"
        )
    rates = settings.encoder_rate, settings.decoder_rate
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["factor", "encoder_rate", "decoder_rate", "loss", "smoothed"])
    for factor, plain, smooth in zip(factors, losses, smoothed, strict=True):
        rows.writerow([factor, *(factor * rate for rate in rates), plain, smooth])
    write_whole(run / "rates.csv", text.getvalue().encode())
    return RateCurve(factors, smoothed, *rates, steepest(factors, smoothed))


def _factor(step: int) -> float:
    return float(LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)))


def steepest(factors: Sequence[float], losses: Sequence[float]) -> float:
    """Return the factor at which the loss falls fastest on a logarithmic axis of factors.

    Factors above the factor with the lowest loss are ignored, because the loss diverges there.
    """
    lowest = int(np.argmin(losses))
    if lowest < 2:
        return factors[0]
    slopes = np.gradient(np.asarray(losses), np.log(np.asarray(factors)))
    return factors[int(np.argmin(slopes[: lowest + 1]))]
