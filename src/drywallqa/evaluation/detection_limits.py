"""Probability of detection against the width of a crack, and the detection limit that follows from it.

The limit is the width that is found in 90 % of cases with 95 % confidence (a90/95 of MIL-HDBK-1823A). The
probability is a logistic function of the logarithm of the width, fitted to hits and misses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.known_findings import KnownFinding, Segment
from drywallqa.evaluation.phone_wall_accuracy import found_lengths
from drywallqa.synthetic.phone_walls import render_phone_wall

Floats = NDArray[np.float64]

FOUND_SHARE = 0.5
"""A crack counts as found if the mask marks at least this share of its centre line."""

LARGE_SIZE = (960, 1280)
"""Height and width in px of the rendered photos that are shown in closer views."""

_PROBABILITY = 0.9
_CONFIDENCE, _SURE = 0.95, 1.645  # of a one-sided bound; the same in standard deviations
_WIDEST = 6.0  # px; wider cracks are missed for other reasons than their width
_SEED = 170_003
_A_WALL = (1, 2, 3, 5)  # widths in px of the cracks on a large wall


@dataclass(frozen=True)
class Hit:
    """One crack: its width in px, and whether it was found."""

    width: float
    found: bool


@dataclass(frozen=True)
class DetectionCurve:
    """A fitted probability of detection.

    Attributes:
        cracks: Number of cracks up to 6 px wide.
        shares: Share of found cracks by width in px.
        found_90: Width in px that is found in 90 % of cases.
        found_90_sure_95: Width in px for which this holds with 95 % confidence. None for both widths if no
            width up to 6 px is found in 90 % of cases.
    """

    cracks: int
    shares: dict[float, float]
    found_90: float | None
    found_90_sure_95: float | None


def known_hits(findings: Iterable[KnownFinding]) -> list[Hit]:
    """Return which rendered cracks the model found in whole views."""
    chosen = [one for one in findings if one.source == "model"]
    return [Hit(one.width, one.found and one.marked >= FOUND_SHARE) for one in chosen]


def large_wall_hits(segment: Segment, count: int) -> Iterator[list[Hit]]:
    """Render large photos and yield, for each, which cracks the model found in closer views."""
    for number in range(count):
        wall = render_phone_wall([_SEED, number], LARGE_SIZE, "crack", _A_WALL)
        mask, _ = segment(wall.photo)
        yield [
            Hit(crack.width, found >= FOUND_SHARE * length)
            for crack, found, length in found_lengths(wall, mask)
        ]


def fit_detection(hits: Sequence[Hit]) -> DetectionCurve:
    """Fit the probability of detection of cracks up to 6 px wide.

    A limit below the narrowest width that was tried is not extrapolated: the narrowest width is returned.
    """
    narrow = [hit for hit in hits if hit.width <= _WIDEST]
    widths, found = np.array([hit.width for hit in narrow]), np.array([hit.found for hit in narrow], float)
    tried = sorted(set(widths.tolist()))
    shares = {width: float(found[widths == width].mean()) for width in tried}
    if not narrow:
        return DetectionCurve(0, {}, None, None)
    design = np.stack([np.ones(len(widths)), np.log(widths)], axis=1)
    weights = np.zeros(2)
    prior = np.diag([0.01, 0.1])  # keeps the fit finite if every crack was found
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        information = design.T @ (design * (chance * (1 - chance))[:, None]) + prior
        weights = weights + np.linalg.solve(information, design.T @ (found - chance) - prior @ weights)
    grid = np.linspace(math.log(tried[0]), math.log(tried[-1]), 2000)
    places = np.stack([np.ones(len(grid)), grid], axis=1)
    logit = places @ weights
    spread = np.sqrt(np.einsum("ij,jk,ik->i", places, np.linalg.inv(information), places))
    needed = math.log(_PROBABILITY / (1 - _PROBABILITY))
    likely, sure = (_first(grid, curve >= needed) for curve in (logit, logit - _SURE * spread))
    counted = _narrowest_sure(widths, found)
    bounds = [bound for bound in (sure, counted) if bound is not None]
    if not bounds:
        return DetectionCurve(len(narrow), shares, None, None)
    least = min(bounds)
    return DetectionCurve(len(narrow), shares, least if likely is None else min(likely, least), least)


def _narrowest_sure(widths: Floats, found: Floats) -> float | None:
    """Return the narrowest tried width for which counting alone shows that 90 % are found.

    At each wider width, at least 90 % must have been found. Unlike the fit, this also works if every crack
    was found.
    """
    narrowest = None
    for width in sorted(set(widths.tolist()), reverse=True):
        own = found[widths == width]
        if own.mean() < _PROBABILITY:
            break
        if _lower_bound(int(own.sum()), len(own)) >= _PROBABILITY:
            narrowest = float(width)
    return narrowest


def _lower_bound(found: int, count: int) -> float:
    """Return the one-sided 95 % lower bound of a probability (Clopper and Pearson, 1934)."""
    low, high = 0.0, found / count
    for _ in range(40):
        middle = (low + high) / 2
        tail = sum(
            math.comb(count, k) * middle**k * (1 - middle) ** (count - k) for k in range(found, count + 1)
        )
        low, high = (middle, high) if tail < 1 - _CONFIDENCE else (low, middle)
    return low


def _first(grid: Floats, enough: NDArray[np.bool_]) -> float | None:
    """Return the width above which the probability is always high enough."""
    if not enough[-1]:
        return None
    return float(math.exp(grid[len(grid) - int(np.argmin(enough[::-1])) if not enough.all() else 0]))
