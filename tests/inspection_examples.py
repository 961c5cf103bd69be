"""Small parts of an inspection that several test files build on."""

from __future__ import annotations

from typing import Any

from drywallqa.inspection.ledger import (
    CentreLine,
    Finding,
    Ledger,
    Observation,
    PhotoRecord,
    Place,
    ScaleRecord,
    Sizes,
    Visit,
)
from drywallqa.inspection.measures import Measure

LINE = CentreLine(((10.0, 25.0), (35.0, 25.0), (59.0, 25.0)), (5.0, 6.0, 5.0), (0.5, 0.6, 0.5))


def around(value: float, half: float = 0.0) -> Measure:
    return Measure(value, max(value - half, 0.0), value + half)


def sizes_of(unit: Any, width: Measure, length: Measure | None = None) -> Sizes:
    long = length or around(100.0)
    return Sizes(unit, long, around(200.0), width, width, width, width)


def observation_of(mm: Measure | None = None, px: Measure | None = None, **changes: Any) -> Observation:
    """An observation whose widths are all the same; in px 10 times as many as in mm."""
    in_px = px or (mm.times(10) if mm else around(5.0))
    values: dict[str, Any] = {
        "visit": 1, "photo": "hall/a.jpg", "model": "compact", "box": (10, 20, 60, 31),
        "polygon": (((10.0, 20.0), (59.0, 20.0), (59.0, 30.0), (10.0, 30.0)),),
        "centre_lines": (LINE,),
        "px": sizes_of("px", in_px), "mm": sizes_of("mm", mm) if mm else None, "widest_at": (35.0, 25.0),
        "orientation": 0.0, "tortuosity": 1.0, "branches": 0, "ends": 2, "straightness": None,
        "probability": 0.9,
    }  # fmt: skip
    return Observation(**(values | changes))


def photo_of(mm_per_pixel: float | None = 0.1, **changes: Any) -> PhotoRecord:
    scale = ScaleRecord(mm_per_pixel, 0.0, "given") if mm_per_pixel else None
    values: dict[str, Any] = {
        "path": "hall/a.jpg", "place": "hall", "digest": "0" * 64, "width": 4000, "height": 3000,
        "scale": scale, "detection_limit_px": 2.0,
    }  # fmt: skip
    return PhotoRecord(**(values | changes))


def ledger_of(*findings: Finding, photos: tuple[PhotoRecord, ...] = ()) -> Ledger:
    """A ledger with one visit; the next number follows the highest number of the findings."""
    visit = Visit(1, "2026-11-30", "Ann", "compact", "1" * 64, {"crack": 0.5}, photos=photos or (photo_of(),))
    number = max((finding.number for finding in findings), default=0) + 1
    places = tuple(Place(place) for place in sorted({photo.place for photo in visit.photos}))
    return Ledger("house", number, places, (visit,), findings)


def finding_of(number: int, *observations: Observation, **changes: Any) -> Finding:
    values: dict[str, Any] = {"place": "hall", "concept": "crack"}
    return Finding(number, observations=observations or (observation_of(around(1.0)),), **(values | changes))
