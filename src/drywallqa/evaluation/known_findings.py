"""Measure rendered cracks of known geometry, and record the measured and the true values of each finding."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine, find_lines
from drywallqa.imaging.morphology import Mask, dilate
from drywallqa.inspection.crack_sizes import largest_width, raw_sizes, reliable_points
from drywallqa.metrics import TOLERANCE
from drywallqa.synthetic.canvas import Photo
from drywallqa.synthetic.known_cracks import (
    CALIBRATION_SURFACES,
    FORMS,
    KNOWN_WIDTHS,
    TEST_SURFACES,
    Form,
    KnownCrack,
    KnownWall,
    render_known_wall,
)

Floats = NDArray[np.float64]
Part = Literal["calibration", "test"]
Source = Literal["truth", "model"]
Segment = Callable[[Photo], tuple[Mask, NDArray[np.float32]]]
"""Returns the crack mask [H,W] and the probability [H,W] of a photo."""

SEEDS: dict[Part, int] = {"calibration": 170_001, "test": 170_002}
SURFACES = {"calibration": CALIBRATION_SURFACES, "test": TEST_SURFACES}
SOURCES: tuple[Source, ...] = ("truth", "model")

_TRUTH_PLAN = tuple(  # the widths on consecutive walls; each class occurs twice
    tuple(KNOWN_WIDTHS[(4 * wall + cell) % len(KNOWN_WIDTHS)] for cell in range(4)) for wall in range(5)
)
MODEL_PLAN = (
    (0.7, 1.0, 1.5, 2.0), (3.0, 5.0, 0.7, 1.0), (1.5, 2.0, 3.0, 5.0),
    *((width,) for width in (8.0, 12.0, 20.0, 30.0) for _ in range(2)),
)  # fmt: skip
MODEL_FORMS: tuple[Form, ...] = ("natural", "natural", "natural", "branched")
"""Widths on consecutive walls, and forms of the cracks, if the outlines are from the model."""
_NEAR = (0.5, 4.0)  # a found line belongs to a crack within this many widths plus px of its centre line
_COMPLETE = 0.9  # share of each true line that the found lines must follow


@dataclass(frozen=True)
class KnownFinding:
    """One rendered crack and what was measured on it.

    Attributes:
        wall: Number of the wall.
        source: Where the outline is from: the true mask, made three times too wide, or the model.
        width: Width class in px.
        form: Form of the crack.
        angle: Direction in degrees.
        surface: Name of the surface.
        marked: Share of the true centre lines that the outline marks.
        found: Whether lines were found.
        complete: Whether the found lines follow every line of the crack.
        told: Whether a width was stated as a number.
        width_px: Measured mean width in px.
        point_error: Mean absolute error of the width over the points of the centre line in px.
        truths: True value of each quantity.
        values: Measured value of each quantity before calibration.
        sigmas: Uncertainty of each value.
    """

    wall: int
    source: Source
    width: float
    form: str
    angle: float
    surface: str
    marked: float
    found: bool = False
    complete: bool = False
    told: bool = False
    width_px: float = 0.0
    point_error: float = 0.0
    truths: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    sigmas: dict[str, float] = field(default_factory=dict)


def measure_walls(
    part: Part, source: Source, count: int, path: Path, segment: Segment | None = None
) -> Iterator[int]:
    """Render walls and append one line of JSON per wall to a file. Walls that the file contains are skipped.

    The true masks are measured on cracks of all forms. The model does not take a perfectly straight bar for a
    crack, so it is measured on cracks of natural form. There, wide cracks are alone on their wall and longer.

    Args:
        part: Seeds and surfaces to use.
        source: Where the outlines are from.
        count: Number of cracks per width class.
        path: The file.
        segment: The model, if the outlines are from the model.

    Yields:
        The number of each measured wall.
    """
    done = {finding.wall for finding in read_findings(path)}
    plan, forms = (_TRUTH_PLAN, FORMS) if segment is None else (MODEL_PLAN, MODEL_FORMS)
    for number in range(-(-count // 2) * len(plan)):
        if number not in done:
            seed = [SEEDS[part], SOURCES.index(source), number]
            wall = render_known_wall(seed, plan[number % len(plan)], SURFACES[part], forms)
            found = [asdict(finding) for finding in measure_wall(number, wall, segment)]
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            yield number


def read_findings(path: Path) -> list[KnownFinding]:
    """Read the findings of all walls that were written completely."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [KnownFinding(**finding) for line in lines for finding in json.loads(line)]


def measure_wall(number: int, wall: KnownWall, segment: Segment | None) -> Iterator[KnownFinding]:
    """Measure all cracks of one wall, in outlines of the model or in true masks made three times too wide."""
    outline, probability = np.zeros(wall.photo.shape[:2], np.bool_), None
    if segment is None:
        for crack in wall.cracks:
            outline |= dilate(crack.mask, max(1, round(crack.width)))
    else:
        outline, probability = segment(wall.photo)
    lines = find_lines(wall.photo, outline, probability).lines
    near = dilate(outline, round(TOLERANCE * max(outline.shape) / 640))
    for crack in wall.cracks:
        yield _measure_crack(
            number, wall.surface, "truth" if segment is None else "model", crack, lines, near
        )


def _measure_crack(
    number: int, surface: str, source: Source, crack: KnownCrack, lines: Sequence[CrackLine], near: Mask
) -> KnownFinding:
    points = np.concatenate([line.points for line in crack.lines])
    column, row = np.clip(points.round().astype(int), 0, np.array(near.shape[::-1]) - 1).T
    finding = KnownFinding(
        number, source, crack.width, crack.form, crack.angle, surface, float(near[row, column].mean())
    )
    own = [line for line in lines if _belongs(line, points, crack.width)]
    raw = raw_sizes(own) if own else None
    if raw is None:
        return finding
    truths = _truths(crack, own if source == "model" else None)
    return KnownFinding(
        **{name: getattr(finding, name) for name in ("wall", "source", "width", "form", "angle", "surface")},
        marked=finding.marked,
        found=True,
        complete=_is_complete(crack, own),
        told=raw.told,
        width_px=raw.width_px,
        point_error=_point_error(crack, own),
        truths=truths,
        values={name: size.value for name, size in raw.sizes.items()},
        sigmas={name: size.sigma for name, size in raw.sizes.items()},
    )


def _belongs(line: CrackLine, points: Floats, width: float) -> bool:
    """Check whether the middle of a found line lies on a crack with these centre points [N,2]."""
    distance = np.hypot(*(points - line.points[len(line.points) // 2]).T).min()
    return bool(distance < _NEAR[0] * width + _NEAR[1])


def _truths(crack: KnownCrack, found: Sequence[CrackLine] | None) -> dict[str, float]:
    """Return the true quantities of a crack; widths of the found part if `found` is given."""
    parts = [line.widths[::4] for line in crack.lines]  # about 1 px apart, as the found points
    if found is not None:
        parts = [_true_widths(crack, line.points) for line in found]
    widths = np.concatenate(parts)
    return {
        "length": crack.length,
        "area": crack.area,
        "width_mean": float(widths.mean()),
        "width_median": float(np.median(widths)),
        "width_p95": float(np.percentile(widths, 95)),
        "width_max": max(largest_width(part, np.ones(len(part), np.bool_))[0] for part in parts),
    }


def _true_widths(crack: KnownCrack, points: Floats) -> Floats:
    """Return the true width [N] at the place of the crack that is nearest to each point [N,2]."""
    places = np.concatenate([line.points[::2] for line in crack.lines])
    widths = np.concatenate([line.widths[::2] for line in crack.lines])
    steps = points[:, None] - places[None]
    return np.asarray(widths[np.hypot(steps[..., 0], steps[..., 1]).argmin(axis=1)])


def _point_error(crack: KnownCrack, found: Sequence[CrackLine]) -> float:
    errors = [
        np.abs(line.width - _true_widths(crack, line.points))[kept]
        for line, kept in zip(found, reliable_points(found), strict=True)
    ]
    return float(np.concatenate(errors).mean())


def _is_complete(crack: KnownCrack, found: Sequence[CrackLine]) -> bool:
    """Check whether found lines follow every line of a crack."""
    places = np.concatenate([line.points for line in found])
    for line in crack.lines:
        steps = line.points[::4, None] - places[None]
        near = np.hypot(steps[..., 0], steps[..., 1]).min(axis=1) < 0.25 * crack.width + 3
        if near.mean() < _COMPLETE:
            return False
    return True
