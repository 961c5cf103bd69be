"""The share of labelled cracks on real photos that a model finds, by the width of the crack.

The centre line of each label is cut into sections of about 40 px in the scale of the detection limit
(`inspection.detection_limit`). A section counts as found if the mask marks at least half of its line, as for
rendered cracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.detection_limits import FOUND_SHARE
from drywallqa.imaging.line_search import CrackLine, find_lines
from drywallqa.imaging.morphology import Mask, dilate, label_components, mean_width, skeletonise
from drywallqa.inspection.crack_sizes import reliable_points
from drywallqa.inspection.detection_limit import View
from drywallqa.metrics import TOLERANCE
from drywallqa.synthetic.canvas import Photo

Floats = NDArray[np.float64]

SECTION = 40.0
"""Length of a section in px in the scale of the detection limit."""
WIDTH_EDGES = (0.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, float("inf"))
"""Ends of the width classes in px."""

_SHORTEST = 0.5  # in section lengths; shorter pieces are not counted
_BESIDE = 3.0  # px, distance between a found line and the label's centre line that still counts
_LEAST_READ = 5  # points of a found line that a section needs for a reading
_LEAST_SECTIONS, _ENOUGH = 20, 0.9  # sections in a class, and share of them that must be found
_DRAWS, _SEED = 2000, 170_004


@dataclass(frozen=True, eq=False)
class LabelledWall:
    """A real photo with the label of its cracks.

    Attributes:
        name: Name of the photo.
        photo: The photo, uint8 [H,W,3].
        label: The label, bool [H,W].
        view: How the model sees the photo.
        scale: Px of the photo per px in the scale of the detection limit.
    """

    name: str
    photo: Photo
    label: Mask
    view: View
    scale: float


@dataclass(frozen=True)
class Section:
    """A piece of a labelled crack.

    Attributes:
        photo: Name of the photo.
        view: How the model saw the photo.
        label_width: Width of the label in px in the scale of the detection limit.
        read_width: Median width that the line search reads there, in the same scale. None if it sees no line.
        found: Whether the model's mask marks at least half of the piece's line.
    """

    photo: str
    view: View
    label_width: float
    read_width: float | None
    found: bool


def measure_sections(wall: LabelledWall, mask: Mask) -> Iterator[Section]:
    """Cut the label of one photo into sections, and check which of them the model's mask [H,W] marks."""
    label, scale = wall.label, wall.scale
    if not label.any():
        return
    side = max(2, round(SECTION * scale))
    cut = label.copy()
    cut[::side] = False
    cut[:, ::side] = False
    pieces = label_components(cut)
    areas = np.bincount(pieces.ravel())
    row, column = np.nonzero(skeletonise(label) & cut)
    number = pieces[row, column]
    near = dilate(mask, round(TOLERANCE * max(mask.shape) / 640))[row, column]
    readings = _Readings(find_lines(wall.photo, dilate(label, max(1, round(mean_width(label))))).lines, side)
    order = np.argsort(number, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        points = np.stack([column[own], row[own]], axis=1).astype(np.float64)
        length = max(float(len(own)), float(np.hypot(*np.ptp(points, axis=0))))
        if length >= _SHORTEST * side:
            width = float(areas[number[own[0]]]) / length
            read = readings.near(points, width / 2 + _BESIDE)
            found = bool(near[own].mean() >= FOUND_SHARE)
            read = None if read is None else read / scale
            yield Section(wall.name, wall.view, width / scale, read, found)


class _Readings:
    """Widths that the line search reads, by place."""

    def __init__(self, lines: Sequence[CrackLine], side: int) -> None:
        self._side = side
        kept = reliable_points(lines)
        self._points = np.concatenate(
            [np.zeros((0, 2)), *(line.points[own] for line, own in zip(lines, kept, strict=True))]
        )
        self._widths = np.concatenate(
            [np.zeros(0), *(line.width[own] for line, own in zip(lines, kept, strict=True))]
        )
        self._cells = self._points // side

    def near(self, points: Floats, reach: float) -> float | None:
        """Return the median width near points [N,2] of one cell; None if too few readings are near."""
        own = (self._cells == points[0] // self._side).all(axis=1)
        steps = self._points[own][:, None] - points[None]
        beside = np.hypot(steps[..., 0], steps[..., 1]).min(axis=1) <= reach
        return float(np.median(self._widths[own][beside])) if beside.sum() >= _LEAST_READ else None


def sections_table(sections: Sequence[Section]) -> str:
    """Return a Markdown table of the share of found sections, by the width of the label and as read."""
    rows = [
        "| width (px) | sections by label (photos) | found | sections as read (photos) | found |",
        "|---|---:|---:|---:|---:|",
    ]
    for low, high in pairwise(WIDTH_EDGES):
        by_label = [one for one in sections if low <= one.label_width < high]
        as_read = [one for one in sections if one.read_width is not None and low <= one.read_width < high]
        size = f"{low:g}–{high:g}" if np.isfinite(high) else f"from {low:g}"
        if by_label or as_read:
            rows.append(f"| {size} | {_cells(by_label)} | {_cells(as_read)} |")
    unread = [one for one in sections if one.read_width is None]
    rows.append(f"| no line read | – | – | {_cells(unread)} |")
    rows.append(f"| all | {_cells(sections)} | | |")
    return "\n".join(rows)


def narrowest_found(sections: Sequence[Section]) -> float:
    """Return the width in px from which at least 90 % of the sections are found in each width class.

    Widths are as read. Classes with few sections are skipped. If 90 % are found in no class, the width of the
    widest class is returned.
    """
    read = [(one.read_width, one.found) for one in sections if one.read_width is not None]
    narrowest = WIDTH_EDGES[-2]
    for low, high in reversed(list(pairwise(WIDTH_EDGES[:-1]))):
        own = [found for width, found in read if low <= width < high]
        if len(own) >= _LEAST_SECTIONS and np.mean(own) < _ENOUGH:
            break
        narrowest = low if len(own) >= _LEAST_SECTIONS else narrowest
    return narrowest


def _cells(sections: Sequence[Section]) -> str:
    photos = len({one.photo for one in sections})
    if not sections:
        return "0 | –"
    share = np.mean([one.found for one in sections])
    low, high = found_interval(sections)
    return f"{len(sections)} ({photos}) | {share:.0%} ({low:.0%}–{high:.0%})"


def found_interval(sections: Iterable[Section]) -> tuple[float, float]:
    """Return the 95 % interval of the share of found sections, from a bootstrap over photos."""
    counts: dict[str, list[int]] = {}
    for one in sections:
        own = counts.setdefault(one.photo, [0, 0])
        own[0] += one.found
        own[1] += 1
    table = np.array(list(counts.values()), dtype=np.float64)
    drawn = table[np.random.default_rng(_SEED).integers(0, len(table), (_DRAWS, len(table)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return float(low), float(high)
