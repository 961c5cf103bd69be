"""Read and write `reviews.csv`: what people decided about findings, one decision per row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from drywallqa.errors import ReviewError, ScaleError, reason_of
from drywallqa.inspection.finding_tables import FORMULA_STARTS, Cell, write_csv_table
from drywallqa.inspection.ledger import Action, Ledger
from drywallqa.inspection.lengths import parse_points
from drywallqa.inspection.rule_fields import nearest

COLUMNS = ("finding", "action", "with", "points", "photo", "concept", "rule", "text", "reviewer", "time")
_ACTIONS: tuple[Action, ...] = get_args(Action)
# Columns that an action uses; the first ones are required. Every action can have a text.
_REQUIRED: dict[Action, tuple[str, ...]] = {
    "merge": ("with",),
    "add": ("photo", "points"),
    "comment": ("text",),
}
_USED: dict[Action, tuple[str, ...]] = {
    "confirm": ("rule",),
    "merge": ("with",),
    "split": ("points",),
    "add": ("points",),
}


@dataclass(frozen=True)
class FiledReview:
    """One decision of a review file, not yet checked against an inspection.

    Attributes:
        file: The review file.
        row: Row in a spreadsheet; the header is row 1.
        finding: Number of the finding; 0 for "add".
        action: The decision.
        reviewer: Name of the reviewer.
        time: ISO time with the offset from UTC; "" if the file does not state it.
        photo: Path of a photo; "" if not given.
        concept: Concept; "" if not given.
        detail: Other data as in `Review.detail`: with, points, rule, text.
    """

    file: Path
    row: int
    finding: int
    action: Action
    reviewer: str
    time: str
    photo: str
    concept: str
    detail: dict[str, Any]

    def error(self, problem: str) -> ReviewError:
        """Return an error that names the file and the row."""
        return ReviewError(f"{self.file}, row {self.row}: {problem}")


def write_review_template(ledger: Ledger, path: Path) -> bool:
    """Write a review file with one row without an action for each open finding of the newest visit.

    Returns:
        Whether the file was written. An existing file is kept, because it can contain decisions.

    Raises:
        OutputError: The file cannot be written.
    """
    if path.exists():
        return False
    newest = ledger.visits[-1].number
    rows: Iterator[dict[str, Cell]] = (
        {"finding": finding.number, "photo": photos[0], "concept": finding.concept}
        for finding in ledger.findings
        if finding.state == "open"
        and (photos := [seen.photo for seen in finding.observations if seen.visit == newest])
    )
    write_csv_table(path, list(COLUMNS), rows)
    return True


def read_reviews(path: Path, reviewer: str = "") -> list[FiledReview]:
    """Read a review file. Rows without an action are skipped.

    Args:
        path: A CSV file with commas, semicolons or tabs, in UTF-8.
        reviewer: Name for rows without a reviewer.

    Raises:
        ReviewError: The file or a row is wrong. The message names the row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReviewError(f"{path} cannot be read ({reason_of(error)})") from error
    except ValueError as error:
        raise ReviewError(f"{path} is not UTF-8; save it as 'CSV UTF-8'") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ReviewError(f"{path} is not a CSV file ({error})") from error
    columns = _check_columns(path, [name.strip().lower() for name in rows[0]] if rows else [])
    return [
        review
        for number, row in enumerate(rows[1:], start=2)
        if any(row) and (review := _read_row(path, number, columns, row, reviewer)) is not None
    ]


def _check_columns(path: Path, columns: list[str]) -> list[str]:
    for name in columns:
        if name not in COLUMNS:
            raise ReviewError(f"{path}, row 1: the column '{name}' is unknown{nearest(name, COLUMNS)}")
        if columns.count(name) > 1:
            raise ReviewError(f"{path}, row 1: the column '{name}' occurs twice")
    if missing := [name for name in ("finding", "action") if name not in columns]:
        raise ReviewError(f"{path}, row 1: the column '{missing[0]}' is missing")
    return columns


def _read_row(
    path: Path, number: int, columns: list[str], row: list[str], reviewer: str
) -> FiledReview | None:
    where = f"{path}, row {number}"
    if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
        raise ReviewError(f"{where}: has {len(row)} cells, but there are {len(columns)} columns")
    cells = dict.fromkeys(COLUMNS, "") | {
        name: _plain_text(cell) for name, cell in zip(columns, row, strict=False)
    }
    if not cells["action"]:
        return None
    action = next((each for each in _ACTIONS if each == cells["action"].lower()), None)
    if action is None:
        raise ReviewError(
            f"{where}: the action '{cells['action']}' is unknown{nearest(cells['action'], _ACTIONS)}; "
            f"the actions are {', '.join(_ACTIONS)}"
        )
    _check_cells(where, action, cells)
    name = cells["reviewer"] or reviewer
    if not name:
        raise ReviewError(f"{where}: there is no reviewer; fill in the column or pass --reviewer")
    detail = _read_detail(where, action, cells)
    finding = 0 if action == "add" else _read_number(where, cells["finding"])
    time = _read_time(where, cells["time"])
    return FiledReview(path, number, finding, action, name, time, cells["photo"], cells["concept"], detail)


def _plain_text(cell: str) -> str:
    """Return the text of a cell without the apostrophe that `write_csv_table` writes before a formula."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text


def _check_cells(where: str, action: Action, cells: dict[str, str]) -> None:
    """Check that a row has the cells that its action needs, and no cells that the action ignores."""
    for name in _REQUIRED.get(action, ()):
        if not cells[name]:
            raise ReviewError(f"{where}: the action '{action}' needs the column '{name}'")
    if action == "add" and cells["finding"] not in ("", "0"):
        raise ReviewError(f"{where}: a finding that is added gets its number later; leave 'finding' empty")
    for name in ("with", "points", "rule"):
        if cells[name] and name not in _USED.get(action, ()):
            raise ReviewError(f"{where}: the action '{action}' does not use the column '{name}'")


def _read_detail(where: str, action: Action, cells: dict[str, str]) -> dict[str, Any]:
    detail: dict[str, Any] = {name: cells[name] for name in ("rule", "text") if cells[name]}
    if cells["with"]:
        numbers = [part for part in re.split(r"[\s,;]+", cells["with"]) if part]
        detail["with"] = [_read_number(where, part) for part in numbers]
    if cells["points"]:
        count = max(1, len(re.findall(r"[^\s,;]+", cells["points"])) // 2)
        try:
            detail["points"] = parse_points(cells["points"], count, f"{where}: points").tolist()
        except ScaleError as error:
            raise ReviewError(str(error)) from error
    if action == "add" and len(detail["points"]) < 3:
        raise ReviewError(f"{where}: an outline needs at least three points, such as 10,10 50,10 50,30")
    return detail


def _read_number(where: str, text: str) -> int:
    if not re.fullmatch(r"#?[0-9]{1,9}", text):
        raise ReviewError(f"{where}: '{text}' is not the number of a finding")
    return int(text.removeprefix("#"))


def _read_time(where: str, text: str) -> str:
    if not text:
        return ""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReviewError(
            f"{where}: '{text}' is not a time; write it as 2026-11-30T14:00:00+01:00 or leave it empty"
        ) from error
    if time.tzinfo is None:
        raise ReviewError(f"{where}: the time '{text}' has no offset from UTC, such as +01:00")
    return time.isoformat()
