"""Straight pieces of line, and how to find them in a mask: the joint itself, not the area around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.skeleton import mean_width

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Point = tuple[float, float]

_LONGER_SIDE = 1280  # of the copy that lines are looked for in
_MOST_POINTS = 20_000
_ANGLES = np.deg2rad(np.arange(0, 180, 0.5))
_GAP = 0.06  # of the longer side that a line may be hidden in between
_MOST = 32


@dataclass(frozen=True)
class StraightLine:
    """A straight piece of line from `start` to `end` (x, y in px)."""

    start: Point
    end: Point

    @property
    def length(self) -> float:
        """Length in px."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    def direction(self) -> tuple[float, float]:
        """Unit vector from start to end."""
        length = max(self.length, 1e-6)
        return (self.end[0] - self.start[0]) / length, (self.end[1] - self.start[1]) / length

    def place(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signed distance across and position along the line for every pixel, float32 [H,W], px."""
        rows = np.arange(size[0], dtype=np.float32)[:, None] - np.float32(self.start[1])
        columns = np.arange(size[1], dtype=np.float32)[None, :] - np.float32(self.start[0])
        along_x, along_y = (np.float32(value) for value in self.direction())
        return columns * -along_y + rows * along_x, columns * along_x + rows * along_y

    def band(self, size: tuple[int, int], half_width: float) -> Mask:
        """Pixels within `half_width` px of the line, bool [H,W]."""
        across, along = self.place(size)
        return (np.abs(across) <= half_width) & (along >= 0) & (along <= self.length)

    def box(self, size: tuple[int, int], margin: float) -> Mask:
        """Axis-aligned box around the line with a margin in px, as people label it; bool [H,W]."""
        mask = np.zeros(size, np.bool_)
        (x0, y0), (x1, y1) = self.start, self.end
        top, bottom = max(0, round(min(y0, y1) - margin)), round(max(y0, y1) + margin)
        left, right = max(0, round(min(x0, x1) - margin)), round(max(x0, x1) + margin)
        mask[top : max(0, bottom), left : max(0, right)] = True
        return mask


def straight_lines(mask: Mask, least: float = 0.05) -> list[StraightLine]:
    """Find the straight lines that a mask [H,W] is made of, the longest support first.

    A Hough transform proposes, total least squares refines; what a line explains is taken away before the
    next is looked for. Gaps of up to 6 % of the longer side are bridged; a curve becomes several pieces.

    Args:
        mask: What is marked; a band becomes its middle line.
        least: Length below which a line does not count, in longer sides.
    """
    longer = max(mask.shape)
    step = -(-longer // _LONGER_SIDE)
    small = _shrunk(mask, step)
    width = mean_width(small)
    if not width:
        return []
    rows, columns = np.nonzero(small)
    points = np.stack([columns, rows], 1).astype(np.float64)
    points = points[:: -(-len(points) // _MOST_POINTS)]
    side = max(small.shape)
    within = max(2.0 * side / 640, 0.75 * width)
    found: list[StraightLine] = []
    for _ in range(_MOST):
        if len(points) < 2:
            break
        line, near = _strongest(points, within, _GAP * side)
        if line is None or line.length < least * side:
            break
        found.append(_scaled(line, step))
        points = points[~near]
    return found


def _shrunk(mask: Mask, step: int) -> Mask:
    """Mark each block of step×step px that holds a marked one."""
    if step == 1:
        return mask
    height, width = (-(-side // step) * step for side in mask.shape)
    padded = np.zeros((height, width), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return np.asarray(padded.reshape(height // step, step, width // step, step).any((1, 3)))


def _scaled(line: StraightLine, step: int) -> StraightLine:
    def back(point: Point) -> Point:
        return step * point[0] + (step - 1) / 2, step * point[1] + (step - 1) / 2

    return StraightLine(back(line.start), back(line.end))


def _strongest(points: Floats, within: float, gap: float) -> tuple[StraightLine | None, Mask]:
    """The line with most points [N,2] near it, and which those are [N]."""
    angle, offset = _peak(points, within)
    normal = np.array([np.cos(angle), np.sin(angle)])
    near = np.abs(points @ normal - offset) <= 1.5 * within
    for _ in range(3):
        if near.sum() < 2:
            return None, near
        middle = points[near].mean(0)
        # the direction in which the points spread least is the normal of their line
        normal = np.linalg.eigh(np.cov((points[near] - middle).T))[1][:, 0]
        near = np.abs((points - middle) @ normal) <= within
    along = np.array([normal[1], -normal[0]])
    places = (points - middle) @ along
    first, last = _longest_run(np.sort(places[near]), gap)
    near &= (places >= first) & (places <= last)
    start, end = middle + first * along, middle + last * along
    line = StraightLine((float(start[0]), float(start[1])), (float(end[0]), float(end[1])))
    return line, near


def _peak(points: Floats, within: float) -> tuple[float, float]:
    """Angle of the normal and distance from the origin of the line with most points about it."""
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


def _longest_run(places: Floats, gap: float) -> tuple[float, float]:
    breaks = np.flatnonzero(np.diff(places) > gap)
    firsts, lasts = places[np.append(0, breaks + 1)], places[np.append(breaks, len(places) - 1)]
    longest = int((lasts - firsts).argmax())
    return float(firsts[longest]), float(lasts[longest])
