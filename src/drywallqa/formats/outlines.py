"""Rasterise outlines. Their points can lie at pixel corners or anywhere else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drywallqa.formats.polygons import (
    Points,
    enclosed_loops,
    lies_within,
    perimeter,
    pixel_corners,
    ring_area,
)

HAIRLINE_PX = 1.5
"""A narrower loop may not cover half of any pixel, so all pixels that it touches are marked."""

_FINER = 4


def draw_ring(mask: NDArray[np.bool_], ring: Points) -> None:
    """Mark each pixel of a mask [H,W] that is at least half covered by a ring [N,2] inside the mask.

    A hairline marks all pixels that it touches. A ring along pixel edges marks exactly the pixels that it
    encloses, even if it is thin. Parts of a ring that run along one line in both directions mark no pixels.
    """
    corners = pixel_corners(ring)
    if corners is not None:
        _fill_corners(mask, corners)
        return
    loops = enclosed_loops(ring)
    if len(loops) == 1:
        _draw_loop(mask, loops[0], hairline=_is_hairline(loops[0]))
    elif loops:
        left, top = np.floor(np.concatenate(loops).min(axis=0)).astype(int).tolist()
        target = mask[top:, left:]
        united = _unite(loops, (left, top), target.shape)
        target[: united.shape[0], : united.shape[1]] |= united


def _fill_corners(mask: NDArray[np.bool_], corners: NDArray[np.int64]) -> None:
    """Fill a ring [N,2] that follows pixel edges in a mask [H,W], using the even-odd rule."""
    left, top = corners.min(axis=0).tolist()
    columns, rows = np.ptp(corners, axis=0).tolist()
    ends = np.roll(corners, -1, axis=0)
    vertical = corners[:, 0] == ends[:, 0]
    x, y = np.concatenate([corners[vertical], ends[vertical]]).T
    toggles = np.zeros((rows + 1, columns + 1), np.bool_)
    np.logical_xor.at(toggles, (y - top, x - left), np.True_)
    # The first pass, along the columns, restores the vertical edges. The second pass fills the rows.
    edges = np.logical_xor.accumulate(toggles, axis=0)
    filled = np.logical_xor.accumulate(edges, axis=1)[:rows, :columns]
    mask[top : top + rows, left : left + columns] |= filled


def _unite(loops: list[Points], start: tuple[int, int], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Fill the loops of one ring in a new mask, using the even-odd rule.

    A hairline that does not lie within a larger loop marks all pixels that it touches.

    Args:
        loops: The loops [N,2].
        start: The column and row of the result's first pixel.
        size: The maximum height and width of the result.
    """
    columns, rows = (np.ceil(np.concatenate(loops).max(axis=0)).astype(int) - start + 1).tolist()
    united = np.zeros((min(rows, size[0]), min(columns, size[1])), np.bool_)
    loops = sorted((loop - start for loop in loops), key=ring_area, reverse=True)
    hairlines = []
    for number, loop in enumerate(loops):
        if _is_hairline(loop) and not any(lies_within(loop, larger) for larger in loops[:number]):
            hairlines.append(loop)
        else:
            _draw_loop(united, loop, hairline=False, toggle=True)
    for loop in hairlines:
        _draw_loop(united, loop, hairline=True)
    return united


def _draw_loop(mask: NDArray[np.bool_], loop: Points, *, hairline: bool, toggle: bool = False) -> None:
    """Mark or toggle the pixels inside a loop [N,2] in a mask [H,W].

    Pillow connects whole pixels and includes the border, so its polygons are one pixel too wide. Drawing at
    four times the size and downscaling reduces this error to an eighth of a pixel.
    """
    left, top = np.floor(loop.min(axis=0)).astype(int).tolist()
    columns, rows = (np.ceil(loop.max(axis=0)).astype(int) - (left, top) + 1).tolist()
    canvas = Image.new("L", (columns * _FINER, rows * _FINER))
    points = [(x, y) for x, y in np.rint((loop - (left, top)) * _FINER - 0.5).astype(int).tolist()]
    pen = ImageDraw.Draw(canvas)
    pen.polygon(points, fill=255)
    if hairline:  # the signed area of a loop that crosses itself may be small, although it is wide
        filled = int(np.count_nonzero(np.asarray(canvas))) / _FINER**2
        hairline = 2 * filled < (HAIRLINE_PX + 2 / _FINER) * perimeter(loop)
    if hairline:  # Pillow leaves gaps where a polygon is thinner than a pixel
        pen.line([*points, points[0]], fill=255)
    target = mask[top : top + rows, left : left + columns]
    drawn = np.asarray(canvas.reduce(_FINER)) > (0 if hairline else 127)
    drawn = drawn[: target.shape[0], : target.shape[1]]
    np.copyto(target, target ^ drawn if toggle else target | drawn)


def _is_hairline(loop: Points) -> bool:
    """Check whether a loop is a hairline. The mean width is twice the area divided by the perimeter."""
    return 2 * ring_area(loop) < HAIRLINE_PX * perimeter(loop)
