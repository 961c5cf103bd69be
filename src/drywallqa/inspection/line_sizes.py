"""Length, area and widths of a sighting, in pixels or in millimetres."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine
from drywallqa.inspection.ledger import Sizes
from drywallqa.inspection.measures import Measure
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.sightings import JointExtent, Sighting

Floats = NDArray[np.float64]

_COVERED = 1.96  # standard deviations of a 95 % interval
_EDGE_SIGMA = 0.15  # px, systematic uncertainty of a width


def sizes_of(sighting: Sighting, scale: Scale | None) -> Sizes | None:
    """Measure a sighting.

    Args:
        sighting: The sighting.
        scale: The scale for sizes in millimetres; None measures in pixels.

    Returns:
        The sizes. None if the photo shows no line and the sighting is not a joint.
    """
    if sighting.joint is not None:
        return _joint_sizes(sighting, sighting.joint, scale)
    if not any(line.seen.any() for line in sighting.lines):
        return None
    factors = [_factors(line.points, scale) for line in sighting.lines]
    lengths = [_steps(line.points, scale) for line in sighting.lines]
    length, scale_sigma = sum(float(one.sum()) for one in lengths), _scale_sigma(sighting.lines, scale)
    seen = np.concatenate([line.seen for line in sighting.lines])
    widths = np.concatenate([line.width * each for line, each in zip(sighting.lines, factors, strict=True)])
    sigmas = np.concatenate([line.sigma * each for line, each in zip(sighting.lines, factors, strict=True)])
    edge = _EDGE_SIGMA * float(np.median(np.concatenate(factors)))
    area = sum(
        float((steps * (width[1:] + width[:-1]) / 2).sum())
        for steps, width in zip(
            lengths, np.split(widths, np.cumsum([len(f) for f in factors])[:-1]), strict=True
        )
    )
    own, sigma = widths[seen], sigmas[seen]
    mean_sigma = math.hypot(edge, float(sigma.mean()) / math.sqrt(max(1.0, len(own) / 9)))

    def width(value: float, sigma: float) -> Measure:
        return _interval(value, math.hypot(sigma, scale_sigma * value))

    widest = int(own.argmax())
    return Sizes(
        "px" if scale is None else "mm",
        _interval(length, math.hypot(float(np.median(own)), scale_sigma * length)),
        _interval(area, math.hypot(mean_sigma * length, 2 * scale_sigma * area)),
        width(float(own.mean()), mean_sigma),
        width(float(np.median(own)), mean_sigma),
        width(float(np.percentile(own, 95)), math.hypot(edge, float(np.median(sigma)))),
        width(float(own[widest]), math.hypot(edge, float(sigma[widest]))),
    )


def _joint_sizes(sighting: Sighting, joint: JointExtent, scale: Scale | None) -> Sizes:
    """Return the sizes of a joint. Its seam is at most as wide as the marked area."""
    across = float(_factors(joint.ends, scale).mean())
    along = float(_steps(joint.ends, scale).sum() / max(1e-9, _steps(joint.ends, None).sum()))
    relative = 0.0 if scale is None else scale.relative_sigma_of(joint.ends)
    length, width, area = joint.open_length * along, joint.width * across, sighting.area * along * across
    most = Measure(None, 0.0, width * (1 + _COVERED * relative))
    return Sizes(
        "px" if scale is None else "mm",
        _interval(length, math.hypot(width / 2, relative * length)),
        _interval(area, math.hypot(width * width / 2, 2 * relative * area)),
        most, most, most, most,
    )  # fmt: skip


def _factors(line: Floats, scale: Scale | None) -> Floats:
    """Return mm per px across a line at its points [N,2]; 1 without a scale."""
    return np.ones(len(line)) if scale is None else scale.mm_per_pixel_across(line)


def _steps(points: Floats, scale: Scale | None) -> Floats:
    """Return the distances between successive points [N,2]."""
    if scale is None:
        return np.asarray(np.hypot(*np.diff(points, axis=0).T))
    return scale.distances_mm(points[:-1], points[1:])


def _scale_sigma(lines: Sequence[CrackLine], scale: Scale | None) -> float:
    """Return the relative standard uncertainty of the scale along the longest line."""
    longest = max(lines, key=lambda line: len(line.points))
    return 0.0 if scale is None else scale.relative_sigma_of(longest.points)


def _interval(value: float, sigma: float) -> Measure:
    return Measure(value, max(0.0, value - _COVERED * sigma), value + _COVERED * sigma)
