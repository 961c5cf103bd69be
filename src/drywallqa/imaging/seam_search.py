"""Find the seam inside a labelled box: the straight thin line that is darker than both its sides.

People label a joint between two boards with a box, up to twenty times as wide as the joint. A search over
pairs of points on the border of the box, coarse at first, finds the joint itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.imaging.connected_components import BoundingBox
from drywallqa.imaging.straight_lines import StraightLine

Floats = NDArray[np.float64]

LEAST_DEPTH, LEAST_SHARE = 5.0, 0.75
"""A line is sure from these on: on 18 boxes of the validation set all 15 above were right, 1 of 3 below."""
_SIDES = (2.0, 3.5, 5.0)  # px at 640 from the line to where its sides are measured
_DEEPEST = 12.0  # grey levels; one black screw shall not outweigh a faint line
_BORDER_POINTS = 170
_LEAST_LENGTH = 0.85  # of the box's longer side
_CANDIDATES = 6
_COARSE, _FINE = 40, 96  # places measured along a line
_BATCH = 4000  # lines that are measured at a time, to save memory


@dataclass(frozen=True)
class FoundSeam:
    """The likeliest seam of a box.

    Attributes:
        line: The seam, in px of the photo.
        depth: Grey levels by which it is darker than both its sides, on average over its length; each place
            counts up to 12.
        share: Share of its length that is darker than both sides.
    """

    line: StraightLine
    depth: float
    share: float

    @property
    def sure(self) -> bool:
        """Whether it may serve as a label."""
        return self.depth >= LEAST_DEPTH and self.share >= LEAST_SHARE


def find_seam(photo: NDArray[np.uint8], box: BoundingBox) -> FoundSeam | None:
    """Search a box for its seam.

    Args:
        photo: RGB [H,W,3].
        box: Left, top, right, bottom in px; right and bottom are excluded.

    Returns:
        The likeliest line, or None if the box is too small to hold one.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    scale = max(photo.shape[:2]) / 640
    if max(width, height) < 16 * scale:
        return None
    grey = Image.fromarray(photo).convert("L").filter(ImageFilter.GaussianBlur(0.8 * scale))
    values = np.asarray(grey, np.float32)
    step = max(2.0, 2 * (width + height) / _BORDER_POINTS)
    x, y = np.arange(left, right - 1 + 1e-6, step), np.arange(top, bottom - 1 + 1e-6, step)
    sides = [(x, np.full_like(x, top)), (x, np.full_like(x, bottom - 1))]
    sides += [(np.full_like(y, left), y), (np.full_like(y, right - 1), y)]
    border = np.concatenate([np.stack(side, 1) for side in sides])
    first, second = np.triu_indices(len(border), 1)
    far = np.hypot(*(border[first] - border[second]).T) >= _LEAST_LENGTH * max(width, height)
    starts, ends = border[first[far]], border[second[far]]
    parts = max(1, len(starts) // _BATCH)
    pairs = zip(np.array_split(starts, parts), np.array_split(ends, parts), strict=True)
    depths = np.concatenate([_depths(values, *pair, scale, _COARSE).mean(1) for pair in pairs])
    best = np.argsort(-depths)[:_CANDIDATES]
    found = [_refine(values, starts[n], ends[n], step, scale) for n in best]
    return max(found, key=lambda seam: seam.depth)


def _depths(values: NDArray[np.float32], starts: Floats, ends: Floats, scale: float, places: int) -> Floats:
    """Return the grey levels by which M lines are darker than both sides, at places along each [M,places]."""
    across = ends - starts
    along = across / np.hypot(*across.T)[:, None]
    normal = np.stack([-along[:, 1], along[:, 0]], 1)[:, None]
    centre = starts[:, None] + across[:, None] * ((np.arange(places) + 0.5) / places)[None, :, None]
    height, width = values.shape

    def at(points: Floats) -> Floats:
        columns, rows = np.rint(points).astype(np.int32).transpose(2, 0, 1)
        return np.asarray(values[rows.clip(0, height - 1), columns.clip(0, width - 1)], np.float64)

    on = at(centre)
    sides = [scale * side for side in _SIDES]
    each = [np.minimum(at(centre + normal * side), at(centre - normal * side)) - on for side in sides]
    depths = np.clip(np.stack(each), -_DEEPEST, _DEEPEST)  # [sides,M,places]
    best = depths.mean(2).argmax(0)
    return np.asarray(depths[best, np.arange(len(best))], np.float64)


def _refine(values: NDArray[np.float32], start: Floats, end: Floats, step: float, scale: float) -> FoundSeam:
    """Move both ends to the best of their neighbours, by half a step and then by a pixel."""
    for by in (step / 2, 1.0):
        moves = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]) * by
        starts, ends = np.repeat(start + moves, 9, 0), np.tile(end + moves, (9, 1))
        depths = _depths(values, starts, ends, scale, _FINE)
        best = int(depths.mean(1).argmax())
        start, end = starts[best], ends[best]
    share = float((depths[best] > 0.5).mean())
    return FoundSeam(StraightLine.between(start, end), float(depths[best].mean()), share)
