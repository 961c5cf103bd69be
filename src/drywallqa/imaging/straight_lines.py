"""Straight line segments, and how to find them in a mask: the joint itself, not the area around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.morphology import mean_width

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Point = tuple[float, float]

_LONGER_SIDE = 1280  # px of the reduced mask
_MOST_POINTS = 20_000
_ANGLES = np.deg2rad(np.arange(0, 180, 0.5))
_GAP = 0.06  # of the longer side; the longest gap in a line
_MOST = 32


@dataclass(frozen=True)
class StraightLine:
    """A straight line segment from `start` to `end` (x, y in px)."""

    start: Point
    end: Point

    @classmethod
    def between(cls, start: Floats, end: Floats) -> StraightLine:
        """Make a line of two points [2]."""
        return cls((float(start[0]), float(start[1])), (float(end[0]), float(end[1])))

    @property
    def length(self) -> float:
        """Length in px."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    def direction(self) -> tuple[float, float]:
        """Unit vector from start to end."""
        length = max(self.length, 1e-6)
        return (self.end[0] - self.start[0]) / length, (self.end[1] - self.start[1]) / length

    def place(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each pixel's signed distance across and position along the line, float32 [H,W], px."""
        rows = np.arange(size[0], dtype=np.float32)[:, None] - np.float32(self.start[1])
        columns = np.arange(size[1], dtype=np.float32)[None, :] - np.float32(self.start[0])
        along_x, along_y = (np.float32(value) for value in self.direction())
        return columns * -along_y + rows * along_x, columns * along_x + rows * along_y

    def band(self, size: tuple[int, int], half_width: float) -> Mask:
        """Return the pixels within `half_width` px of the line, bool [H,W]."""
        across, along = self.place(size)
        return (np.abs(across) <= half_width) & (along >= 0) & (along <= self.length)

    def box(self, size: tuple[int, int], margin: float) -> Mask:
        """Return an axis-aligned box around the line with a margin in px, as people label it; bool [H,W]."""
        mask = np.zeros(size, np.bool_)
        (x0, y0), (x1, y1) = self.start, self.end
        top, bottom = max(0, round(min(y0, y1) - margin)), round(max(y0, y1) + margin)
        left, right = max(0, round(min(x0, x1) - margin)), round(max(x0, x1) + margin)
        mask[top : max(0, bottom), left : max(0, right)] = True
        return mask


def straight_lines(mask: Mask, least: float = 0.05) -> list[StraightLine]:
    """Find the straight lines in a mask [H,W], those with the most pixels first.

    A Hough transform proposes a line, total least squares refines it, and its pixels are removed before the
    next search. Gaps of up to 6 % of the longer side are bridged; a curve becomes several lines.

    Args:
        mask: The mask; a band becomes its middle line.
        least: The least length of a line, as a share of the longer side.
    """
    step = -(-max(mask.shape) // _LONGER_SIDE)
    small = _reduce(mask, step)
    width = mean_width(small)
    if not width:
        return []
    rows, columns = np.nonzero(small)
    points = np.stack([columns, rows], 1).astype(np.float64)
    points = points[:: -(-len(points) // _MOST_POINTS)]
    side = max(small.shape)
    within = max(2.0 * side / 640, 0.75 * width)
    found: list[StraightLine] = []
    while len(points) >= 2 and len(found) < _MOST:
        ends, near = _strongest(points, within, _GAP * side)
        if ends is None or np.hypot(*(ends[1] - ends[0])) < least * side:
            break
        found.append(StraightLine.between(*(ends * step + (step - 1) / 2)))
        points = points[~near]
    return found


def _reduce(mask: Mask, step: int) -> Mask:
    """Mark each block of step×step px that holds a marked pixel."""
    if step == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % step), (0, -width % step)))
    return np.asarray(padded.reshape(-(-height // step), step, -(-width // step), step).any((1, 3)))


def _strongest(points: Floats, within: float, gap: float) -> tuple[Floats | None, Mask]:
    """Return the ends [2,2] of the line with the most points [N,2] near it, and whether each is near [N]."""
    angle, offset = _peak(points, within)
    normal = np.array([np.cos(angle), np.sin(angle)])
    near = np.abs(points @ normal - offset) <= 1.5 * within
    for _ in range(3):
        if near.sum() < 2:
            return None, near
        middle = points[near].mean(0)
        # The normal of a line is the direction in which its points spread least.
        normal = np.linalg.eigh(np.cov((points[near] - middle).T))[1][:, 0]
        near = np.abs((points - middle) @ normal) <= within
    along = np.array([normal[1], -normal[0]])
    places = (points - middle) @ along
    inside = np.sort(places[near])
    breaks = np.flatnonzero(np.diff(inside) > gap)
    firsts, lasts = inside[np.append(0, breaks + 1)], inside[np.append(breaks, len(inside) - 1)]
    longest = int((lasts - firsts).argmax())
    first, last = firsts[longest], lasts[longest]
    near &= (places >= first) & (places <= last)
    return np.array([middle + first * along, middle + last * along]), near


def _peak(points: Floats, within: float) -> tuple[float, float]:
    """Return the angle of the normal and the distance from the origin of the line with the most points."""
    best, at = -1, (0.0, 0.0)
    for angle in _ANGLES:
        offsets = points @ np.array([np.cos(angle), np.sin(angle)]) / within
        low = offsets.min()
        counts = np.bincount((offsets - low).astype(np.intp))
        pairs = counts + np.append(counts[1:], 0)  # a line may lie on the border of two bins
        place = int(pairs.argmax())
        if pairs[place] > best:
            best, at = int(pairs[place]), (float(angle), float((low + place + 1) * within))
    return at
