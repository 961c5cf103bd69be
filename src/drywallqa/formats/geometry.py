"""Check annotations against the size of their photo, and convert them to masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.formats import problems
from drywallqa.formats.mask_pixels import VIEWS, read_marked
from drywallqa.formats.outlines import draw_ring
from drywallqa.formats.pixel_values import Value
from drywallqa.formats.polygons import (
    TOLERANCE_PX,
    crop_ring,
    enclosed_loops,
    perimeter,
    pixel_corners,
    ring_area,
)
from drywallqa.formats.rle import decode_runs

SMALLEST_BOX = 4.0
"""Minimum side of a box in px. A smaller box counts as an accidental click, not as an annotation."""

OUTSIDE_PX = 2.0
OUTSIDE_SHARE = 0.01
"""Coordinates up to 2 px or 1 % of the side outside the photo are cropped silently as rounding errors."""

FARTHEST_PX = 2.0**53
"""Beyond this distance, floating-point numbers cannot resolve a pixel, so an outline cannot be cropped."""
RECTANGLE_FILL = 0.985
FRAME_SHARE = 0.95

Points = NDArray[np.float64]


class GeometryError(ValueError):
    """Raised if an annotation cannot be used. `kind` is a constant of the module `problems`."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


@dataclass(frozen=True)
class Box:
    """A box whose edges are given in px, or as fractions of the photo's sides if `relative` is True."""

    left: float
    top: float
    right: float
    bottom: float
    relative: bool = False


@dataclass(frozen=True)
class Outline:
    """Polygons with points [N,2] (x, y) in px, or as fractions of the photo's sides if `relative` is True."""

    rings: tuple[Points, ...]
    relative: bool = False


@dataclass(frozen=True)
class Runs:
    """A run-length encoded mask with its height and width in px."""

    counts: str | tuple[int, ...]
    height: int
    width: int


@dataclass(frozen=True)
class Layer:
    """The pixels that have one of the given values in a mask file (see `mask_pixels.read_marked`)."""

    path: Path
    values: frozenset[Value]
    levels: tuple[Value, ...] = ()
    view: str = VIEWS[0]


Geometry = Box | Outline | Runs | Layer


@dataclass(frozen=True)
class Fitted:
    """An annotation after scaling and cropping to a photo.

    Attributes:
        geometry: The annotation in px within the photo.
        cropped: Description of the part outside the photo. Empty if there is none except for rounding errors.
        lost: An error for each ring of an outline that could not be used.
    """

    geometry: Geometry
    cropped: str = ""
    lost: tuple[GeometryError, ...] = ()


def fit_geometry(geometry: Geometry, height: int, width: int, scale: tuple[float, float]) -> Fitted:
    """Scale an annotation to a photo's pixels and crop it.

    Args:
        geometry: The annotation as read from the export.
        height: The photo's height in px.
        width: The photo's width in px.
        scale: Photo height divided by declared height, and photo width divided by declared width.

    Raises:
        GeometryError: The annotation is invalid or lies outside the photo.
    """
    if not isinstance(geometry, Box | Outline):
        return Fitted(geometry)
    factors = np.array([width, height] if geometry.relative else [scale[1], scale[0]], np.float64)
    if isinstance(geometry, Box):
        return _fit_box(geometry, height, width, factors)
    return _fit_outline(geometry, height, width, factors)


def _check_place(points: Points, height: int, width: int) -> str:
    """Check that points [N,2] can be cropped. Describe points that lie noticeably outside the photo."""
    if not np.isfinite(points).all():
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a finite number; dropped")
    limits = np.array([width, height], np.float64)
    excess = np.maximum(np.maximum(-points, points - limits), 0).max(axis=0)
    if (points < 0).all(axis=0).any() or (points > limits).all(axis=0).any():
        raise GeometryError(
            problems.OUTSIDE, f"the annotation lies outside the photo of {width}×{height} px; dropped"
        )
    if excess.max() > FARTHEST_PX:
        raise GeometryError(
            problems.OUTSIDE, f"extends {excess.max():.1g} px outside the photo, too far to crop; dropped"
        )
    if (excess <= np.maximum(OUTSIDE_PX, OUTSIDE_SHARE * limits)).all():
        return ""
    return f"extends {excess.max():.0f} px outside the photo of {width}×{height} px; cropped"


def _fit_box(box: Box, height: int, width: int, factors: Points) -> Fitted:
    corners = np.array([[box.left, box.top], [box.right, box.bottom]], np.float64)
    if np.isfinite(corners).all() and (corners[1] < corners[0]).any():
        raise GeometryError(problems.DEGENERATE, "the box has a negative width or height; dropped")
    corners = corners * factors
    words = _check_place(corners, height, width)
    (left, top), (right, bottom) = np.clip(corners, 0, (width, height)).tolist()
    if min(right - left, bottom - top) < SMALLEST_BOX:
        size = f"{right - left:.1f}×{bottom - top:.1f} px"
        raise GeometryError(
            problems.DEGENERATE, f"the box is {size} and has a side under {SMALLEST_BOX:.0f} px; dropped"
        )
    return Fitted(Box(left, top, right, bottom), words)


def _fit_outline(outline: Outline, height: int, width: int, factors: Points) -> Fitted:
    rings, remarks, lost = [], [], []
    for ring in outline.rings:
        try:
            cropped, words = _fit_ring(ring * factors, height, width)
        except GeometryError as error:
            which = "one of its rings: " if len(outline.rings) > 1 else ""
            lost.append(GeometryError(error.kind, f"{which}{error}"))
            continue
        rings.append(cropped)
        remarks += [words] if words else []
    if not rings:
        raise lost[0] if lost else GeometryError(problems.FEW_POINTS, "the outline has no points; dropped")
    return Fitted(Outline(tuple(rings)), "; ".join(remarks), tuple(lost))


def _fit_ring(ring: Points, height: int, width: int) -> tuple[Points, str]:
    words = _check_place(ring, height, width)
    if len(np.unique(ring, axis=0)) < 3:
        raise GeometryError(problems.FEW_POINTS, "the outline has fewer than three points; dropped")
    cropped = crop_ring(ring, height, width)
    if cropped is not ring and (not len(cropped) or not enclosed_loops(cropped)):
        raise GeometryError(
            problems.OUTSIDE, f"the annotation lies outside the photo of {width}×{height} px; dropped"
        )
    if np.ptp(cropped, axis=0).max() < SMALLEST_BOX and pixel_corners(cropped) is None:
        raise GeometryError(
            problems.DEGENERATE, f"the outline is under {SMALLEST_BOX:.0f} px in size; dropped"
        )
    flat = ring_area(cropped) <= TOLERANCE_PX * perimeter(cropped)
    if flat and not enclosed_loops(cropped):
        raise GeometryError(problems.DEGENERATE, "the outline encloses no area; dropped")
    return cropped, words


def rasterise(geometry: Geometry, height: int, width: int) -> NDArray[np.bool_]:
    """Convert an annotation from `fit_geometry` to a mask [height,width].

    Raises:
        GeometryError: A mask file or run lengths cannot be read, or a mask and its photo differ in size.
    """
    if isinstance(geometry, Box):
        mask = np.zeros((height, width), np.bool_)
        rows = slice(round(geometry.top), max(round(geometry.bottom), 1))
        mask[rows, round(geometry.left) : max(round(geometry.right), 1)] = True
        return mask
    if isinstance(geometry, Outline):
        mask = np.zeros((height, width), np.bool_)
        for ring in geometry.rings:
            draw_ring(mask, ring)
        return mask
    if isinstance(geometry, Layer):
        return _draw_layer(geometry, height, width)
    _check_mask_size((geometry.height, geometry.width), height, width)
    try:
        return decode_runs(geometry.counts, height, width)
    except ValueError as error:
        raise GeometryError(problems.MALFORMED, f"{error}; dropped") from error


def pixels_around(geometry: Geometry) -> tuple[slice, slice]:
    """Return the rows and columns that contain all pixels of an annotation from `fit_geometry`."""
    if isinstance(geometry, Box):
        corners = np.array([[geometry.left, geometry.top], [geometry.right, geometry.bottom]])
    elif isinstance(geometry, Outline):
        corners = np.concatenate(geometry.rings)
    else:
        return slice(None), slice(None)
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0).tolist()
    right, bottom = (np.ceil(corners.max(axis=0)).astype(int) + 1).tolist()
    return slice(top, bottom), slice(left, right)


def _check_mask_size(size: tuple[int, ...], height: int, width: int) -> None:
    if size != (height, width):
        raise GeometryError(
            problems.SIZE,
            f"the mask is {size[1]}×{size[0]} px, but its photo is {width}×{height} px; dropped",
        )


def _draw_layer(layer: Layer, height: int, width: int) -> NDArray[np.bool_]:
    try:
        mask = read_marked(layer.path, layer.values, layer.levels, layer.view)
    except (OSError, ValueError) as error:
        raise GeometryError(
            problems.UNREADABLE, f"the mask file cannot be read ({error}); dropped"
        ) from error
    _check_mask_size(mask.shape, height, width)
    return mask


def is_box_like(geometry: Geometry) -> bool:
    """Check whether an annotation is a polygon with the shape of an upright rectangle."""
    if not isinstance(geometry, Outline) or len(geometry.rings) != 1:
        return False
    ring = geometry.rings[0]
    return bool(ring_area(ring) >= RECTANGLE_FILL * float(np.ptp(ring, axis=0).prod()) > 0)
