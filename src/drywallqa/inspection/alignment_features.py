"""Features of a photo for its alignment with another photo: SIFT on the photo and on its drawn lines.

The texture of a wall looks different under another light, and a painted wall has hardly any texture. Its
cracks and joints remain. Their centre lines are therefore drawn in black on white, and the same features are
computed on this drawing, which does not depend on the light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import MissingExtraError
from drywallqa.inspection.ledger import Observation
from drywallqa.inspection.markers import marker_boxes

Array = NDArray[np.float64]
Box = tuple[int, int, int, int]

_PHOTO_SIDE, _DRAWING_SIDE = 1600, 800  # longer side in px at which features are computed
_MOST_FEATURES = 5000
_FAINT = 0.01  # contrast threshold of SIFT; its default of 0.04 finds little on a painted wall
_RATIO, _DRAWING_RATIO = 0.85, 0.9  # Lowe's ratio test
_LINE_STEP = 3.0  # px at a longer side of 1600 px between the sampled points of a line
_MOST_POINTS = 600


@dataclass(frozen=True)
class Features:
    """Points with a descriptor each.

    Attributes:
        points: x and y in px of the photo, float64 [N,2].
        descriptors: RootSIFT descriptors (Arandjelović and Zisserman, 2012), float32 [N,128].
    """

    points: Array
    descriptors: NDArray[np.float32]


@dataclass(frozen=True)
class AlignmentFeatures:
    """The features of one photo that an alignment compares.

    Attributes:
        size: Height and width in px.
        texture: Features of the photo.
        drawing: Features of the drawn lines.
        line_points: Points on the lines, float64 [N,2].
        line_normals: Unit normals of the lines at these points, [N,2].
    """

    size: tuple[int, int]
    texture: Features
    drawing: Features
    line_points: Array
    line_normals: Array


def load_opencv() -> Any:
    """Import OpenCV.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as problem:
        raise MissingExtraError("aligning photos", "inspect") from problem
    return cv2


def features_of(photo: NDArray[np.uint8], observations: Iterable[Observation]) -> AlignmentFeatures:
    """Compute the features of one photo [H,W,3] and its observations; printed markers are left out.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    lines = [np.array(line.points) for one in observations for line in one.centre_lines]
    return find_features(photo, lines, marker_boxes(photo))


def find_features(
    photo: NDArray[np.uint8], lines: Sequence[Array] = (), hidden: Sequence[Box] = ()
) -> AlignmentFeatures:
    """Compute the features of one photo.

    Args:
        photo: RGB, uint8 [H,W,3].
        lines: Centre lines of its cracks and joints, each [N,2] of x, y in px.
        hidden: Boxes (left, top, right, bottom) without features, such as printed markers, which people move
            from wall to wall.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    size = (photo.shape[0], photo.shape[1])
    unit = max(size) / _PHOTO_SIDE
    pieces = [resample_line(line, _LINE_STEP * unit) for line in lines if len(line) > 1]
    points = np.concatenate(pieces) if pieces else np.zeros((0, 2))
    normals = np.concatenate([_normals(piece) for piece in pieces]) if pieces else np.zeros((0, 2))
    every = -(-len(points) // _MOST_POINTS) or 1
    return AlignmentFeatures(
        size, _texture(photo, hidden), _drawing(lines, size), points[::every], normals[::every]
    )


def match_features(
    first: AlignmentFeatures, second: AlignmentFeatures
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Match the features of two photos.

    Returns:
        Points of the first and of the second photo, [M,2] each, and which pairs are of the texture, bool [M].
    """
    texture = _match(first.texture, second.texture, _RATIO)
    drawing = _match(first.drawing, second.drawing, _DRAWING_RATIO)
    from_texture = np.repeat([True, False], [len(texture[0]), len(drawing[0])])
    return np.concatenate([texture[0], drawing[0]]), np.concatenate([texture[1], drawing[1]]), from_texture


def resample_line(line: Array, step: float) -> Array:
    """Return points [M,2] on a polyline [N,2] about `step` px apart, with both ends."""
    line = np.asarray(line, float)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    places = np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1))
    return np.stack([np.interp(places, along, column) for column in line.T], axis=1)


def _normals(points: Array) -> Array:
    along = np.gradient(points, axis=0)
    wide = np.stack(
        [np.convolve(np.pad(c, 2, mode="edge"), np.full(5, 0.2), "valid") for c in along.T], axis=1
    )
    return np.asarray(np.stack([-wide[:, 1], wide[:, 0]], axis=1) / (np.hypot(*wide.T)[:, None] + 1e-9))


def _texture(photo: NDArray[np.uint8], hidden: Sequence[Box]) -> Features:
    cv2 = load_opencv()
    height, width = photo.shape[:2]
    scale = min(1.0, _PHOTO_SIDE / max(height, width))
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.resize(grey, small, interpolation=cv2.INTER_AREA)
    allowed = np.full(grey.shape, 255, np.uint8)
    for left, top, right, bottom in hidden:
        rows, columns = (slice(int(a * scale), int(b * scale) + 2) for a, b in ((top, bottom), (left, right)))
        allowed[rows, columns] = 0
    return _sift(cv2.createCLAHE(4.0, (8, 8)).apply(grey), scale, allowed)


def _drawing(lines: Sequence[Array], size: tuple[int, int]) -> Features:
    cv2 = load_opencv()
    scale = min(1.0, _DRAWING_SIDE / max(size))
    picture = np.full([max(1, round(side * scale)) for side in size], 255, np.uint8)
    for line in lines:
        corners = np.round(((np.asarray(line) + 0.5) * scale - 0.5) * 16).astype(np.int32)
        cv2.polylines(picture, [corners], False, 0, 4, cv2.LINE_AA, 4)
    return _sift(cv2.GaussianBlur(picture, (0, 0), 1.0), scale, None)


def _sift(grey: NDArray[np.uint8], scale: float, allowed: NDArray[np.uint8] | None) -> Features:
    """Compute features of a picture that was made smaller by a factor `scale`."""
    cv2 = load_opencv()
    finder = cv2.SIFT_create(nfeatures=_MOST_FEATURES, contrastThreshold=_FAINT, edgeThreshold=20)
    found, descriptors = finder.detectAndCompute(grey, allowed)
    if not found:
        return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    points = (np.array([one.pt for one in found], float) + 0.5) / scale - 0.5
    shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    return Features(points, np.sqrt(shares, dtype=np.float32))


def _match(first: Features, second: Features, ratio: float) -> tuple[Array, Array]:
    """Match features that are each other's nearest and pass the ratio test."""
    if min(len(first.points), len(second.points)) < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    matcher = load_opencv().BFMatcher()
    back = [match.trainIdx for match in matcher.match(second.descriptors, first.descriptors)]
    pairs = [
        (near.queryIdx, near.trainIdx)
        for near, far in matcher.knnMatch(first.descriptors, second.descriptors, 2)
        if near.distance < ratio * far.distance and back[near.trainIdx] == near.queryIdx
    ]
    left, right = np.array(pairs, int).reshape(-1, 2).T
    return first.points[left], second.points[right]
