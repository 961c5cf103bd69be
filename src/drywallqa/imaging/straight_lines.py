"""Find straight line segments in a mask, and find the seams between boards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from drywallqa.imaging.morphology import BoundingBox, Mask, bounding_boxes, label_components, mean_width

Floats = NDArray[np.float64]
Point = tuple[float, float]

_LONGER_SIDE = 1280  # px of the reduced mask
_MOST_POINTS = 20_000
_ANGLES = np.deg2rad(np.arange(0, 180, 0.5))
_GAP = 0.06  # longest gap in a line, as a share of the longer side
_MOST = 32


@dataclass(frozen=True)
class StraightLine:
    """A straight line segment from `start` to `end` (x, y in px)."""

    start: Point
    end: Point

    @classmethod
    def between(cls, start: Floats, end: Floats) -> StraightLine:
        """Create a line from two points, each [2]."""
        return cls((float(start[0]), float(start[1])), (float(end[0]), float(end[1])))

    @property
    def length(self) -> float:
        """Length in px."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    def direction(self) -> tuple[float, float]:
        """Return the unit vector from start to end."""
        length = max(self.length, 1e-6)
        return (self.end[0] - self.start[0]) / length, (self.end[1] - self.start[1]) / length

    def place(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return each pixel's signed distance from the line and its position along the line, [H,W] in px."""
        rows = np.arange(size[0], dtype=np.float32)[:, None] - np.float32(self.start[1])
        columns = np.arange(size[1], dtype=np.float32)[None, :] - np.float32(self.start[0])
        along_x, along_y = (np.float32(value) for value in self.direction())
        return columns * -along_y + rows * along_x, columns * along_x + rows * along_y

    def band(self, size: tuple[int, int], half_width: float) -> Mask:
        """Return the pixels within `half_width` px of the line, bool [H,W]."""
        across, along = self.place(size)
        return (np.abs(across) <= half_width) & (along >= 0) & (along <= self.length)

    def box(self, size: tuple[int, int], margin: float) -> Mask:
        """Return a mask [H,W] of the line's bounding box plus a margin in px, like a hand-drawn label."""
        mask = np.zeros(size, np.bool_)
        (x0, y0), (x1, y1) = self.start, self.end
        top, bottom = max(0, round(min(y0, y1) - margin)), round(max(y0, y1) + margin)
        left, right = max(0, round(min(x0, x1) - margin)), round(max(x0, x1) + margin)
        mask[top : max(0, bottom), left : max(0, right)] = True
        return mask


def straight_lines(mask: Mask, least: float = 0.05) -> list[StraightLine]:
    """Find the straight lines in a mask [H,W], sorted by descending pixel count.

    A Hough transform proposes a line, total least squares refines it, and its pixels are removed before the
    next search. Gaps of up to 6 % of the longer side are bridged. A curve is returned as several lines.

    Args:
        mask: The mask. For a wide band, the function returns the centre line.
        least: The minimum length of a line, as a share of the longer side.
    """
    step = -(-max(mask.shape) // _LONGER_SIDE)
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % step), (0, -width % step)))
    blocks = padded.reshape(-(-height // step), step, -(-width // step), step)
    small = np.asarray(blocks.any((1, 3)))
    band = mean_width(small)
    if not band:
        return []
    rows, columns = np.nonzero(small)
    points = np.stack([columns, rows], 1).astype(np.float64)
    points = points[:: -(-len(points) // _MOST_POINTS)]
    side = max(small.shape)
    within = max(2.0 * side / 640, 0.75 * band)
    found: list[StraightLine] = []
    while len(points) >= 2 and len(found) < _MOST:
        ends, near = _strongest(points, within, _GAP * side)
        if ends is None or np.hypot(*(ends[1] - ends[0])) < least * side:
            break
        found.append(StraightLine.between(*(ends * step + (step - 1) / 2)))
        points = points[~near]
    return found


def _strongest(points: Floats, within: float, gap: float) -> tuple[Floats | None, Mask]:
    """Find the line near the most points [N,2]; return its ends [2,2] and a mask [N] of these points."""
    angle, offset = _peak(points, within)
    normal = np.array([np.cos(angle), np.sin(angle)])
    near = np.abs(points @ normal - offset) <= 1.5 * within
    for _ in range(3):
        if near.sum() < 2:
            return None, near
        middle = points[near].mean(0)
        # The normal of a line is the direction in which its points vary least.
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
    """Find the line near the most points; return its normal's angle and its distance from the origin."""
    best, at = -1, (0.0, 0.0)
    for angle in _ANGLES:
        offsets = points @ np.array([np.cos(angle), np.sin(angle)]) / within
        low = offsets.min()
        counts = np.bincount((offsets - low).astype(np.intp))
        pairs = counts + np.append(counts[1:], 0)  # a line may lie on the border between two bins
        place = int(pairs.argmax())
        if pairs[place] > best:
            best, at = int(pairs[place]), (float(angle), float((low + place + 1) * within))
    return at


# A seam is reliable if its depth and its share reach these values. In boxes of the validation split, 15 of 18
# seams reached both values, and all 15 seams were correct. Of the other 3 seams, 1 was correct.
LEAST_DEPTH, LEAST_SHARE = 5.0, 0.75
_SIDES = (2.0, 3.5, 5.0)  # px at 640 px: distances from the line at which its sides are measured
_DEEPEST = 12.0  # grey levels; limits the effect of a single black screw
_BORDER_POINTS = 170
_LEAST_LENGTH = 0.85  # share of the box's longer side
_CANDIDATES = 6
_COARSE, _FINE = 40, 96  # positions measured along a line
_SLENDER = 3.0  # least ratio of length and width of an outline that shows the direction of its joint
_BATCH = 4000  # lines to measure at a time, to save memory


@dataclass(frozen=True)
class FoundSeam:
    """The most likely seam in a box.

    Attributes:
        line: The seam, in px of the photo.
        depth: Mean number of grey levels by which the seam is darker than both its sides. Before averaging,
            the values are clipped to ±12.
        share: Share of the seam's length that is darker than both sides.
    """

    line: StraightLine
    depth: float
    share: float

    @property
    def sure(self) -> bool:
        """Whether the seam is reliable enough to use as a label."""
        return self.depth >= LEAST_DEPTH and self.share >= LEAST_SHARE


def joint_lines(photo: NDArray[np.uint8], outline: Mask) -> Iterator[StraightLine]:
    """Yield the straight lines of joints between boards.

    The outline of a diagonal joint is often as compact as its box and does not show the joint's direction.
    Such components are searched for the seam in the photo. All others are lines themselves.

    Args:
        photo: RGB uint8 [H,W,3].
        outline: The outline of the joints [H,W].
    """
    slender, labels = outline.copy(), label_components(outline)
    for number, box in enumerate(bounding_boxes(outline), 1):
        left, top, right, bottom = box
        part = labels[top:bottom, left:right] == number
        step = max(1, max(part.shape) // 640)
        width = mean_width(part[::step, ::step]) * step
        if width and max(part.shape) / width >= _SLENDER:
            continue
        seam = find_seam(photo, box)
        if seam is not None and seam.sure:
            slender[top:bottom, left:right] &= ~part
            yield seam.line
    yield from straight_lines(slender)


def find_seam(photo: NDArray[np.uint8], box: BoundingBox) -> FoundSeam | None:
    """Find the most likely seam in a box.

    Args:
        photo: RGB [H,W,3].
        box: Left, top, right, bottom in px; right and bottom are exclusive.

    Returns:
        The seam, or None if the box is too small to contain a seam.
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
    """Return how many grey levels points along M lines are darker than both sides, [M,places]."""
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
    """Move both ends of a line to the best nearby points, first by half a step and then by one pixel."""
    for by in (step / 2, 1.0):
        moves = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]) * by
        starts, ends = np.repeat(start + moves, 9, 0), np.tile(end + moves, (9, 1))
        depths = _depths(values, starts, ends, scale, _FINE)
        best = int(depths.mean(1).argmax())
        start, end = starts[best], ends[best]
    share = float((depths[best] > 0.5).mean())
    return FoundSeam(StraightLine.between(start, end), float(depths[best].mean()), share)
