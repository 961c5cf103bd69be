"""Where two observations in aligned photos run along the same line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.alignment import Alignment
from drywallqa.inspection.alignment_features import resample_line
from drywallqa.inspection.ledger import CentreLine, Observation, PhotoRecord

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MOST_POINTS = 4000  # of one observation
_CHUNK = 1_000_000  # distances that are computed at once
_TOLERANCE = 4 / 1600  # of the photo's longer side
_LEAST_SHARE = 0.4  # of the shorter line
_LEAST_LENGTH = 2  # tolerances


@dataclass(frozen=True, eq=False)
class LinePath:
    """An observation's centre lines as N points at equal distances in px of one photo.

    Attributes:
        points: x and y, [N,2].
        widths: Width in px, [N]; NaN where the line is not seen.
        step: Length in px for which a point stands.
    """

    points: Array
    widths: Array
    step: float

    @property
    def length(self) -> float:
        """Length in px."""
        return len(self.points) * self.step

    def only(self, kept: Mask) -> LinePath:
        """Return the path without some of its points."""
        return LinePath(self.points[kept], self.widths[kept], self.step)


def path_of(observations: tuple[Observation, ...]) -> LinePath:
    """Return the centre lines of observations on one photo; their outlines if there is no centre line."""
    lines: list[tuple[Array, Array]] = [
        (np.asarray(line.points, float), _seen_widths(line))
        for one in observations
        for line in one.centre_lines
        if len(line.points) > 1
    ]
    if not lines:
        rings = [np.asarray(ring, float) for one in observations for ring in one.polygon if len(ring) > 1]
        lines = [(ring, np.full(len(ring), np.nan)) for ring in rings]
    total = sum(float(np.hypot(*np.diff(points, axis=0).T).sum()) for points, _ in lines)
    step = max(1.0, total / _MOST_POINTS)
    parts = [resample_line(np.column_stack(line), step) for line in lines]
    merged = np.concatenate(parts) if parts else np.zeros((0, 3))
    return LinePath(merged[:, :2], merged[:, 2], total / max(1, len(merged)))


def _seen_widths(line: CentreLine) -> Array:
    """Return the width at each vertex; NaN where a gap is bridged."""
    widths = np.asarray(line.width_px, float)
    return np.where(line.seen, widths, np.nan) if line.seen else widths


def mapped_path(path: LinePath, alignment: Alignment) -> LinePath:
    """Map a path and its widths to the other photo.

    A width is mapped across the line, so that a tilt changes it as the photo does.
    """
    if len(path.points) < 2:
        return path
    points = alignment.map(path.points)
    ahead = np.gradient(path.points, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / (np.hypot(*ahead.T)[:, None] + 1e-9)
    beside = alignment.map(path.points + across / 2) - alignment.map(path.points - across / 2)
    forward = alignment.map(path.points + 1e-2 * across[:, ::-1] * (1, -1)) - points
    forward /= np.hypot(*forward.T)[:, None] + 1e-12
    factors = np.abs(beside[:, 0] * forward[:, 1] - beside[:, 1] * forward[:, 0])
    lengths = np.median(
        np.hypot(*np.diff(points, axis=0).T) / np.hypot(*np.diff(path.points, axis=0).T).clip(1e-9)
    )
    return LinePath(points, path.widths * factors, path.step * float(lengths))


def tolerance_px(photo: PhotoRecord, residual: float) -> float:
    """Return the distance in px of a photo within which two centre lines are the same."""
    return max(_TOLERANCE * max(photo.width, photo.height, 1), 3 * residual)


def distances(points: Array, others: Array) -> tuple[Array, NDArray[np.intp]]:
    """Return each point's distance [N] to the nearest other point, and that point's index [N]."""
    if not len(others):
        return np.full(len(points), np.inf), np.zeros(len(points), np.intp)
    nearest, index = [np.zeros(0)], [np.zeros(0, np.intp)]
    for part in np.array_split(points, max(1, len(points) * len(others) // _CHUNK)):
        squares = ((part[:, None] - others[None]) ** 2).sum(axis=2)
        index.append(squares.argmin(axis=1))
        nearest.append(np.sqrt(squares.min(axis=1)))
    return np.concatenate(nearest), np.concatenate(index)


def inside_photo(points: Array, photo: PhotoRecord, margin: float = 0.0) -> Mask:
    """Return which points [N,2] lie in a photo and at least `margin` px from its border."""
    low, high = margin, np.array([photo.width, photo.height]) - 1 - margin
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def overlap_length(first: LinePath, second: LinePath, tolerance: float) -> float:
    """Return the length in px along which two paths in the same photo run together; 0 if they only cross."""
    if not len(first.points) or not len(second.points):
        return 0.0
    reach = np.stack([first.points.min(axis=0) - tolerance, first.points.max(axis=0) + tolerance])
    if (second.points.max(axis=0) < reach[0]).any() or (second.points.min(axis=0) > reach[1]).any():
        return 0.0
    shares = []
    for one, other in ((first, second), (second, first)):
        near = distances(one.points, other.points)[0] <= _reach(one, other, tolerance)
        shares.append((float(near.sum()) * one.step, float(near.mean())))
    (length, share), (other_length, other_share) = shares
    if max(share, other_share) < _LEAST_SHARE or max(length, other_length) < _least_length(
        first, second, tolerance
    ):
        return 0.0
    return min(length, other_length)


def _least_length(first: LinePath, second: LinePath, tolerance: float) -> float:
    return min(_LEAST_LENGTH * tolerance, 0.5 * min(first.length, second.length))


def _reach(one: LinePath, other: LinePath, tolerance: float) -> float:
    """Return the tolerance, which is half a width for wide cracks, whose centre lines wander."""
    widths = np.concatenate([one.widths, other.widths])
    known = widths[np.isfinite(widths)]
    return max(tolerance, float(np.median(known)) / 2) if len(known) else tolerance
