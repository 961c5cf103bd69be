"""The scale of a photo, which converts pixels to millimetres on the wall."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ScaleError
from drywallqa.inspection.lengths import check_positive

Floats = NDArray[np.float64]

# Standard deviation of the unknown tilt between camera and wall if no marker and no four points show it. A
# camera that is held by hand towards a wall is rarely off by more than twice this angle.
TILT_SIGMA = math.radians(5)
# The scale of a tilted wall changes across the photo: at the distance d from the centre by tan(tilt) * d / f.
# The root mean square of d / f along the longer side of a phone's photo (36 mm at f = 26 mm) is 0.4.
TILT_RELATIVE_SIGMA = math.tan(TILT_SIGMA) * 36 / math.sqrt(12) / 26


@dataclass(frozen=True, eq=False)
class Scale:
    """Converts lengths and positions in a photo to millimetres on the wall plane.

    Points are (x, y) in px of the photo as viewed. The centre of the first pixel is (0, 0).

    Attributes:
        mm_per_pixel: Size of a pixel at the photo's centre in mm.
        relative_sigma: Relative standard uncertainty of `mm_per_pixel`.
        source: Where the scale comes from, in words for the report.
        homography: Matrix [3,3] from photo px to mm on the wall, or None if the perspective is unknown.
        variants: Homographies [K,3,3], each changed by one standard deviation of an independent error.
        common_sigma: The part of `relative_sigma` that is the same everywhere in the photo. The variants
            contribute the other part.
    """

    mm_per_pixel: float
    relative_sigma: float
    source: str
    homography: Floats | None = None
    variants: Floats | None = None
    common_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ScaleError: The scale is zero, negative or not finite.
        """
        check_positive(self.mm_per_pixel, "mm per pixel", f"{self.mm_per_pixel:g}")
        if not self.relative_sigma >= 0:
            raise ScaleError(f"the uncertainty of the scale, {self.relative_sigma:g}, is negative")

    @classmethod
    def of_plane(
        cls, homography: Floats, variants: Floats, common_sigma: float, size: tuple[int, int], source: str
    ) -> Scale:
        """Create a scale from a homography.

        Args:
            homography: Matrix [3,3] from photo px to mm on the wall.
            variants: As the attribute of this name, [K,3,3].
            common_sigma: Relative standard uncertainty of all lengths on the wall.
            size: Height and width of the photo in px.
            source: As the attribute of this name.

        Raises:
            ScaleError: The wall's horizon lies within the photo.
        """
        right, bottom = size[1] - 1, size[0] - 1
        corners = np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1]])
        if np.ptp(np.sign(corners @ homography[2])):
            raise ScaleError(
                f"{source}: the wall is seen at such a flat angle that its horizon lies within the photo; "
                "photograph the wall from the front"
            )
        centre = np.array([[right / 2, bottom / 2]])
        middle = float(_pixel_size(homography, centre)[0])
        local = float(np.linalg.norm(_pixel_size(variants, centre)[:, 0] / middle - 1))
        return cls(middle, math.hypot(common_sigma, local), source, homography, variants, common_sigma)

    def to_wall(self, points: Floats) -> Floats:
        """Convert points [N,2] in px to positions on the wall [N,2] in mm (x right, y down)."""
        if self.homography is None:
            return np.asarray(points, np.float64) * self.mm_per_pixel
        return project(self.homography, points)

    def distances_mm(self, starts: Floats, ends: Floats) -> Floats:
        """Return the distances [N] in mm between points [N,2] and points [N,2] in px."""
        return np.asarray(np.hypot(*(self.to_wall(ends) - self.to_wall(starts)).T))

    def length_mm(self, points: Floats) -> float:
        """Return the length in mm of a polyline [N,2] in px."""
        return float(self.distances_mm(points[:-1], points[1:]).sum())

    def mm_per_pixel_at(self, points: Floats) -> Floats:
        """Return the size of a pixel [N] in mm at points [N,2]: the square root of the pixel's area."""
        if self.homography is None:
            return np.full(len(points), self.mm_per_pixel)
        return _pixel_size(self.homography, points)

    def mm_per_pixel_across(self, line: Floats) -> Floats:
        """Return mm per px [N] at the points of a line [N,2], for distances at a right angle to the line.

        A tilted wall has different scales along the tilt and across it, so the scale of a width depends on
        the direction of the crack. The scale across the line is a pixel's area divided by the scale along it.
        """
        if self.homography is None or len(line) < 2:
            return self.mm_per_pixel_at(line)
        along = np.gradient(np.asarray(line, np.float64), axis=0)
        along /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]
        stretch = np.einsum("nij,nj->ni", _jacobian(self.homography, line), along)
        return np.asarray(_pixel_size(self.homography, line) ** 2 / np.maximum(np.hypot(*stretch.T), 1e-12))

    def relative_sigma_of(self, points: Floats) -> float:
        """Return the relative standard uncertainty of the length of a polyline [N,2] in px.

        It grows with the distance from the marker or from the four points.
        """
        length = self.length_mm(points)
        if self.homography is None or self.variants is None or not length:
            return self.relative_sigma
        others = [replace(self, homography=variant).length_mm(points) for variant in self.variants]
        return math.hypot(self.common_sigma, float(np.linalg.norm(np.array(others) / length - 1)))


def project(homography: Floats, points: Floats) -> Floats:
    """Map points [N,2] through homographies [...,3,3]; returns [...,N,2]."""
    x, y = np.asarray(points, np.float64).T
    mapped = homography @ np.stack([x, y, np.ones_like(x)])
    return np.swapaxes(mapped[..., :2, :] / mapped[..., 2:, :], -1, -2)


def homography_of(sources: Floats, targets: Floats) -> Floats:
    """Return the homography [3,3] that maps points [N,2] to points [N,2], N >= 4, by least squares.

    Hartley and Zisserman, Multiple View Geometry, 2nd edition, algorithm 4.2 (normalised DLT).
    """
    before, after = _normalisation(sources), _normalisation(targets)
    x, y = project(before, sources).T
    u, v = project(after, targets).T
    one, none = np.ones_like(x), np.zeros_like(x)
    rows = [
        np.stack([x, y, one, none, none, none, -u * x, -u * y, -u], 1),
        np.stack([none, none, none, x, y, one, -v * x, -v * y, -v], 1),
    ]
    matrix = np.linalg.svd(np.concatenate(rows))[2][-1].reshape(3, 3)
    found = np.linalg.inv(after) @ matrix @ before
    return np.asarray(found / found[2, 2])


def _normalisation(points: Floats) -> Floats:
    """Return the matrix that moves points to a mean of 0 and a mean distance of 1."""
    mean = points.mean(0)
    factor = 1 / max(float(np.hypot(*(points - mean).T).mean()), 1e-12)
    return np.array([[factor, 0, -factor * mean[0]], [0, factor, -factor * mean[1]], [0, 0, 1]])


def _jacobian(homography: Floats, points: Floats) -> Floats:
    """Return the derivatives [...,N,2,2] of the mapped points by x and y."""
    points = np.asarray(points, np.float64)
    step = 1e-3  # px
    columns = [
        (project(homography, points + shift) - project(homography, points - shift)) / (2 * step)
        for shift in (np.array([step, 0.0]), np.array([0.0, step]))
    ]
    return np.stack(columns, -1)


def _pixel_size(homography: Floats, points: Floats) -> Floats:
    """Return the square root [...,N] of the area in mm² of a pixel at each point [N,2].

    The area is |det H| / w³ with the third coordinate w of the mapped point (derivative of a homography).
    """
    x, y = np.asarray(points, np.float64).T
    w = (homography[..., 2:, :] @ np.stack([x, y, np.ones_like(x)]))[..., 0, :]
    return np.asarray(np.sqrt(np.abs(np.linalg.det(homography))[..., None] / np.abs(w) ** 3))
