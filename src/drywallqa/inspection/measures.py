"""Measured quantities with their 95 % intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

NORMAL_95 = 1.96
"""Half of a 95 % interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Measure:
    """A measured quantity with its 95 % interval, in a unit that its owner states.

    Attributes:
        value: The best estimate. None if the photo can show only that the quantity is at most `high`.
        low: Lower end of the interval, at least 0.
        high: Upper end of the interval.

    Raises:
        ValueError: The numbers are not finite, are negative or are not in order.
    """

    value: float | None
    low: float
    high: float

    def __post_init__(self) -> None:
        inside = self.low if self.value is None else self.value
        if not (0 <= self.low <= inside <= self.high < math.inf):  # NaN fails every comparison
            raise ValueError(f"a measure needs 0 ≤ low ≤ value ≤ high, got {self}")

    def times(self, factor: float) -> Measure:
        """Return the measure in another unit, without an uncertainty of the factor itself."""
        value = None if self.value is None else self.value * factor
        return Measure(value, self.low * factor, self.high * factor)
