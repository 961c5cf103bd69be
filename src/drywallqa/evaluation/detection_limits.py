"""Probability of detection against the width of a crack, and the detection limit that follows from it.

The limit is the width that is found in 90 % of cases with 95 % confidence (a90/95 of MIL-HDBK-1823A). The
probability is a logistic function of the logarithm of the width, fitted to hits and misses. Models miss wide
cracks too, so the same fit of the reciprocal widths gives the width up to which this holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.known_findings import MODEL_FORMS, MODEL_PLAN, SEEDS, Segment
from drywallqa.evaluation.phone_wall_accuracy import found_lengths
from drywallqa.imaging.morphology import dilate
from drywallqa.metrics import TOLERANCE
from drywallqa.synthetic.known_cracks import TEST_SURFACES, render_known_wall
from drywallqa.synthetic.phone_walls import render_phone_wall

Floats = NDArray[np.float64]

FOUND_SHARE = 0.5
"""A crack counts as found if the mask marks at least this share of its centre line."""

LARGE_SIZE = (960, 1280)
"""Height and width in px of the rendered photos that are shown in closer views."""

_PROBABILITY = 0.9
_CONFIDENCE, _SURE = 0.95, 1.645  # of a one-sided bound; the same in standard deviations
_NARROW = 6.0  # px; wider cracks are missed for other reasons than a small width
_WIDE = 3.0  # px; narrower cracks are missed for other reasons than a large width
_SEED = 170_003
_WALLS = ((1, 2, 3, 5), (1, 2, 3, 5), (8, 12, 20))  # widths in px of the cracks on consecutive large walls


@dataclass(frozen=True)
class Hit:
    """One crack: its width in px, and whether it was found."""

    width: float
    found: bool


@dataclass(frozen=True)
class DetectionCurve:
    """A fitted probability of detection.

    Attributes:
        cracks: Number of cracks by width in px.
        shares: Share of found cracks by width in px.
        found_90: Width in px that is found in 90 % of cases.
        found_90_sure_95: Width in px for which this holds with 95 % confidence. None for both widths if no
            width up to 6 px is found in 90 % of cases.
        widest_90_sure_95: Width in px up to which this holds with 95 % confidence, if cracks are wider than
            `found_90_sure_95`. None if it does not hold for any width from 3 px.
    """

    cracks: dict[float, int]
    shares: dict[float, float]
    found_90: float | None
    found_90_sure_95: float | None
    widest_90_sure_95: float | None


def small_wall_hits(segment: Segment, number: int) -> list[Hit]:
    """Render the small photo with this number, and return which cracks the model found in the whole view."""
    wall = render_known_wall(
        [SEEDS["test"], 1, number], MODEL_PLAN[number % len(MODEL_PLAN)], TEST_SURFACES, MODEL_FORMS
    )
    mask, _ = segment(wall.photo)
    near = dilate(mask, round(TOLERANCE * max(mask.shape) / 640))
    hits = []
    for crack in wall.cracks:
        points = np.concatenate([line.points for line in crack.lines]).round().astype(int)
        column, row = np.clip(points, 0, np.array(mask.shape[::-1]) - 1).T
        hits.append(Hit(crack.width, bool(near[row, column].mean() >= FOUND_SHARE)))
    return hits


def large_wall_hits(segment: Segment, number: int) -> list[Hit]:
    """Render the large photo with this number, and return which cracks the model found in closer views."""
    wall = render_phone_wall([_SEED, number], LARGE_SIZE, "crack", _WALLS[number % len(_WALLS)])
    mask, _ = segment(wall.photo)
    return [
        Hit(crack.width, found >= FOUND_SHARE * length) for crack, found, length in found_lengths(wall, mask)
    ]


def fit_detection(hits: Sequence[Hit]) -> DetectionCurve:
    """Fit the probability of detection of narrow and of wide cracks.

    A limit below the narrowest or above the widest crack that was tried is not extrapolated: the width of
    this crack is returned.
    """
    widths, found = np.array([hit.width for hit in hits]), np.array([hit.found for hit in hits], float)
    tried = sorted(set(widths.tolist()))
    narrow, wide = widths <= _NARROW, widths >= _WIDE
    likely, sure = _limits(widths[narrow], found[narrow])
    _, inverse = _limits(1 / widths[wide], found[wide])
    return DetectionCurve(
        {width: int((widths == width).sum()) for width in tried},
        {width: float(found[widths == width].mean()) for width in tried},
        likely,
        sure,
        None if inverse is None else 1 / inverse,
    )


def _limits(widths: Floats, found: Floats) -> tuple[float | None, float | None]:
    """Return the width from which 90 % are found, and the width for which this holds with 95 % confidence.

    Args:
        widths: Width of each crack, [N].
        found: 1 for each crack that was found, otherwise 0, [N].
    """
    if not len(widths):
        return None, None
    design = np.stack([np.ones(len(widths)), np.log(widths)], axis=1)
    weights = np.zeros(2)
    prior = np.diag([0.01, 0.1])  # keeps the fit finite if every crack was found
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ weights))
        information = design.T @ (design * (chance * (1 - chance))[:, None]) + prior
        weights = weights + np.linalg.solve(information, design.T @ (found - chance) - prior @ weights)
    grid = np.linspace(math.log(widths.min()), math.log(widths.max()), 2000)
    places = np.stack([np.ones(len(grid)), grid], axis=1)
    logit = places @ weights
    spread = np.sqrt(np.einsum("ij,jk,ik->i", places, np.linalg.inv(information), places))
    needed = math.log(_PROBABILITY / (1 - _PROBABILITY))
    likely, sure = (_first(grid, curve >= needed) for curve in (logit, logit - _SURE * spread))
    bounds = [bound for bound in (sure, _narrowest_sure(widths, found)) if bound is not None]
    if not bounds:
        return None, None
    least = min(bounds)
    return least if likely is None else min(likely, least), least


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
