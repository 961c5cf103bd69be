"""Widths of narrow lines, corrected for the photo's blur.

Under about 4 px, blur widens a line: at half depth, a line of 1 px looks 2 px wide or more. The shape of its
profile depends on its width and on the blur, which all lines of a photo share. Every stretch of a line says
how likely each pair of width and blur is. The stretches of a photo together estimate the blur. The remaining
uncertainty of a width is large where width and blur cannot be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_profile import Array, Edges, average_along, left_normals, running_median, smooth

_BLURS = np.arange(0.35, 1.95, 0.08)  # px, standard deviation
_USUAL_BLUR, _USUAL_SPREAD = 0.95, 0.4  # px, the blur expected before a photo was seen
_WIDTHS = np.concatenate([np.arange(0.2, 4.0, 0.1), np.arange(4.0, 9.0, 0.25)])  # px
_STEP = 0.25  # px between the samples of a profile
_REACH = 10.0  # px on either side of the centre line
_OFFSETS = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
_NARROW = 6.0  # px; the apparent width of stretches whose width is corrected
_STRETCH = 96  # points
_SAMPLES_A_PIXEL_OF_NOISE = 6.0  # samples after which the noise of a profile is independent
_MODEL_ERROR = 0.03  # of the depth: real profiles are not exactly blurred bars
_IMPOSSIBLE = -50.0  # log-that of a line darker than black
_UNEVEN = 0.1  # relative standard deviation of the blur within a photo
_ERF = np.array([math.erf(value) for value in np.linspace(-4, 4, 2001)])


@dataclass(frozen=True)
class _Stretch:
    """A narrow piece of a line.

    Attributes:
        line: Index of the line.
        part: Points of the piece.
        likelihood: Log-likelihood of each blur and width, [B,W].
        shape: Width at each point relative to the piece's median, [N].
    """

    line: int
    part: slice
    likelihood: Array
    shape: Array


def correct_blur(grey: NDArray[np.float32], lines: Sequence[Edges]) -> list[Edges]:
    """Correct the widths of narrow lines for the photo's blur.

    Args:
        grey: The photo's brightness in grey levels, [H,W].
        lines: All lines of the photo, as `line_profile.read_edges` returns them.

    Returns:
        The lines in the same order. `sigma` includes how well the photo tells width and blur apart.
    """
    stretches = [part for number, line in enumerate(lines) for part in _stretches(grey, number, line)]
    blur = -0.5 * ((_BLURS - _USUAL_BLUR) / _USUAL_SPREAD) ** 2
    shares = [_over_widths(stretch.likelihood) for stretch in stretches]
    total = blur + sum(shares, np.zeros(len(_BLURS)))
    corrected = list(lines)
    for stretch, share in zip(stretches, shares, strict=True):
        others = _spread(total - share)
        corrected[stretch.line] = _corrected(corrected[stretch.line], stretch, others)
    return corrected


def _stretches(grey: NDArray[np.float32], number: int, line: Edges) -> list[_Stretch]:
    """Compare each narrow stretch of a line with blurred bars."""
    count = len(line.points)
    pieces = max(1, round(count / _STRETCH))
    bounds = np.linspace(0, count, pieces + 1).astype(int)
    found = []
    normals = left_normals(line.points)
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        part = slice(first, last)
        half = float(np.median(line.left[part] + line.right[part])) / 2 if last > first else math.inf
        if last - first < 3 or half > _NARROW / 2:
            continue
        profiles = _centred(grey, line.points[part], normals[part], half)
        likelihood = _compare(profiles.mean(axis=0), half)
        widths = _areas(profiles, half) if half < _NARROW / 3 else line.left[part] + line.right[part]
        found.append(_Stretch(number, part, likelihood, _relative(widths)))
    return found


def _centred(grey: NDArray[np.float32], points: Array, normals: Array, half: float) -> Array:
    """Sample profiles [N,S] whose centres lie on the darkest places, so that their mean stays sharp."""
    profiles = _sample(grey, points, normals)
    inside = np.abs(_OFFSETS) <= half + 1.0
    for along in (4, 2):
        averaged = average_along(profiles, along)
        beside = ~inside & (np.abs(_OFFSETS) <= half + 5)
        dark = np.maximum(averaged[:, beside].mean(axis=1)[:, None] - averaged[:, inside], 0)
        centre = (dark @ _OFFSETS[inside]) / np.maximum(dark.sum(axis=1), 1e-6)
        shift = smooth(running_median(np.clip(centre, -1, 1), 5), 2.0)
        points = points + normals * shift[:, None]
        profiles = _sample(grey, points, normals)
    return profiles


def _sample(grey: NDArray[np.float32], points: Array, normals: Array) -> Array:
    """Sample profiles [N,S] with cubic interpolation, which does not add blur."""
    x = points[:, :1] + normals[:, :1] * _OFFSETS
    y = points[:, 1:] + normals[:, 1:] * _OFFSETS
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    across, down = _cubic(x - column), _cubic(y - row)
    total = np.zeros(x.shape)
    columns = [np.clip(column + step, 0, grey.shape[1] - 1) for step in (-1, 0, 1, 2)]
    for step, weight in zip((-1, 0, 1, 2), down, strict=True):
        rows = np.clip(row + step, 0, grey.shape[0] - 1)
        total += weight * sum(share * grey[rows, place] for share, place in zip(across, columns, strict=True))
    return total


def _cubic(share: Array) -> tuple[Array, Array, Array, Array]:
    """Return the weights of four neighbours (R. Keys, "Cubic convolution interpolation", 1981)."""
    square, cube = share**2, share**3
    return (
        (-cube + 2 * square - share) / 2,
        (3 * cube - 5 * square + 2) / 2,
        (-3 * cube + 4 * square + share) / 2,
        (cube - square) / 2,
    )


def _step(distance: Array) -> Array:
    """Return the normal distribution's cumulative probability."""
    return np.asarray(0.5 + 0.5 * np.interp(distance / math.sqrt(2), np.linspace(-4, 4, len(_ERF)), _ERF))


@cache
def _bars() -> Array:
    """Return the profiles of blurred bars, [B,W,S], 0 beside a bar and 1 inside a wide one."""
    blurs, halves = _BLURS[:, None, None], _WIDTHS[None, :, None] / 2
    return _step((_OFFSETS + halves) / blurs) - _step((_OFFSETS - halves) / blurs)


def _compare(profile: Array, half: float) -> Array:
    """Return the log-likelihood of each blur and width, [B,W]."""
    near = np.abs(_OFFSETS) <= max(6.0, half + 5)
    offsets, values, bars = _OFFSETS[near], profile[near], _bars()[:, :, near]
    basis = np.linalg.qr(np.stack([np.ones(len(offsets)), offsets], axis=1))[0]
    values = values - basis @ (basis.T @ values)
    bars = bars - (bars @ basis) @ basis.T
    power = (bars**2).sum(axis=-1)
    depth = -(bars @ values) / power
    residual = (values**2).sum() - depth**2 * power
    best = float(residual.min())
    variance = best / len(values) + (_MODEL_ERROR * float(depth.ravel()[residual.argmin()])) ** 2
    likelihood = -0.5 * (residual - best) / variance / _SAMPLES_A_PIXEL_OF_NOISE
    brightest = float(np.percentile(profile, 90))
    return np.where((depth > 0) & (depth <= brightest), likelihood, _IMPOSSIBLE)


def _areas(profiles: Array, half: float) -> Array:
    """Return the darkness integrated over each profile, grey level · px, [N]; it is proportional to width."""
    inside = np.abs(_OFFSETS) <= half + 2.5
    beside = ~inside & (np.abs(_OFFSETS) <= half + 6)
    background = profiles[:, beside].mean(axis=1)
    return np.asarray((background[:, None] - profiles[:, inside]).sum(axis=1) * _STEP)


def _relative(widths: Array) -> Array:
    """Return smoothed widths [N] divided by their median."""
    steady = np.maximum(smooth(running_median(widths, 9), 3.0), 0)
    middle = float(np.median(steady))
    return np.clip(steady / middle, 0.3, 3) if middle > 0 else np.ones(len(steady))


def _over_widths(likelihood: Array) -> Array:
    """Return the log-likelihood of each blur, [B], whatever the width."""
    largest = likelihood.max()
    return np.asarray(np.log((np.exp(likelihood - largest) * np.gradient(_WIDTHS)).sum(axis=1) + 1e-12))


def _spread(log_likelihood: Array) -> Array:
    """Spread a log-likelihood [B] of blur, because JPEG compression and focus blur a photo unevenly."""
    density = np.exp(log_likelihood - log_likelihood.max())
    kernel = np.exp(-0.5 * ((_BLURS[:, None] - _BLURS[None, :]) / (_UNEVEN * _BLURS[None, :])) ** 2)
    return np.asarray(np.log(kernel @ density + 1e-12))


def _corrected(line: Edges, stretch: _Stretch, others: Array) -> Edges:
    """Return a line with the corrected widths of one stretch. `others` [B] is what the photo says of blur."""
    likelihood = stretch.likelihood + others[:, None]
    density = np.exp(likelihood - likelihood.max()) * np.gradient(_WIDTHS)
    share = density.sum(axis=0) / density.sum()
    width = float(share @ _WIDTHS)
    sigma = math.sqrt(float(share @ (_WIDTHS - width) ** 2))
    shape = stretch.shape
    widths = width * shape
    left, right, sigmas = line.left.copy(), line.right.copy(), line.sigma.copy()
    centre = (left[stretch.part] - right[stretch.part]) / 2
    left[stretch.part] = np.maximum(widths / 2 + centre, 0)
    right[stretch.part] = np.maximum(widths / 2 - centre, 0)
    sigmas[stretch.part] = np.hypot(sigmas[stretch.part], sigma * shape)
    return replace(line, left=left, right=right, sigma=sigmas)
