"""Made-up inspections of rendered walls for tests: the masks are exact, the verdicts are invented."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from drywallqa.imaging.morphology import label_components, skeletonise
from drywallqa.inspection.ledger import (
    CentreLine,
    Finding,
    Ledger,
    Observation,
    PhotoRecord,
    Place,
    ScaleRecord,
    Sizes,
    Verdict,
    Visit,
)
from drywallqa.inspection.measures import Measure
from drywallqa.inspection.rules import load_rule_set
from drywallqa.synthetic.examples import EXAMPLES, render_example
from drywallqa.visualization.inspection_pictures import picture_folder, seen_on, write_inspection_pictures

SCALE = ScaleRecord(0.4, 0.02, "--mm-per-pixel")
RULES = load_rule_set("nhbc-9.1")
OUTCOMES = ("fail", "monitor", "pass", "not assessable")


@cache
def wall(place: int, size: tuple[int, int]):
    return render_example(EXAMPLES[place % len(EXAMPLES)], size)


def measure(value: float, share: float = 0.15) -> Measure:
    return Measure(value, value * (1 - share), value * (1 + share))


def centre_line(mask: np.ndarray) -> CentreLine:
    """The skeleton's pixels in the order of its main direction: good enough for a picture."""
    points = np.argwhere(skeletonise(mask))[:, ::-1].astype(float)
    centred = points - points.mean(0)
    main = np.linalg.svd(centred, full_matrices=False)[2][0] if len(points) > 2 else np.array([1.0, 0.0])
    points = points[np.argsort(centred @ main)]
    width = float(mask.sum()) / max(len(points), 1)
    widths = width * (1 + 0.3 * np.sin(np.arange(len(points)) / 25))
    kept = slice(None, None, max(1, len(points) // 200))
    return CentreLine(tuple(map(tuple, points[kept].tolist())), tuple(widths[kept].tolist()))


def observe(mask: np.ndarray, photo: str, number: int, visit: int = 1, scaled: bool = True) -> Observation:
    rows, columns = np.nonzero(mask)
    line = centre_line(mask)
    length, widest = float(len(line.points)), int(np.argmax(line.width_px))
    width = float(np.mean(line.width_px))
    px = Sizes(
        "px", measure(length, 0.01), measure(float(mask.sum())), *[measure(width)] * 3, measure(width * 1.3)
    )
    mm = Sizes("mm", *(getattr(px, name).times(SCALE.mm_per_pixel) for name in
               ("length", "area", "width_mean", "width_median", "width_p95", "width_max")))  # fmt: skip
    outcome = OUTCOMES[number % len(OUTCOMES)] if scaled else "not assessable"
    verdict = Verdict(
        "crack-width", outcome, "The largest width of 1.6 mm (1.3–1.8 mm) is compared with 2 mm.",
        "Photograph the crack from 0.8 m." if outcome == "not assessable" else "",
    )  # fmt: skip
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    ring = tuple((float(x), float(y)) for x, y in ((box[0], box[1]), (box[2], box[1]), (box[2], box[3])))
    return Observation(
        visit, photo, "compact", box, (ring,), (line,), px, mm if scaled else None, line.points[widest],
        float(number * 37 % 180), 1.05, 0, 2, None, 0.9, True, (verdict,),
    )  # fmt: skip


def masks_of(place: int, size: tuple[int, int], most: int) -> Iterator[tuple[str, np.ndarray]]:
    for concept, mask in wall(place, size).masks.items():
        labels = label_components(mask)
        parts = sorted((labels == one for one in range(1, labels.max() + 1)), key=lambda part: -part.sum())
        for part in [part for part in parts if part.sum() > 20][:most]:
            yield ("joint" if concept == "taping area" else concept), part


def inspected(
    folder: Path, photos: int = 1, size: tuple[int, int] = (320, 320), names: tuple[str, ...] = (),
    most: int = 6, scaled: bool = True,
) -> Ledger:  # fmt: skip
    """Write the pictures of an inspection into a folder, and return its ledger."""
    records, findings, number = [], [], 0
    for place in range(photos):
        path = (
            names[place] if names else f"room-{place // 12 + 1}/wall-{place // 4 % 3 + 1}/IMG_{place:04d}.jpg"
        )
        record = PhotoRecord(
            path, path.rpartition("/")[0], f"{place:064x}", size[1], size[0],
            ("the photo is out of focus",) if place % 5 == 3 else (), SCALE if scaled else None, 1.5, 8.0,
        )  # fmt: skip
        own = []
        for concept, mask in masks_of(place, size, most):
            number += 1
            own.append(Finding(number, record.place, concept, (observe(mask, path, number, 1, scaled),)))
        write_inspection_pictures(
            wall(place, size).photo, record, seen_on(path, 1, own), picture_folder(folder, 1)
        )
        records.append(record)
        findings += own
    places = sorted({record.place for record in records})
    return Ledger(
        "Maple Street 12", number + 1,
        tuple(Place(one, one.partition("/")[0], one.rpartition("/")[2]) for one in places),
        (Visit(1, "2026-11-30", "A. Reviewer", "compact 1.0", "ab" * 32, {"crack": 0.41}, "nhbc-9.1 1",
               tuple(sorted(records, key=lambda record: record.path))),),
        tuple(findings),
    )  # fmt: skip
