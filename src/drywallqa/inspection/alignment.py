"""Align two photos of one wall with a homography, or find that they do not surely show the same wall.

Features give a few rough homographies (RANSAC), which are refined. The best one must pass strict tests,
because a false alignment would compare different cracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.alignment_features import AlignmentFeatures, load_opencv
from drywallqa.inspection.alignment_refinement import (
    AGREES,
    UNIT,
    MatchedPhotos,
    Refined,
    agreeing_lines,
    derivatives,
    from_pixels,
    matched_photos,
    refine_homography,
    to_pixels,
)
from drywallqa.inspection.scale import project

Array = NDArray[np.float64]

_TEXTURE_TOLERANCE, _DRAWING_TOLERANCE = 4.0, 14.0  # of RANSAC, px at a longer side of 1600 px
_ROUNDS = 10000  # of RANSAC
_CELLS = 4  # a photo is cut into cells of a quarter of its half longer side to see how features spread
_MOST_STRETCH = 2.5  # ratio of a homography's scales along and across, at a tilt of 65°
_SCALES = (0.2, 5.0)
_MOST_PERSPECTIVE = 0.6
_LEAST_OVERLAP = 0.1  # share of the smaller photo
# A certain alignment needs features that are spread over the photo, or lines that agree in both photos.
# docs/inspection.md states what pairs of different walls reach.
_LEAST_FEATURES, _LEAST_SPREAD = 15, 0.1
_CLEAR_FEATURES, _CLEAR_SPREAD = 60, 0.4
_LEAST_LINE_POINTS = 100  # 300 px at a longer side of 1600 px
_LEAST_SHARES = (0.5, 0.8)  # of the smaller and of the larger share
_MOST_UNCERTAINTY = 3.0  # px at 1600 px; lines that could slide along each other are less certain
# Lines of which nearly everything agrees may be less certain along their direction.
_MANY_LINE_POINTS, _HIGH_SHARE, _HIGH_UNCERTAINTY = 200, 0.8, 8.0


@dataclass(frozen=True)
class Alignment:
    """The map from a first photo to a second photo of the same wall.

    Attributes:
        homography: From px of the first photo to px of the second, float64 [3,3].
        features: Number of texture features that agree with it.
        residual: Typical distance between a mapped point and its true place in px of the second photo.
        line_share: Share of the lines in both photos that agree, 0–1; the smaller one of both photos' shares.
    """

    homography: Array
    features: int
    residual: float
    line_share: float

    def map(self, points: Array) -> Array:
        """Map points [N,2] from px of the first photo to px of the second."""
        return project(self.homography, np.asarray(points, float))

    def inverse(self) -> Alignment:
        """Return the map from the second photo to the first."""
        backward = np.linalg.inv(self.homography)
        backward = backward / backward[2, 2]
        scale = float(np.sqrt(abs(np.linalg.det(backward[:2, :2]))))
        return Alignment(backward, self.features, self.residual * scale, self.line_share)


@dataclass(frozen=True)
class Agreement:
    """How well a homography fits two photos.

    Attributes:
        features: Number of texture features that agree.
        spread: Share of the common part's cells that contain such a feature, 0–1.
        line_shares: Of either photo: the share of its line points inside the other photo that agree, 0–1.
        line_points: Number of line points that agree.
        uncertainty: Largest standard uncertainty of a mapped line point or feature, px at 1600 px.
        overlap: Share of the smaller photo that the other photo shows, 0–1.
    """

    features: int
    spread: float
    line_shares: tuple[float, float]
    line_points: int
    uncertainty: float
    overlap: float

    @property
    def score(self) -> float:
        """A number by which to choose among homographies."""
        return self.features + 60 * min(self.line_shares) * min(1.0, self.line_points / 60)

    @property
    def _most_uncertainty(self) -> float:
        many = self.line_points >= _MANY_LINE_POINTS and min(self.line_shares) >= _HIGH_SHARE
        return _HIGH_UNCERTAINTY if many else _MOST_UNCERTAINTY

    @property
    def is_clear(self) -> bool:
        """Whether no better homography needs to be sought."""
        return self.features >= _CLEAR_FEATURES and self.spread >= _CLEAR_SPREAD

    @property
    def is_certain(self) -> bool:
        """Whether the photos surely show the same part of one wall."""
        by_texture = self.features >= _LEAST_FEATURES and self.spread >= _LEAST_SPREAD
        by_lines = (
            self.line_points >= _LEAST_LINE_POINTS
            and min(self.line_shares) >= _LEAST_SHARES[0]
            and max(self.line_shares) >= _LEAST_SHARES[1]
            and self.uncertainty <= self._most_uncertainty
        )
        return self.overlap >= _LEAST_OVERLAP and (by_texture or by_lines)


def align(first: AlignmentFeatures, second: AlignmentFeatures) -> Alignment | None:
    """Align two photos. The same photos always give the same result.

    Returns:
        The alignment, or None if the photos do not surely show the same part of one wall.
    """
    pair = matched_photos(first, second)
    best: tuple[Refined, Agreement] | None = None
    for rough in rough_homographies(pair):
        refined = refine_homography(pair, rough)
        if refined is None or not is_plausible(refined.matrix):
            continue
        found = agreement(pair, refined)
        if best is None or found.score > best[1].score:
            best = refined, found
        if found.is_clear:
            break
    if best is None or not best[1].is_certain:
        return None
    matrix = to_pixels(second) @ best[0].matrix @ from_pixels(first)
    residual = best[1].uncertainty * max(second.size) / 2 * UNIT
    return Alignment(matrix / matrix[2, 2], best[1].features, residual, min(best[1].line_shares))


def rough_homographies(pair: MatchedPhotos) -> Iterator[Array]:
    """Yield rough homographies [3,3] of several subsets of the matches, with and without perspective."""
    cv2 = load_opencv()
    every = np.ones(len(pair.start), np.bool_)
    settings = {"maxIters": _ROUNDS, "confidence": 0.9999}
    for chosen in (pair.from_texture, every):
        if chosen.sum() >= 8:
            tolerance = _TEXTURE_TOLERANCE * UNIT
            matrix, _ = cv2.findHomography(
                pair.start[chosen], pair.end[chosen], cv2.USAC_MAGSAC, tolerance, **settings
            )
            if matrix is not None:
                yield matrix / matrix[2, 2]
    for chosen in (~pair.from_texture, every, pair.from_texture):
        if chosen.sum() >= 4:
            matrix, _ = cv2.estimateAffinePartial2D(
                pair.start[chosen], pair.end[chosen], method=cv2.RANSAC,
                ransacReprojThreshold=_DRAWING_TOLERANCE * UNIT, **settings,
            )  # fmt: skip
            if matrix is not None:
                yield np.vstack([matrix, [0, 0, 1]])


def is_plausible(matrix: Array) -> bool:
    """Return whether two photos of a wall can differ by a homography (in half sides)."""
    large, small = np.linalg.svd(matrix[:2, :2])[1]
    upright = np.linalg.det(matrix[:2, :2]) > 0 and np.linalg.det(matrix) > 0
    scaled = _SCALES[0] <= small and large <= min(_SCALES[1], _MOST_STRETCH * small)
    return bool(upright and scaled and np.hypot(*matrix[2, :2]) <= _MOST_PERSPECTIVE)


def agreement(pair: MatchedPhotos, refined: Refined) -> Agreement:
    """Measure how well a refined homography fits two photos."""
    matrix, tolerance = refined.matrix, AGREES * UNIT
    here, _, seen = agreeing_lines(pair.first, pair.second, matrix, tolerance)
    backward = np.asarray(np.linalg.inv(matrix))
    back, _, back_seen = agreeing_lines(pair.second, pair.first, backward, tolerance)
    shares = (len(here) / max(1, int(seen.sum())), len(back) / max(1, int(back_seen.sum())))
    rest = np.hypot(*(pair.end - project(matrix, pair.start)).T)
    good = pair.start[pair.from_texture & (rest < _TEXTURE_TOLERANCE * UNIT)]
    common = _common_points(pair, matrix)
    spread = len(_cells(good) & _cells(common)) / max(1, len(_cells(common)))
    used = np.concatenate([pair.first.points[here], good])
    overlap = _overlap(pair, matrix, common)
    return Agreement(len(good), spread, shares, len(here), _uncertainty(refined, used), overlap)


def _common_points(pair: MatchedPhotos, matrix: Array) -> Array:
    """Return the points of a grid on the first photo that the second photo shows, [N,2]."""
    half = pair.first.half
    x, y = np.meshgrid(np.linspace(-half[0], half[0], 33), np.linspace(-half[1], half[1], 33))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return points[pair.second.contains(project(matrix, points))]


def _overlap(pair: MatchedPhotos, matrix: Array, common: Array) -> float:
    share = len(common) / 33**2
    scale = abs(np.linalg.det(matrix[:2, :2])) * np.prod(pair.first.half) / np.prod(pair.second.half)
    return float(min(1.0, share * max(1.0, scale)))


def _cells(points: Array) -> set[tuple[int, ...]]:
    return {tuple(cell) for cell in np.floor((points + 1) * _CELLS).astype(int).tolist()}


def _uncertainty(refined: Refined, points: Array) -> float:
    if not len(points):
        return np.inf
    _, along_x, along_y = derivatives(refined.matrix, points)
    variance = sum(np.einsum("ni,ij,nj->n", rows, refined.covariance, rows) for rows in (along_x, along_y))
    return float(np.sqrt(max(0.0, float(np.max(variance)))) / UNIT)
