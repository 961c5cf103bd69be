"""Validate the four kinds of annotation geometry against the photo, and convert them to masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drywallqa.formats import problems
from drywallqa.formats.mask_pixels import VIEWS, Value, read_marked

SMALLEST_BOX = 4.0
"""A box with a side shorter than this many px is an accidental click, not an annotation."""

OUTSIDE_PX = 2.0
OUTSIDE_SHARE = 0.01
"""Coordinates outside the photo by at most 2 px or 1 % of the side are rounding errors, clipped silently."""

RECTANGLE_FILL = 0.985
FRAME_SHARE = 0.95
_FINER = 4

Points = NDArray[np.float64]


class GeometryError(ValueError):
    """An annotation cannot be used; `kind` is the kind of problem."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


@dataclass(frozen=True)
class Box:
    """A box given by its edges, in px or (relative) as shares of the photo's sides."""

    left: float
    top: float
    right: float
    bottom: float
    relative: bool = False


@dataclass(frozen=True)
class Outline:
    """The union of one or more rings of points [N,2] (x, y), in px or (relative) as shares of the sides."""

    rings: tuple[Points, ...]
    relative: bool = False


@dataclass(frozen=True)
class Runs:
    """A run-length encoded mask of height×width px."""

    counts: str | tuple[int, ...]
    height: int
    width: int


@dataclass(frozen=True)
class Layer:
    """The pixels of a mask file with one of the given values; see `mask_pixels.read_marked`."""

    path: Path
    values: frozenset[Value]
    levels: tuple[Value, ...] = ()
    view: str = VIEWS[0]


Geometry = Box | Outline | Runs | Layer


def fit_geometry(
    geometry: Geometry, height: int, width: int, scale: tuple[float, float]
) -> tuple[Geometry, str]:
    """Scale an annotation to a photo's pixels and clip it.

    Args:
        geometry: The annotation as read from the export.
        height: The photo's height in px.
        width: The photo's width in px.
        scale: Photo height / declared height, and photo width / declared width.

    Returns:
        The annotation in px within the photo, and a description of the clipped excess ("" if there is at most
        a rounding error).

    Raises:
        GeometryError: No usable part is left.
    """
    if not isinstance(geometry, Box | Outline):
        return geometry, ""
    factors = np.array([width, height] if geometry.relative else [scale[1], scale[0]], np.float64)
    if isinstance(geometry, Box):
        return _fit_box(geometry, height, width, factors)
    return _fit_outline(geometry, height, width, factors)


def _clip(points: Points, height: int, width: int) -> tuple[Points, str]:
    """Clip points [N,2], and describe the largest excess if it is more than a rounding error."""
    if not np.isfinite(points).all():
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a finite number; dropped")
    limits = np.array([width, height], np.float64)
    excess = np.maximum(np.maximum(-points, points - limits), 0).max(axis=0)
    if (points < 0).all(axis=0).any() or (points > limits).all(axis=0).any():
        raise GeometryError(problems.OUTSIDE, f"lies outside the {width}×{height} px photo; dropped")
    beyond = excess > np.maximum(OUTSIDE_PX, OUTSIDE_SHARE * limits)
    words = (
        f"reaches {excess.max():.0f} px beyond the {width}×{height} px photo; clipped" if beyond.any() else ""
    )
    return np.clip(points, 0, limits), words


def _fit_box(box: Box, height: int, width: int, factors: Points) -> tuple[Box, str]:
    corners = np.array([[box.left, box.top], [box.right, box.bottom]], np.float64)
    if np.isfinite(corners).all() and (corners[1] < corners[0]).any():
        raise GeometryError(problems.DEGENERATE, "the box has a negative width or height; dropped")
    clipped, words = _clip(corners * factors, height, width)
    (left, top), (right, bottom) = clipped.tolist()
    if min(right - left, bottom - top) < SMALLEST_BOX:
        size = f"{right - left:.1f}×{bottom - top:.1f} px"
        raise GeometryError(
            problems.DEGENERATE, f"the box is {size}, with a side under {SMALLEST_BOX:.0f} px; dropped"
        )
    return Box(left, top, right, bottom), words


def _fit_outline(outline: Outline, height: int, width: int, factors: Points) -> tuple[Outline, str]:
    rings, remarks, error = [], [], None
    for ring in outline.rings:
        try:
            clipped, words = _clip(ring * factors, height, width)
            if len(np.unique(ring, axis=0)) < 3:
                raise GeometryError(problems.FEW_POINTS, "the outline has fewer than three points; dropped")
            if np.ptp(clipped, axis=0).max() < SMALLEST_BOX:
                raise GeometryError(
                    problems.DEGENERATE, f"the outline is under {SMALLEST_BOX:.0f} px in size; dropped"
                )
        except GeometryError as problem:
            error = error or problem
            continue
        rings.append(clipped)
        remarks += [words] if words else []
    if error and rings:
        remarks.append(f"one ring of {len(outline.rings)} could not be used ({error})")
    if not rings:
        raise error or GeometryError(problems.FEW_POINTS, "the outline has no points; dropped")
    return Outline(tuple(rings)), "; ".join(remarks)


def rasterise(geometry: Geometry, height: int, width: int) -> NDArray[np.bool_]:
    """Rasterise an annotation that `fit_geometry` returned, as a mask [height,width].

    Raises:
        GeometryError: A mask file or run lengths cannot be read, or have a different size.
    """
    if isinstance(geometry, Box):
        mask = np.zeros((height, width), np.bool_)
        rows = slice(round(geometry.top), max(round(geometry.bottom), 1))
        mask[rows, round(geometry.left) : max(round(geometry.right), 1)] = True
        return mask
    if isinstance(geometry, Outline):
        return _draw_outline(geometry, height, width)
    if isinstance(geometry, Layer):
        return _draw_layer(geometry, height, width)
    _check_mask_size((geometry.height, geometry.width), height, width)
    try:
        return decode_runs(geometry.counts, height, width)
    except ValueError as error:
        raise GeometryError(problems.MALFORMED, f"{error}; dropped") from error


def _check_mask_size(size: tuple[int, ...], height: int, width: int) -> None:
    if size != (height, width):
        raise GeometryError(
            problems.SIZE, f"the mask is {size[1]}×{size[0]} px, its photo {width}×{height}; dropped"
        )


def _draw_outline(outline: Outline, height: int, width: int) -> NDArray[np.bool_]:
    """Mark the pixels that the rings cover by at least half; for hairlines, mark all touched pixels.

    Pillow draws between whole pixels and includes the border, so its polygons are one pixel too wide. Drawing
    at four times the size and downscaling reduces this error to an eighth of a pixel.
    """
    mask = np.zeros((height, width), np.bool_)
    for ring in outline.rings:
        left, top = np.floor(ring.min(axis=0)).astype(int).tolist()
        columns, rows = (np.ceil(ring.max(axis=0)).astype(int) - (left, top) + 1).tolist()
        canvas = Image.new("L", (columns * _FINER, rows * _FINER))
        points = [(x, y) for x, y in np.rint((ring - (left, top)) * _FINER - 0.5).astype(int).tolist()]
        pen = ImageDraw.Draw(canvas)
        pen.polygon(points, fill=255)
        # mean width (twice the area divided by the perimeter) under 1.5 px
        length = float(np.linalg.norm(ring - np.roll(ring, -1, axis=0), axis=1).sum())
        hairline = 2 * _area(ring) < 1.5 * length
        if hairline:  # Pillow leaves gaps where a polygon is thinner than a pixel
            pen.line([*points, points[0]], fill=255)
        drawn = np.asarray(canvas.reduce(_FINER)) > (0 if hairline else 127)
        target = mask[top : top + rows, left : left + columns]
        target |= drawn[: target.shape[0], : target.shape[1]]
    return mask


def _area(ring: Points) -> float:
    x, y = (ring - ring[0]).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


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
    """Check whether an outline is in fact an upright rectangle."""
    if not isinstance(geometry, Outline) or len(geometry.rings) != 1:
        return False
    ring = geometry.rings[0]
    return bool(_area(ring) >= RECTANGLE_FILL * float(np.ptp(ring, axis=0).prod()) > 0)


def decode_runs(counts: str | Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Decode COCO run lengths to a mask [height,width]: column-major, alternating zeros and ones.

    Args:
        counts: A list of run lengths, or COCO's compressed string.
        height: Height in px.
        width: Width in px.

    Raises:
        ValueError: The run lengths are damaged or do not fill the mask exactly.
    """
    runs = decompress(counts) if isinstance(counts, str) else list(counts)
    if any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs):
        raise ValueError("a run length is negative or not an integer")
    if sum(runs) != height * width:
        raise ValueError(f"the run lengths cover {sum(runs)} px, the photo has {height * width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def decompress(text: str) -> list[int]:
    """Decode COCO's compressed run lengths: five bits per character; the sixth bit marks a continuation.

    From the fourth run length on, each number is the difference from the run length two positions earlier
    (pycocotools, `rleFrString`).

    Raises:
        ValueError: The string has invalid characters or is truncated within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"the character {character!r} is not valid in compressed run lengths")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the compressed run lengths (RLE) are truncated within a number")
    return runs
