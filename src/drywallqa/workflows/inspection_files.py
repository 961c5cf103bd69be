"""Write the files of an inspection: ledger, tables, pictures and report."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from drywallqa.background import map_in_threads
from drywallqa.files import file_digest, json_bytes, write_whole
from drywallqa.imaging.photo_search import INSPECTION
from drywallqa.imaging.photos import read_photo
from drywallqa.inspection.finding_geojson import write_findings_geojson
from drywallqa.inspection.finding_tables import write_findings_csv, write_findings_parquet
from drywallqa.inspection.ledger import Ledger, PhotoRecord
from drywallqa.inspection.ledger_file import write_ledger
from drywallqa.inspection.measure_text import System
from drywallqa.inspection.review_files import write_review_template
from drywallqa.inspection.rules import RuleSet
from drywallqa.processors import available_threads
from drywallqa.reports.inspection_material import ReportOptions
from drywallqa.reports.inspection_report import write_inspection_report
from drywallqa.visualization.inspection_pictures import (
    CLOSE_UPS,
    Seen,
    close_up_name,
    overview_name,
    picture_folder,
    seen_on,
    write_inspection_pictures,
)

LEDGER, REVIEWS = INSPECTION, "reviews.csv"
_DRAWN = "drawn.json"
_MOST_PHOTOS = 2  # photos in memory while pictures are drawn


def write_inspection(
    ledger: Ledger, rule_set: RuleSet, folder: Path, report: ReportOptions, pdf: bool,
    on_picture: Callable[[int, int], None],
) -> list[Path]:  # fmt: skip
    """Write the ledger, its tables, the pictures and the report into a folder.

    Pictures that would not change are not drawn again.

    Args:
        ledger: The ledger with verdicts.
        rule_set: The rules that gave the verdicts.
        folder: Folder of the results.
        report: Options of the report.
        pdf: Whether to write the report also as PDF.
        on_picture: Called after each photo, with the number of photos drawn and the number of all photos.

    Returns:
        The files of the report.

    Raises:
        OutputError: A file cannot be written.
        MissingExtraError: A PDF needs the extra `report`.
    """
    write_tables(ledger, folder)
    _draw_pictures(ledger, folder, report.units, on_picture)
    return write_inspection_report(ledger, rule_set, folder, report, pdf)


def write_tables(ledger: Ledger, folder: Path) -> None:
    """Write the ledger and its tables into a folder. `findings.parquet` is written if pyarrow is installed.

    Raises:
        OutputError: A file cannot be written.
    """
    write_ledger(ledger, folder / LEDGER)
    write_findings_csv(ledger, folder / "findings.csv")
    write_findings_geojson(ledger, folder / "findings.geojson")
    write_review_template(ledger, folder / REVIEWS)
    if importlib.util.find_spec("pyarrow") is not None:
        write_findings_parquet(ledger, folder / "findings.parquet")


def _draw_pictures(
    ledger: Ledger, folder: Path, units: System, on_picture: Callable[[int, int], None]
) -> None:
    """Draw the pictures of the newest visit's photos, and remember from what they were drawn."""
    visit = ledger.visits[-1]
    base, folder = folder / visit.folder, picture_folder(folder, visit.number)
    drawn = _read_drawn(folder)
    todo, keys = [], {}
    for record in visit.photos:
        if not record.refused:
            seen = seen_on(record.path, visit.number, ledger.findings)
            keys[record.path] = _key_of(record, seen, units)
            if drawn.get(record.path) != keys[record.path] or not _all_there(record, seen, folder):
                todo.append((record, seen))
    draw = partial(_draw, base=base, folder=folder, units=units)
    threads = min(_MOST_PHOTOS, available_threads())
    for number, path in enumerate(map_in_threads(draw, todo, threads), 1):
        if path is not None:
            drawn[path] = keys[path]
        on_picture(number, len(todo))
    write_whole(folder / _DRAWN, json_bytes(dict(sorted(drawn.items()))))


def _draw(one: tuple[PhotoRecord, Sequence[Seen]], base: Path, folder: Path, units: System) -> str | None:
    """Draw the pictures of one photo; return its path, or None if the photo has changed since."""
    record, seen = one
    photo = base / record.path
    if not photo.is_file() or file_digest(photo) != record.digest:
        return None
    write_inspection_pictures(read_photo(photo), record, seen, folder, units)
    return record.path


def _read_drawn(folder: Path) -> dict[str, str]:
    """Read the key of each photo whose pictures exist; {} if none is known."""
    try:
        keys = json.loads((folder / _DRAWN).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return keys if isinstance(keys, dict) else {}


def _key_of(record: PhotoRecord, seen: Sequence[Seen], units: System) -> str:
    """Return a key that changes with everything that the pictures of a photo show."""
    shown = [record.digest, record.scale and record.scale.mm_per_pixel, units, *map(asdict, seen)]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _all_there(record: PhotoRecord, seen: Sequence[Seen], folder: Path) -> bool:
    names = [overview_name(record.path)]
    names += [close_up_name(record.path, one.number) for one in seen[:CLOSE_UPS]]
    return all((folder / name).is_file() for name in names)
