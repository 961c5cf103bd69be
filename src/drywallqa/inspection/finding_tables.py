"""Write the observations of a ledger as a table: `findings.csv` and `findings.parquet`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.errors import MissingExtraError
from drywallqa.files import whole_file, write_whole
from drywallqa.inspection.ledger import Ledger, Observation, PhotoRecord, Sizes, Unit
from drywallqa.inspection.ledger_verdicts import worst_outcome

Cell = str | int | float | bool | None

_SIZES = ("length", "area", "width_mean", "width_median", "width_p95", "width_max")
# A cell that starts with one of these is a formula for a spreadsheet (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def finding_columns() -> dict[str, type]:
    """Return the columns of the table in order, with the type of their cells. Every cell can be empty.

    Sizes have their unit in the name. `…_low` and `…_high` are the ends of the 95 % interval. If a photo
    shows only that a size is at most x, the size is empty and `…_at_most` is x.
    """
    texts = ("state", "into", "place", "room", "wall", "concept")
    columns: dict[str, type] = {"finding": int} | dict.fromkeys(texts, str)
    columns |= {"visit": int, "date": str, "photo": str, "model": str}
    columns |= {"verdict": str, "severity": str, "reasons": str, "advice": str}
    for unit in ("mm", "px"):
        for size in _SIZES:
            name = _column(size, unit)
            columns |= dict.fromkeys((name, f"{name}_low", f"{name}_high", f"{name}_at_most"), float)
    columns |= dict.fromkeys(("left_px", "top_px", "right_px", "bottom_px"), int)
    columns |= dict.fromkeys(("widest_x_px", "widest_y_px", "orientation_degrees", "tortuosity"), float)
    columns |= {"branches": int, "ends": int, "straightness_px": float, "probability": float}
    columns |= {"line_visible": bool, "mm_per_pixel": float, "scale_source": str}
    detection = ("detection_limit_mm", "detection_limit_px", "detection_widest_mm", "detection_widest_px")
    return columns | dict.fromkeys(detection, float) | {"notes": str}


def finding_rows(ledger: Ledger) -> Iterator[dict[str, Cell]]:
    """Yield one row per observation, ordered by finding, visit and photo. See `finding_columns`."""
    places = {place.id: place for place in ledger.places}
    photos = {(visit.number, photo.path): photo for visit in ledger.visits for photo in visit.photos}
    dates = {visit.number: visit.date for visit in ledger.visits}
    for finding in ledger.findings:
        place = places[finding.place]
        common: dict[str, Cell] = {
            "finding": finding.number,
            "state": finding.state,
            "into": " ".join(map(str, finding.into)),
            "place": finding.place,
            "room": place.room,
            "wall": place.wall,
            "concept": finding.concept,
        }
        for seen in sorted(finding.observations, key=lambda each: (each.visit, each.photo)):
            photo = photos[seen.visit, seen.photo]
            yield common | {"date": dates[seen.visit]} | _row_of(seen, photo)


def _row_of(seen: Observation, photo: PhotoRecord) -> dict[str, Cell]:
    left, top, right, bottom = seen.box
    x, y = seen.widest_at or (None, None)
    scale = photo.scale
    return {
        "visit": seen.visit,
        "photo": seen.photo,
        "model": seen.model,
        "verdict": worst_outcome(seen.verdicts),
        "severity": "; ".join(v.severity for v in seen.verdicts if v.severity),
        "reasons": " ".join(f"[{v.rule}: {v.outcome}] {v.reason}" for v in seen.verdicts),
        "advice": "; ".join(v.advice for v in seen.verdicts if v.advice),
        **_size_cells(seen.mm, "mm"),
        **_size_cells(seen.px, "px"),
        "left_px": left,
        "top_px": top,
        "right_px": right,
        "bottom_px": bottom,
        "widest_x_px": x,
        "widest_y_px": y,
        "orientation_degrees": seen.orientation,
        "tortuosity": seen.tortuosity,
        "branches": seen.branches,
        "ends": seen.ends,
        "straightness_px": seen.straightness,
        "probability": seen.probability,
        "line_visible": seen.line_visible,
        "mm_per_pixel": scale.mm_per_pixel if scale else None,
        "scale_source": scale.source if scale else "",
        "detection_limit_mm": photo.detection_limit_mm,
        "detection_limit_px": photo.detection_limit_px,
        "detection_widest_mm": photo.detection_widest_mm,
        "detection_widest_px": photo.detection_widest_px,
        "notes": "; ".join(seen.notes),
    }


def _column(size: str, unit: str) -> str:
    return f"{size}_{unit}2" if size == "area" else f"{size}_{unit}"


def _size_cells(sizes: Sizes | None, unit: Unit) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for size in _SIZES if sizes else ():
        measure, name = getattr(sizes, size), _column(size, unit)
        cells |= {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}
        if measure.value is None:
            cells[f"{name}_at_most"] = measure.high
    return cells


def write_findings_csv(ledger: Ledger, path: Path) -> None:
    """Write `findings.csv`: UTF-8 with a byte order mark, commas, decimal points.

    Texts that a spreadsheet would take for a formula start with an apostrophe.

    Raises:
        OutputError: The file cannot be written.
    """
    write_csv_table(path, list(finding_columns()), finding_rows(ledger))


def write_csv_table(path: Path, columns: list[str], rows: Iterator[dict[str, Cell]]) -> None:
    """Write rows as a CSV file that a spreadsheet opens without running formulas.

    Raises:
        OutputError: The file cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(columns)
    table.writerows([_csv_cell(row.get(column)) for column in columns] for row in rows)
    write_whole(path, text.getvalue().encode("utf-8-sig", "backslashreplace"))


def _csv_cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return np.format_float_positional(value, precision=6, fractional=False, trim="-")
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _stored(value: Cell) -> Cell:
    """Escape the bytes of a file name that are not UTF-8, as `write_csv_table` does."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def write_findings_parquet(ledger: Ledger, path: Path) -> None:
    """Write `findings.parquet` with the rows and columns of `findings.csv`, in full precision.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: The file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("findings.parquet", "fleet") from error
    types: dict[type, Any] = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in finding_columns().items()])
    rows = [{name: _stored(row.get(name)) for name in schema.names} for row in finding_rows(ledger)]
    with whole_file(path) as partial:
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), partial)
