"""Growth of a finding between two aligned photos, in pixels of the earlier photo.

The later line is mapped into the earlier photo. So both visits are measured with one scale, and errors of the
scale and of the tilt cancel. Width is compared only where both photos show the line. Length counts as growth
only where the earlier photo could have shown it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.finding_overlap import LinePath, distances, path_of
from drywallqa.inspection.ledger import Observation, Unit
from drywallqa.inspection.measures import NORMAL_95, Measure

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BLOCK = 12  # px; widths nearer to each other are not independent


@dataclass(frozen=True)
class Difference:
    """A change of a quantity between two visits, with its 95 % interval.

    Attributes:
        unit: "mm" if the earlier photo has a scale; else px of the earlier photo.
        before: The quantity at the earlier visit.
        after: The quantity at the later visit.
        value: Later minus earlier.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    unit: Unit
    before: float
    after: float
    value: float
    low: float
    high: float

    @property
    def is_growth(self) -> bool:
        """Whether the quantity grew for certain."""
        return self.low > 0

    def times(self, factor: float, unit: Unit) -> Difference:
        """Return the difference in another unit."""
        numbers = (self.before, self.after, self.value, self.low, self.high)
        return Difference(unit, *(number * factor for number in numbers))


Pieces = tuple[Observation, ...]  # the observations of one finding on one photo


def width_difference(
    then: Pieces, now: Pieces, before: LinePath, after: LinePath, tolerance: float
) -> Difference | None:
    """Compare mean widths where two paths in the earlier photo run together.

    Args:
        then: The earlier observations.
        now: The later observations.
        before: Their line.
        after: The later line, mapped into the earlier photo.
        tolerance: Distance in px within which two points are the same.

    Returns:
        The difference in px of the earlier photo. None if the lines have no common part with known widths, or
        if a width is too narrow to be known and nothing proves that it grew.
    """
    apart, index = distances(after.points, before.points)
    common = (apart <= tolerance) & np.isfinite(after.widths) & np.isfinite(before.widths[index])
    measures = _mean_width(then), _mean_width(now)
    if not common.any() or measures[0] is None or measures[1] is None:
        return None
    factor = _factor(now, after)
    earlier, later = measures[0], measures[1].times(factor)
    if earlier.value is None or later.value is None:
        proven = later.value is not None and later.low > earlier.high
        low, high = later.low - earlier.high, later.high - earlier.low
        return Difference("px", earlier.high, later.low, low, low, high) if proven else None
    change = after.widths[common] - before.widths[index[common]]
    half = NORMAL_95 * float(
        np.hypot(np.hypot(_sigma_of(earlier), _sigma_of(later)), _spread(change, after.step))
    )
    value = float(change.mean())
    mean = float(before.widths[index[common]].mean())
    return Difference("px", mean, mean + value, value, value - half, value + half)


def length_difference(
    then: Pieces, now: Pieces, before: LinePath, after: LinePath, fresh: Mask, tolerance: float
) -> Difference:
    """Measure the length that a line gained.

    Args:
        then: The earlier observations.
        now: The later observations.
        before: Their line.
        after: The later line, mapped into the earlier photo.
        fresh: Points of the later line that the earlier photo could have shown and does not show, bool [N].
        tolerance: Distance in px within which the place of an end is known.
    """
    value = float(fresh.sum()) * after.step
    sigmas = _length_sigma(then), _length_sigma(now) * after.length / max(path_of(now).length, 1e-9)
    half = NORMAL_95 * float(np.hypot(*sigmas)) + tolerance
    return Difference("px", before.length, before.length + value, value, value - half, value + half)


def _mean_width(pieces: Pieces) -> Measure | None:
    """Return the mean width in px of the pieces of a finding, weighted by their lengths; None if unknown."""
    sizes = [one.px for one in pieces if one.px is not None and one.centre_lines]
    if not sizes:
        return None
    shares = np.array([size.length.high for size in sizes])
    shares = shares / max(float(shares.sum()), 1e-9)
    low = float(sum(share * size.width_mean.low for share, size in zip(shares, sizes, strict=True)))
    high = float(sum(share * size.width_mean.high for share, size in zip(shares, sizes, strict=True)))
    values = [size.width_mean.value for size in sizes]
    if any(value is None for value in values):
        return Measure(None, low, high)
    value = float(sum(share * (known or 0.0) for share, known in zip(shares, values, strict=True)))
    return Measure(min(max(value, low), high), low, high)


def _sigma_of(measure: Measure) -> float:
    """Return the standard uncertainty of a measure, in its unit."""
    return (measure.high - measure.low) / (2 * NORMAL_95)


def _factor(now: Pieces, after: LinePath) -> float:
    """Return by which factor the mapping changed the widths."""
    own = path_of(now).widths
    return float(np.nanmean(after.widths) / np.nanmean(own))


def _spread(change: Array, step: float) -> float:
    """Return the standard error of the mean of width changes [N] along a line."""
    parts = np.array_split(change, max(1, round(len(change) * step / _BLOCK)))
    blocks = np.array([part.mean() for part in parts])
    return float(blocks.std(ddof=1) / np.sqrt(len(blocks))) if len(blocks) > 2 else 0.0


def _length_sigma(pieces: Pieces) -> float:
    return float(np.sqrt(sum(_sigma_of(one.px.length) ** 2 for one in pieces if one.px is not None)))
