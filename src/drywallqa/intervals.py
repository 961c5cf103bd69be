"""Metrics with 95 % bootstrap intervals, resampled by source photo; near-duplicates stay together.

Every metric here is a ratio of two sums over source photos. For example, a mean is the sum of the values
divided by the number of source photos, and a pooled precision is the sum of tp divided by the sum of tp + fp.
One method therefore covers all metrics: draw clusters of source photos with replacement, sum the numerators
and the denominators, and divide. This is the percentile method of Efron and Tibshirani, "An Introduction to
the Bootstrap" (1993), chapter 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.metrics import group_means

DRAWS = 2000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A measured value with its interval.

    Attributes:
        value: The value; nan without data.
        low: Lower end of the 95 % interval; nan with fewer than two clusters of source photos.
        high: Upper end of the 95 % interval; nan with fewer than two clusters.
        photographs: Number of measured source photos.
        pairs: Number of measured (photo, prompt) pairs.
    """

    value: float
    low: float
    high: float
    photographs: int
    pairs: int

    def to_json(self) -> dict[str, Any]:
        """Return the value and its interval as JSON data; None replaces nan, which JSON does not support."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        shown = {name: None if np.isnan(value) else round(value, 6) for name, value in numbers.items()}
        return {**shown, "photographs": self.photographs, "pairs": self.pairs}


@dataclass(frozen=True, eq=False)
class Terms:
    """Numerators and denominators of a ratio, by cluster of source photos.

    Attributes:
        part: Numerator of each cluster [C].
        whole: Denominator of each cluster [C].
        photographs: Total number of source photos.
        pairs: Total number of (photo, prompt) pairs.
        events: Whether the numerators count events. If so, the interval includes rates above 0 even
            if no event was observed.
    """

    part: Array
    whole: Array
    photographs: int
    pairs: int
    events: bool = False

    @property
    def value(self) -> float:
        """The sum of the numerators divided by the sum of the denominators."""
        whole = float(self.whole.sum())
        return float(self.part.sum()) / whole if whole else float("nan")

    def draws(self) -> Array:
        """Return the ratio of each resample [DRAWS]; nan if the denominator is 0."""
        weights = _weights(len(self.part))
        whole = weights @ self.whole
        return np.asarray(
            np.divide(weights @ self.part, whole, out=np.full(DRAWS, np.nan), where=whole > 0), np.float64
        )

    def figure(self) -> Figure:
        """Return the ratio with its interval.

        If an event never or always occurred, resampling gives no interval. The exact interval of
        C. J. Clopper and E. S. Pearson, Biometrika 26 (1934), is then computed from the number of clusters.
        """
        low, high = _interval(self.draws())
        if self.events and len(self.part) and self.value in (0.0, 1.0):
            reach = 1 - 0.025 ** (1 / len(self.part))
            low, high = (0.0, reach) if self.value == 0.0 else (1 - reach, 1.0)
        return Figure(self.value, low, high, self.photographs, self.pairs)


def mean_figure(values: Sequence[float], photographs: Sequence[str]) -> Figure:
    """Return the mean over source photos with its interval. Copies of a source photo are averaged first.

    Args:
        values: One value per (photo, prompt) pair.
        photographs: The source photo of each value.
    """
    means = np.array(list(group_means(values, photographs).values()), np.float64)
    return Terms(means, np.ones(len(means)), len(means), len(values)).figure()


def difference(first: Terms, second: Terms) -> Figure:
    """Return the first ratio minus the second ratio. Both ratios use the same resampled clusters.

    Raises:
        ValueError: The ratios have different numbers of clusters.
    """
    if len(first.part) != len(second.part):
        raise ValueError(f"cannot compare ratios with {len(first.part)} and {len(second.part)} clusters")
    low, high = _interval(first.draws() - second.draws())
    return Figure(first.value - second.value, low, high, first.photographs, first.pairs)


def _interval(draws: Array) -> tuple[float, float]:
    valid = draws[~np.isnan(draws)]
    if not len(valid):
        return float("nan"), float("nan")
    low, high = np.percentile(valid, [2.5, 97.5])
    return float(low), float(high)


@lru_cache(maxsize=64)
def _weights(clusters: int) -> Array:
    """Return how often each of C clusters is drawn in each resample [DRAWS,C]. The draws depend only on C.

    With fewer than two clusters there is no interval, so all weights are 0.
    """
    if clusters < 2:
        return np.zeros((DRAWS, clusters))
    generator = np.random.default_rng(0)
    return generator.multinomial(clusters, np.full(clusters, 1 / clusters), DRAWS).astype(np.float64)
