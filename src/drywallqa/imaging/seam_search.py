"""The seam inside a box that was drawn around it: the straight thin line that is darker than both its sides.

People label a joint between two boards by a box, up to twenty times as wide as the joint. A search over the
two end points on the box's border, coarse at first, finds the joint itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.imaging.connected_components import Frame
from drywallqa.imaging.straight_lines import StraightLine

Floats = NDArray[np.float64]

LEAST_DEPTH, LEAST_SHARE = 5.0, 0.75
"""From which a line is sure: on 18 boxes of validation photographs all 15 above were right, 1 of 3 below."""
_SIDES = (2.0, 3.5, 5.0)  # px at 640 from the line to where its sides are looked at
_DEEPEST = 12.0  # grey levels; one black screw shall not outweigh a faint line
_BORDER_POINTS = 170
_LEAST_LENGTH = 0.85  # of the box's longer side
_CANDIDATES = 6
_COARSE, _FINE = 40, 96  # places looked at along a line


@dataclass(frozen=True)
class FoundSeam:
    """The likeliest seam of a box.

    Attributes:
        line: Where it runs, in px of the photo.
        depth: Grey levels by which it is darker than both its sides, on average over its length, each place
            counted up to 12.
        share: Share of its length that is darker than both sides.
    """

    line: StraightLine
    depth: float
    share: float

    @property
    def sure(self) -> bool:
        """Whether it may serve as a label."""
        return self.depth >= LEAST_DEPTH and self.share >= LEAST_SHARE


def find_seam(photo: NDArray[np.uint8], frame: Frame) -> FoundSeam | None:
    """Search a box for its seam.

    Args:
        photo: RGB [H,W,3].
        frame: The box: left, top, right, bottom in px, right and bottom excluded.

    Returns:
        The likeliest line, None where the box is too small to hold one.
    """
    left, top, right, bottom = frame
    scale = max(photo.shape[:2]) / 640
    if max(right - left, bottom - top) < 16 * scale:
        return None
    grey = Image.fromarray(photo).convert("L").filter(ImageFilter.GaussianBlur(0.8 * scale))
    values = np.asarray(grey, np.float32)
    step = max(2.0, 2 * (right - left + bottom - top) / _BORDER_POINTS)
    border = _border(frame, step)
    first, second = np.triu_indices(len(border), 1)
    length = np.hypot(*(border[first] - border[second]).T)
    far = length >= _LEAST_LENGTH * max(right - left, bottom - top)
    starts, ends = border[first[far]], border[second[far]]
    parts = max(1, len(starts) // 4000)  # so that few megabytes are held at a time
    pairs = zip(np.array_split(starts, parts), np.array_split(ends, parts), strict=True)
    depths = np.concatenate([_depths(values, *pair, scale, _COARSE).mean(1) for pair in pairs])
    best = np.argsort(-depths)[:_CANDIDATES]
    found = [_refined(values, starts[n], ends[n], step, scale) for n in best]
    return max(found, key=lambda seam: seam.depth)


def _border(frame: Frame, step: float) -> Floats:
    """Points [N,2] (x, y) along a box's four sides."""
    left, top, right, bottom = frame[0], frame[1], frame[2] - 1, frame[3] - 1
    x, y = np.arange(left, right + 1e-6, step), np.arange(top, bottom + 1e-6, step)
    sides = [(x, np.full_like(x, top)), (x, np.full_like(x, bottom))]
    sides += [(np.full_like(y, left), y), (np.full_like(y, right), y)]
    return np.concatenate([np.stack(side, 1) for side in sides])


def _depths(values: NDArray[np.float32], starts: Floats, ends: Floats, scale: float, places: int) -> Floats:
    """Grey levels by which M lines are darker than both sides, at places along each [M,places]."""
    across = ends - starts
    along = across / np.hypot(*across.T)[:, None]
    normal = np.stack([-along[:, 1], along[:, 0]], 1)[:, None]
    centre = starts[:, None] + across[:, None] * ((np.arange(places) + 0.5) / places)[None, :, None]
    height, width = values.shape

    def at(points: Floats) -> Floats:
        columns, rows = np.rint(points).astype(np.int32).transpose(2, 0, 1)
        return np.asarray(values[rows.clip(0, height - 1), columns.clip(0, width - 1)], np.float64)

    on = at(centre)
    each = [
        np.minimum(at(centre + normal * side), at(centre - normal * side)) - on
        for side in (scale * side for side in _SIDES)
    ]
    depths = np.clip(np.stack(each), -_DEEPEST, _DEEPEST)  # [sides,M,places]
    best = depths.mean(2).argmax(0)
    return np.asarray(depths[best, np.arange(len(best))], np.float64)


def _refined(values: NDArray[np.float32], start: Floats, end: Floats, step: float, scale: float) -> FoundSeam:
    """Move both ends to the best of their neighbours, by half a step and then by a pixel."""
    for by in (step / 2, 1.0):
        moves = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]) * by
        starts, ends = np.repeat(start + moves, 9, 0), np.tile(end + moves, (9, 1))
        depths = _depths(values, starts, ends, scale, _FINE)
        best = int(depths.mean(1).argmax())
        start, end = starts[best], ends[best]
    line = StraightLine((float(start[0]), float(start[1])), (float(end[0]), float(end[1])))
    return FoundSeam(line, float(depths[best].mean()), float((depths[best] > 0.5).mean()))
