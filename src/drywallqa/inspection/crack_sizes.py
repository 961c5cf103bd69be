"""Length, area and widths of a crack from its lines, each with a calibrated 95 % interval.

The intervals are calibrated on rendered cracks of known geometry (`evaluation.width_accuracy`). For each
quantity and each measured width, `width_calibration.json` contains how far the truth lies from the measured
value: the median and the 2.5 % and 97.5 % quantiles, in units of the quantity's own uncertainty.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_profile import smooth
from drywallqa.imaging.line_search import CrackLine
from drywallqa.imaging.line_visibility import true_runs
from drywallqa.inspection.ledger import Sizes
from drywallqa.inspection.measures import NORMAL_95, Measure
from drywallqa.inspection.scale import Scale

Floats = NDArray[np.float64]

QUANTITIES = ("length", "area", "width_mean", "width_median", "width_p95", "width_max")
CALIBRATION_FILE = "width_calibration.json"
UNTOLD = ", at most"
"""Ends the name of a quantity in the table if the width is known only to be at most a value."""

Calibration = Mapping[str, Mapping[str, Sequence[float]]]

_LEAST_CERTAIN = 0.2  # relative uncertainty above which a width is stated only as "at most"
_END_SIGMA, _END_SIGMA_WIDTHS = 0.6, 0.08  # uncertainty of the place of a free end, in px and in widths
_LENGTH_SIGMA = 0.002  # relative uncertainty of a length
_WIDTH_SIGMA = 0.01  # relative uncertainty of a width
_PATH_SMOOTHING = 2.0  # px
_NODE_REACH, _NODE_REACH_PX = 0.75, 3.0  # around a node, widths mix two lines: in widths, and in px
_LARGEST_STRETCH = 2.0  # a width must hold along this many widths to be the largest
_LARGEST_STEP = 0.01  # px
_END_REACH = 0.25  # widths; at an end, profiles reach beyond the crack


@dataclass(frozen=True)
class RawSize:
    """One measured quantity before calibration, with its standard uncertainty, in px or mm."""

    value: float
    sigma: float


@dataclass(frozen=True)
class RawSizes:
    """Quantities of a crack before calibration.

    Attributes:
        sizes: Value and uncertainty of each of `QUANTITIES`.
        width_px: Mean width in px.
        told: Whether the photo shows the width; otherwise it is known only to be at most a value.
    """

    sizes: Mapping[str, RawSize]
    width_px: float
    told: bool


def crack_sizes(lines: Sequence[CrackLine], scale: Scale | None = None) -> Sizes | None:
    """Measure the lines of one crack in px, or with a scale in mm.

    Args:
        lines: All lines of the crack; lines that share a node meet there.
        scale: The photo's scale; None measures in px.

    Returns:
        The sizes with 95 % intervals, or None if no line is seen.
    """
    raw = raw_sizes(lines, scale)
    if raw is None:
        return None
    longest = max(lines, key=lambda line: len(line.points))
    relative = 0.0 if scale is None else scale.relative_sigma_of(longest.points)
    measures = {
        name: calibrated(name, raw, _calibration(), relative * (2 if name == "area" else 1))
        for name in QUANTITIES
    }
    return Sizes("px" if scale is None else "mm", **measures)


def raw_sizes(lines: Sequence[CrackLine], scale: Scale | None = None) -> RawSizes | None:
    """Measure the lines of one crack without calibration; see `crack_sizes`."""
    reliable = reliable_points(lines)
    if not any(line.seen.any() for line in lines):
        return None
    factors = [factors_across(line.points, scale) for line in lines]
    steps = [steps_along(line.points, scale) for line in lines]
    kept = np.concatenate(reliable)
    weights = np.concatenate([np.convolve(step, (0.5, 0.5)) if len(step) else np.ones(1) for step in steps])[
        kept
    ]
    widths = np.concatenate([line.width * factor for line, factor in zip(lines, factors, strict=True)])[kept]
    sigmas = np.concatenate([line.sigma * factor for line, factor in zip(lines, factors, strict=True)])[kept]
    factor = float(np.concatenate(factors)[kept].mean())
    length, mean = float(sum(step.sum() for step in steps)), float(np.average(widths, weights=weights))
    ends = sum(count == 1 for count in _degrees(lines).values())
    end_sigma = _END_SIGMA * factor + _END_SIGMA_WIDTHS * mean
    length_sigma = math.hypot(end_sigma * math.sqrt(max(ends, 2)), _LENGTH_SIGMA * length)
    sigma = math.hypot(float(sigmas.mean()), _WIDTH_SIGMA * mean)
    values = {
        "length": RawSize(length, length_sigma),
        "area": RawSize(length * mean, math.hypot(length * sigma, length_sigma * mean)),
        "width_mean": RawSize(mean, sigma),
        "width_median": RawSize(float(np.median(widths)), sigma),
        "width_p95": RawSize(float(np.percentile(widths, 95)), sigma),
        "width_max": RawSize(_largest(lines, factors, reliable), sigma),
    }
    return RawSizes(values, mean / factor, float(sigmas.mean()) < _LEAST_CERTAIN * mean)


def _largest(
    lines: Sequence[CrackLine], factors: Sequence[Floats], reliable: Sequence[NDArray[np.bool_]]
) -> float:
    """Return the largest width of a crack in px or mm."""
    found = [largest_width(line.width, kept) for line, kept in zip(lines, reliable, strict=True)]
    number = max(range(len(found)), key=lambda one: found[one][0])
    width, place = found[number]
    return width * float(factors[number][place])


def largest_width(widths: Floats, kept: NDArray[np.bool_]) -> tuple[float, int]:
    """Return the largest width along a line, and the index of the point where it is.

    A place that is shorter along the line than twice its width is a pore or chip beside the crack, not the
    crack's width. The largest width is the largest w of which a stretch of 2·w is at least w wide.

    Args:
        widths: Width in px at points about 1 px apart, [N].
        kept: Points to look at, bool [N].
    """
    if not kept.any():
        return 0.0, 0
    low, high = float(widths[kept].min()), float(widths[kept].max())
    best = _longest_run(kept)
    longest = best[1] - best[0]
    while high - low > _LARGEST_STEP:
        middle = (low + high) / 2
        first, last = _longest_run(kept & (widths >= middle))
        if last - first >= min(_LARGEST_STRETCH * middle, longest):
            low, best = middle, (first, last)
        else:
            high = middle
    return low, (best[0] + best[1]) // 2


def _longest_run(chosen: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first and last index (exclusive) of the longest run of chosen points."""
    runs = true_runs(chosen)
    if not len(runs):
        return 0, 0
    first, last = runs[np.argmax(runs[:, 1] - runs[:, 0])].tolist()
    return first, last


def reliable_points(lines: Sequence[CrackLine]) -> list[NDArray[np.bool_]]:
    """Return at which points of each line the width can be trusted: seen, and away from nodes and ends.

    If no point remains, all seen points are kept.
    """
    degrees = _degrees(lines)
    broadest: dict[int, float] = {}
    for line in lines:
        for node in (line.start, line.end):
            broadest[node] = max(broadest.get(node, 0.0), float(np.median(line.width)))
    found = []
    for line in lines:
        kept, places = line.seen.copy(), np.arange(len(line.points))
        for node, away in ((line.start, places), (line.end, places[::-1])):
            meeting = degrees[node] > 2
            reach = _NODE_REACH * broadest[node] + _NODE_REACH_PX if meeting else _END_REACH * broadest[node]
            kept &= away >= reach
        found.append(kept)
    if any(kept.any() for kept in found):
        return found
    return [line.seen for line in lines]


@cache
def _calibration() -> Calibration:
    path = resources.files("drywallqa.inspection") / CALIBRATION_FILE
    table: Calibration = json.loads(path.read_text(encoding="utf-8"))
    return table


def calibrated(name: str, raw: RawSizes, table: Calibration, relative: float = 0.0) -> Measure:
    """Return one of `QUANTITIES` with its interval.

    Args:
        name: The quantity.
        raw: The measured sizes.
        table: Quantiles by quantity; see `evaluation.width_accuracy.fit_calibration`.
        relative: Relative standard uncertainty that the scale adds to this quantity.
    """
    rows, size = table[name if raw.told else name + UNTOLD], raw.sizes[name]
    place, nodes = math.log(max(raw.width_px, 1e-3)), np.log(rows["width_px"])
    middle, low, high = (
        size.value + size.sigma * float(np.interp(place, nodes, rows[part]))
        for part in ("middle", "low", "high")
    )
    middle = max(middle, 0.0)
    low = middle - math.hypot(max(middle - low, 0.0), NORMAL_95 * relative * middle)
    high = middle + math.hypot(max(high - middle, 0.0), NORMAL_95 * relative * middle)
    if not raw.told and name != "length":
        return Measure(None, 0.0, high)
    return Measure(middle, max(0.0, low), high)


def _degrees(lines: Sequence[CrackLine]) -> Counter[int]:
    """Count the lines that meet at each node."""
    return Counter(node for line in lines for node in (line.start, line.end))


def factors_across(points: Floats, scale: Scale | None) -> Floats:
    """Return mm per px across a line at its points [N,2]; 1 without a scale."""
    return np.ones(len(points)) if scale is None else scale.mm_per_pixel_across(points)


def steps_along(points: Floats, scale: Scale | None) -> Floats:
    """Return the distances in px or mm between successive points [N,2] of the smoothed line."""
    points = np.stack([smooth(column, _PATH_SMOOTHING) for column in points.T], axis=1)
    if scale is None:
        return np.asarray(np.hypot(*np.diff(points, axis=0).T))
    return scale.distances_mm(points[:-1], points[1:])
