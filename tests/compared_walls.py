"""Two small inspections of one wall, made without a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.files import file_digest
from drywallqa.inspection.ledger import Finding, Ledger, Observation, PhotoRecord, Place, Visit
from drywallqa.inspection.ledger_file import write_ledger
from visited_walls import observation, straight

SIZE = (400, 300)  # width, height
SHIFT = np.array([12.0, 8.0])
LINE = straight((60, 60), (320, 220))
OTHER = straight((80, 240), (240, 190))


def paint(seed: int, lines: list[tuple[np.ndarray, float]], shift: np.ndarray) -> Image.Image:
    """A wall with 150 specks and some dark lines (points, width)."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", SIZE, (170, 170, 170))
    pen = ImageDraw.Draw(image)
    for x, y, radius, grey in generator.uniform((0, 0, 2, 90), (*SIZE, 6, 240), (150, 4)):
        box = (x + shift[0] - radius, y + shift[1] - radius, x + shift[0] + radius, y + shift[1] + radius)
        pen.ellipse(box, fill=(int(grey),) * 3)
    for points, width in lines:
        pen.line([tuple(point + shift) for point in points], fill=(30, 30, 30), width=round(width))
    return image


def write_visit(
    folder: Path,
    lines: list[tuple[np.ndarray, float]],
    *,
    shift: np.ndarray | None = None,
    seed: int = 1,
    marked: int | None = None,
    date: str = "2026-11-01",
) -> Path:
    """Write a photo of the lines and its inspection; only the first `marked` lines become findings."""
    moved = np.zeros(2) if shift is None else shift
    (folder / "photos").mkdir(parents=True)
    photo = folder / "photos" / "wall.png"
    paint(seed, lines, moved).save(photo)
    found: list[Observation] = [
        observation(points + moved, width, "wall.png")
        for points, width in lines[: len(lines) if marked is None else marked]
    ]
    record = PhotoRecord("wall.png", ".", file_digest(photo), *SIZE)
    visit = Visit(1, date, model="m", photos=(record,), folder="photos")
    findings = tuple(Finding(number, ".", "crack", (one,)) for number, one in enumerate(found, 1))
    ledger = Ledger("house", len(found) + 1, (Place("."),), (visit,), findings)
    results = folder / "results"
    results.mkdir()
    write_ledger(replace(ledger, visits=(replace(visit, folder="../photos"),)), results / "inspection.json")
    return results
