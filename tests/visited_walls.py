"""Findings of known geometry for the tests of visits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drywallqa.inspection.alignment import Alignment
from drywallqa.inspection.ledger import (
    CentreLine,
    Finding,
    Ledger,
    Observation,
    PhotoRecord,
    Place,
    Sizes,
    Visit,
)
from drywallqa.inspection.measures import Measure
from drywallqa.inspection.visits import PhotoPair

WIDTH, HEIGHT = 800, 600


def straight(start: tuple[float, float], end: tuple[float, float]) -> NDArray[np.float64]:
    return np.linspace(start, end, max(2, int(np.hypot(*np.subtract(end, start)))))


def observation(
    points: NDArray[np.float64], width: float = 4.0, photo: str = "a.jpg", visit: int = 1, sigma: float = 0.1
) -> Observation:
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    mean = Measure(width, max(0.0, width - 1.96 * sigma), width + 1.96 * sigma)
    sizes = Sizes("px", Measure(length, length - 2, length + 2), Measure(1, 1, 1), mean, mean, mean, mean)
    corners = tuple((float(x), float(y)) for x, y in points)
    line = CentreLine(corners, (width,) * len(points))
    box = (*np.floor(points.min(0)).astype(int).tolist(), *np.ceil(points.max(0)).astype(int).tolist())
    return Observation(visit, photo, "m", box, (), (line,), sizes, None, None, 0.0, 1.0, 0, 2, None, 0.9)


def record(path: str, limit: float | None = 1.0) -> PhotoRecord:
    return PhotoRecord(path, "", "0" * 64, WIDTH, HEIGHT, detection_limit_px=limit)


def ledger(found: dict[int, Observation], photos: tuple[str, ...] = ("a.jpg",)) -> Ledger:
    """A ledger of one visit."""
    findings = tuple(Finding(number, "", "crack", (one,)) for number, one in sorted(found.items()))
    visit = Visit(1, "2026-11-30", photos=tuple(record(path) for path in photos))
    return Ledger("house", max(found, default=0) + 1, (Place(""),), (visit,), findings)


def pair(first: str, second: str, homography: NDArray[np.float64] | None = None) -> PhotoPair:
    matrix = np.eye(3) if homography is None else homography
    return PhotoPair(record(first), record(second), Alignment(matrix, 100, 0.3, 1.0))
