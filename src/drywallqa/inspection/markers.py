"""Find printed ArUco and AprilTag markers in a photo, and refuse those that cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import MissingExtraError, ScaleError
from drywallqa.inspection.marker_fit import fit_marker
from drywallqa.inspection.scale import project

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = NDArray[np.float64]

# Families that users can name, with OpenCV's names. ArUco's original and 4x4 families are left out, because
# some of their markers are mirror images of others.
FAMILIES = {
    "aruco-5x5": "DICT_5X5_100",
    "aruco-6x6": "DICT_6X6_250",
    "apriltag-25h9": "DICT_APRILTAG_25h9",
    "apriltag-36h11": "DICT_APRILTAG_36h11",
}
DEFAULT_FAMILY = "aruco-5x5"

_LONGEST_SIDE = 1600  # px of a photo in which the boxes of markers are searched
_LEAST_CELL = 7.0  # px, of a marker's cell
_LEAST_READ = 0.97  # share of the edges between black and white cells that must be found
_MOST_BEND = 0.0003  # root mean square of the bend in the marker's edges, as a share of its side


@dataclass(frozen=True, eq=False)
class FoundMarker:
    """A marker in a photo.

    Attributes:
        number: The marker's number in its family.
        corners: Corners [4,2] (x, y in px) in the order in which OpenCV returns them.
        homography: Matrix [3,3] from photo px to mm on the wall. The origin is a corner of the marker, and
            the x axis is the side that points most nearly to the right in the photo.
        variants: Homographies [8,3,3], each changed by one standard deviation of an independent error.
        edge_sigma: Root mean square in px of the distances between the fitted edges and those in the photo.
    """

    number: int
    corners: Floats
    homography: Floats
    variants: Floats
    edge_sigma: float


def check_marker_family(family: str) -> None:
    """Check that a family of markers can be read.

    Raises:
        ScaleError: It is unknown.
    """
    if family not in FAMILIES:
        raise ScaleError(f'the marker family "{family}" is unknown; use {", ".join(FAMILIES)}')


def marker_cells(family: str, number: int) -> NDArray[np.bool_]:
    """Return the cells [n,n] of a marker with its black border; True is white.

    Raises:
        ScaleError: The family or the number is unknown.
        MissingExtraError: OpenCV is not installed.
    """
    cv2, dictionary = _dictionary(family)
    count = len(dictionary.bytesList)
    if not 0 <= number < count:
        raise ScaleError(f"marker {number} does not exist in the family {family}; use 0 to {count - 1}")
    side = dictionary.markerSize + 2
    return np.asarray(cv2.aruco.generateImageMarker(dictionary, number, side) > 127)


def find_markers(photo: NDArray[np.uint8], side_mm: float, family: str = DEFAULT_FAMILY) -> list[FoundMarker]:
    """Find all markers of one family in a photo. Every found marker must pass the checks.

    Args:
        photo: RGB uint8 [H,W,3].
        side_mm: Side of the printed black square in mm.
        family: A key of `FAMILIES`.

    Raises:
        ScaleError: No marker was found, or a marker is too small, partly hidden, blurred or not flat.
        MissingExtraError: OpenCV is not installed.
    """
    cv2, _ = _dictionary(family)
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    found = [
        _measured(grey.astype(np.float32), corners, number, side_mm, family)
        for number, corners in _detected(grey, family)
    ]
    if not found:
        raise ScaleError(_nothing_found(grey, family))
    return found


def marker_boxes(photo: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """Return boxes (left, top, right, bottom in px) around the sheets of all markers in a photo [H,W,3].

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    cv2, _ = _dictionary(DEFAULT_FAMILY)
    factor = max(1.0, max(photo.shape[:2]) / _LONGEST_SIDE)
    small = (max(1, round(photo.shape[1] / factor)), max(1, round(photo.shape[0] / factor)))
    grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), small, interpolation=cv2.INTER_AREA)
    boxes = []
    for corners in (corners for family in FAMILIES for _, corners in _detected(grey, family)):
        margin = float(
            np.ptp(corners, axis=0).max()
        )  # an A4 or Letter sheet reaches one side beyond the marker
        low, high = (corners.min(0) - margin) * factor, (corners.max(0) + margin) * factor
        left, top, right, bottom = (int(edge) for edge in (*np.maximum(low, 0), *np.maximum(high, 0)))
        boxes.append((left, top, right, bottom))
    return boxes


def _dictionary(family: str) -> tuple[Any, Any]:
    """Return the module of OpenCV and a family's dictionary."""
    check_marker_family(family)
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("reading a marker", "inspect") from error
    return cv2, cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, FAMILIES[family]))


def _detected(grey: NDArray[np.uint8], family: str) -> Iterator[tuple[int, Floats]]:
    """Yield the numbers and corners of the markers whose bits are all right."""
    cv2, dictionary = _dictionary(family)
    parameters = cv2.aruco.DetectorParameters()
    parameters.errorCorrectionRate = 0.0
    corners, numbers, _ = cv2.aruco.ArucoDetector(dictionary, parameters).detectMarkers(grey)
    for quad, number in zip(corners, () if numbers is None else numbers.ravel(), strict=True):
        yield int(number), quad.reshape(4, 2).astype(np.float64)


def _nothing_found(grey: NDArray[np.uint8], family: str) -> str:
    others = [name for name in FAMILIES if name != family and any(True for _ in _detected(grey, name))]
    if others:
        return (
            f"the photo shows a marker of the family {others[0]}, not {family}; "
            f"pass --marker-family {others[0]} if it is yours"
        )
    return (
        f"no complete marker of the family {family} was found; photograph the whole marker with its white "
        "margin, flat on the wall and in focus"
    )


def _measured(
    grey: NDArray[np.float32], corners: Floats, number: int, side_mm: float, family: str
) -> FoundMarker:
    """Fit the edges of a detected marker, and refuse it if they do not lie as on a flat sheet."""
    cells = marker_cells(family, number)
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    if sides.min() < _LEAST_CELL * len(cells):
        raise ScaleError(
            f"marker {number} is only {sides.min():.0f} px wide in the photo; it needs "
            f"{_LEAST_CELL * len(cells):.0f} px; step closer or print it larger"
        )
    fit = fit_marker(grey, cells, corners)
    if fit is None or fit.read < _LEAST_READ:
        raise ScaleError(
            f"some edges of marker {number} cannot be seen; uncover it, and avoid hard shadows and blur"
        )
    if fit.bend > _MOST_BEND:
        raise ScaleError(
            f"marker {number} is not flat: its edges bend by {fit.bend:.2%} of its side; "
            "tape the whole sheet flat to the wall"
        )
    to_mm = _wall_frame(fit.matrix, side_mm)
    return FoundMarker(
        number, corners, to_mm @ np.linalg.inv(fit.matrix), to_mm @ np.linalg.inv(fit.variants), fit.sigma
    )


def _wall_frame(matrix: Floats, side_mm: float) -> Floats:
    """Return the matrix [3,3] from positions on the marker, -1 to 1, to mm on the wall.

    The x axis is the side that points most nearly to the right in the photo. The result therefore does not
    depend on the order of the corners, which differs between programs that print AprilTags.
    """
    turns = [np.array([[c, -s], [s, c]], np.float64) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    middle = project(matrix, np.zeros((1, 2)))
    right = [(project(matrix, turn[:, :1].T) - middle)[0, 0] for turn in turns]
    frame = np.eye(3)
    frame[:2, :2] = turns[int(np.argmax(right))].T * side_mm / 2
    frame[:2, 2] = side_mm / 2
    return frame
