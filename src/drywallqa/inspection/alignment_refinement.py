"""Refine a rough homography between two photos by least squares on matched features and on centre lines.

A point of a line must lie anywhere on a line of the other photo that runs in the same direction
(point-to-line ICP: Chen and Medioni, 1992). The unit of all coordinates is half the longer side of a photo.
The origin is the centre of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.alignment_features import AlignmentFeatures, match_features
from drywallqa.inspection.scale import project

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

UNIT = 2 / 1600  # px of a photo whose longer side is 1600 px, the unit of all tolerances, in half sides
AGREES = 5.0  # tolerance within which two lines agree
# One per round. The first rounds correct a rough homography without perspective at the photo's borders.
_LINE_TOLERANCES = (60.0,) * 4 + (40.0,) * 4 + (25.0, 15.0, 10.0, 6.0, AGREES, AGREES)
_MOST_TEXTURE_TOLERANCE = 6.0
_TEXTURE_SIGMA, _DRAWING_SIGMA, _LINE_SIGMA = 1.0, 4.0, 1.5
_LINE_WEIGHT = 0.3  # neighbouring points of a line are not independent
_SHEAR_SIGMA, _TILT_SIGMA = 0.15, 0.2  # prior: two photos of a wall hardly differ by more than 40° of tilt
_LEAST_COSINE = 0.8  # of the angle between two lines that may be the same


@dataclass(frozen=True)
class LinePoints:
    """Points on the lines of one photo.

    Attributes:
        points: x and y, [N,2].
        normals: Unit normals of the lines at these points, [N,2].
        half: Half of the photo's width and height, [2].
    """

    points: Array
    normals: Array
    half: Array

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return which points [N,2] lie in the photo."""
        return np.asarray((np.abs(points) <= self.half).all(axis=1))


@dataclass(frozen=True)
class MatchedPhotos:
    """Two photos with their matched features.

    Attributes:
        first: Lines of the first photo.
        second: Lines of the second photo.
        start: Matched points of the first photo, [M,2].
        end: Matched points of the second photo, [M,2].
        from_texture: Whether a match is of the photos' texture, bool [M]; else of the drawn lines.
    """

    first: LinePoints
    second: LinePoints
    start: Array
    end: Array
    from_texture: NDArray[np.bool_]


@dataclass(frozen=True)
class Refined:
    """A refined homography [3,3] and the covariance [8,8] of its first eight numbers."""

    matrix: Array
    covariance: Array


def matched_photos(first: AlignmentFeatures, second: AlignmentFeatures) -> MatchedPhotos:
    """Match two photos, and convert all points to half longer sides."""
    start, end, from_texture = match_features(first, second)
    return MatchedPhotos(
        _line_points(first),
        _line_points(second),
        project(from_pixels(first), start),
        project(from_pixels(second), end),
        from_texture,
    )


def from_pixels(photo: AlignmentFeatures) -> Array:
    """Return the matrix [3,3] from px of a photo to half longer sides."""
    return np.asarray(np.linalg.inv(to_pixels(photo)))


def to_pixels(photo: AlignmentFeatures) -> Array:
    """Return the matrix [3,3] from half longer sides to px of a photo."""
    height, width = photo.size
    half = max(height, width) / 2
    return np.array([[half, 0, (width - 1) / 2], [0, half, (height - 1) / 2], [0, 0, 1]])


def _line_points(photo: AlignmentFeatures) -> LinePoints:
    half = np.array(photo.size[::-1]) / max(photo.size)
    return LinePoints(project(from_pixels(photo), photo.line_points), photo.line_normals, half)


def refine_homography(pair: MatchedPhotos, matrix: Array) -> Refined | None:
    """Refine a rough homography [3,3]; None if this fails."""
    try:
        for tolerance in _LINE_TOLERANCES:
            rows, rests, weights = (np.concatenate(parts) for parts in zip(
                _line_equations(pair, matrix, tolerance * UNIT),
                *_point_equations(pair, matrix, tolerance),
                _prior_equations(matrix),
                strict=True,
            ))  # fmt: skip
            normal = rows.T @ (rows * weights[:, None])
            step = np.linalg.solve(normal, rows.T @ (weights * rests))
            matrix = np.append(matrix.ravel()[:8] + step, 1.0).reshape(3, 3)
        return Refined(matrix, np.linalg.inv(normal)) if np.isfinite(matrix).all() else None
    except np.linalg.LinAlgError:
        return None


def agreeing_lines(
    first: LinePoints, second: LinePoints, matrix: Array, tolerance: float
) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Find the line points of a first photo that lie on a line of the second photo.

    Returns:
        Their indices, the indices of the nearest points of the second photo, and which of all line points of
        the first photo lie inside the second photo, bool [N].
    """
    mapped = project(matrix, first.points)
    inside = second.contains(mapped)
    if not inside.any() or not len(second.points):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), inside
    index = np.flatnonzero(inside)
    ahead = first.points[index] + 1e-3 * first.normals[index][:, ::-1] * (1, -1)
    direction = project(matrix, ahead) - mapped[index]
    direction /= np.hypot(*direction.T)[:, None] + 1e-12
    squares = ((mapped[index, None] - second.points[None]) ** 2).sum(axis=2)
    nearest = squares.argmin(axis=1)
    across = np.abs((direction * second.normals[nearest]).sum(axis=1))
    near = squares[np.arange(len(index)), nearest] <= tolerance**2
    same = near & (across <= np.sqrt(1 - _LEAST_COSINE**2))
    return index[same], nearest[same], inside


def derivatives(matrix: Array, points: Array) -> tuple[Array, Array, Array]:
    """Return mapped points [N,2], and the derivatives of x and of y by the eight free numbers, [N,8] each."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    position = mapped[:, :2] / mapped[:, 2:]
    source = np.column_stack([points, np.ones(len(points))]) / mapped[:, 2:]
    none = np.zeros_like(source)
    along_x = np.hstack([source, none, -position[:, :1] * source[:, :2]])
    along_y = np.hstack([none, source, -position[:, 1:] * source[:, :2]])
    return position, along_x, along_y


Equations = tuple[Array, Array, Array]  # rows [N,8], right sides [N] and weights [N] of linear equations


def _line_equations(pair: MatchedPhotos, matrix: Array, tolerance: float) -> Equations:
    here, there, _ = agreeing_lines(pair.first, pair.second, matrix, tolerance)
    position, along_x, along_y = derivatives(matrix, pair.first.points[here])
    normals = pair.second.normals[there]
    rest = ((pair.second.points[there] - position) * normals).sum(axis=1)
    sigma = _LINE_SIGMA * UNIT
    rows = (along_x * normals[:, :1] + along_y * normals[:, 1:]) / sigma
    return rows, rest / sigma, _LINE_WEIGHT * _tukey(rest, tolerance)


def _point_equations(pair: MatchedPhotos, matrix: Array, tolerance: float) -> tuple[Equations, ...]:
    position, *rows = derivatives(matrix, pair.start)
    rest = pair.end - position
    sigma = np.where(pair.from_texture, _TEXTURE_SIGMA, _DRAWING_SIGMA) * UNIT
    limit = np.where(pair.from_texture, min(tolerance, _MOST_TEXTURE_TOLERANCE), tolerance) * UNIT
    weights = _tukey(np.hypot(*rest.T), limit)
    return tuple((rows[axis] / sigma[:, None], rest[:, axis] / sigma, weights) for axis in (0, 1))


def _prior_equations(matrix: Array) -> Equations:
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) + 1e-9
    rows = np.zeros((4, 8))
    rows[0, [0, 4]] = np.array([1, -1]) / (scale * _SHEAR_SIGMA)
    rows[1, [1, 3]] = np.array([1, 1]) / (scale * _SHEAR_SIGMA)
    rows[2, 6] = rows[3, 7] = 1 / _TILT_SIGMA
    return rows, -rows @ matrix.ravel()[:8], np.ones(4)


def _tukey(rest: Array, limit: Array | float) -> Array:
    """Return weights that fall from 1 to 0 at the limit."""
    return np.asarray((1 - np.clip(rest / limit, -1, 1) ** 2) ** 2)
