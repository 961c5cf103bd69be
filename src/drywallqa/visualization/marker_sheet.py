"""Draw a printable sheet with a marker, lines to check the print with a ruler, and instructions."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import MissingExtraError, ScaleError

PAPERS = {"A4": (210.0, 297.0), "Letter": (215.9, 279.4)}  # width and height in mm
_CHECKS = {"A4": (("150 mm", 150.0), ("100 mm", 100.0)), "Letter": (("6 in", 152.4), ("4 in", 101.6))}
_SIDE = 25.0  # mm, of the strips beside the marker, which contain the check line that runs down
_TOP = 34.0  # mm, from the top of the page to the marker's white margin
_LEAST = 20.0  # mm, of the marker
_LINE = 6.2  # mm, between lines of text


@dataclass(frozen=True)
class MarkerSheet:
    """The content of a sheet.

    Attributes:
        cells: The marker's cells [n,n] with its black border; True is white.
        side_mm: Side of the black square in mm.
        name: The marker's family and number, such as "aruco-5x5, number 0".
        family_option: The option that names the family, or "" for the default family.
        paper: A key of `PAPERS`.
    """

    cells: NDArray[np.bool_]
    side_mm: float
    name: str
    family_option: str = ""
    paper: str = "A4"


def draw_marker_sheet(sheet: MarkerSheet) -> bytes:
    """Draw a sheet as a PDF of one page. The same content gives the same bytes.

    Raises:
        ScaleError: The paper is unknown, or the marker does not fit on it or is too small.
        MissingExtraError: ReportLab is not installed.
    """
    if sheet.paper not in PAPERS:
        raise ScaleError(f'--paper: "{sheet.paper}" is unknown; use {" or ".join(PAPERS)}')
    try:
        from reportlab.lib.units import mm
        from reportlab.pdfgen.canvas import Canvas
    except ImportError as error:
        raise MissingExtraError("writing a sheet with a marker", "inspect") from error
    width, height = PAPERS[sheet.paper]
    margin = sheet.side_mm / len(sheet.cells)  # white, one cell wide
    largest = (width - 2 * _SIDE) / (1 + 2 / len(sheet.cells))
    if not _LEAST <= sheet.side_mm <= largest:
        raise ScaleError(
            f"--size: a marker of {sheet.side_mm:g} mm does not suit {sheet.paper}; "
            f"choose {_LEAST:g} to {int(largest)} mm"
        )
    file = io.BytesIO()
    page = Canvas(file, pagesize=(width * mm, height * mm), invariant=1)
    page.setTitle(f"drywallqa marker {sheet.name}, {sheet.side_mm:g} mm")
    page.scale(mm, mm)
    _draw_marker(page, sheet, (width - sheet.side_mm) / 2, height - _TOP - margin - sheet.side_mm)
    _draw_texts(page, sheet, height - _TOP - 2 * margin - sheet.side_mm)
    page.showPage()
    page.save()
    return file.getvalue()


def _draw_marker(page: Any, sheet: MarkerSheet, left: float, bottom: float) -> None:
    """Draw the black square, and the white cells on it. One shape has no seams between its cells."""
    count = len(sheet.cells)
    cell = sheet.side_mm / count
    page.setFillGray(0)
    page.rect(left, bottom, sheet.side_mm, sheet.side_mm, stroke=0, fill=1)
    white = page.beginPath()
    for row, column in zip(*np.nonzero(sheet.cells), strict=True):
        white.rect(left + float(column) * cell, bottom + float(count - 1 - row) * cell, cell, cell)
    page.setFillGray(1)
    page.drawPath(white, stroke=0, fill=1)


def _draw_texts(page: Any, sheet: MarkerSheet, below: float) -> None:
    """Draw title, check lines and instructions; `below` is the lower end of the white margin in mm."""
    width, height = PAPERS[sheet.paper]
    (across, across_mm), (down, down_mm) = _CHECKS[sheet.paper]
    page.setFillGray(0)
    page.setStrokeGray(0)
    _write(page, 20, height - 16, f"Scale marker for drywallqa: {sheet.name}", 5, "Helvetica-Bold")
    _write(page, 20, height - 23, f"The black square is {sheet.side_mm:g} mm wide. Print at 100 %.")
    left, top = (width - across_mm) / 2, below - 6
    _ruler(page, left, top, across_mm, down=False)
    _write(page, left, top - 8, f"check line: {across}")
    _ruler(page, 12, height - _TOP - down_mm, down_mm, down=True)
    page.saveState()
    page.translate(19, height - _TOP - down_mm)
    page.rotate(90)
    _write(page, 0, 0, f"check line: {down}")
    page.restoreState()
    for number, line in enumerate(_instructions(sheet, across, down)):
        _write(page, 20, top - 18 - number * _LINE, line)


def _instructions(sheet: MarkerSheet, across: str, down: str) -> tuple[str, ...]:
    return (
        '1. Print this page at 100 % ("actual size"). Do not let the printer fit it to the page.',
        f"2. Check both lines with a ruler: {across} across, {down} down. Print again if one is wrong.",
        "3. Tape the whole sheet flat to the wall, beside the crack. Leave the white margin free.",
        "4. Photograph the whole marker with the crack, from the front if you can.",
        f"5. drywallqa inspect PHOTOS --marker {sheet.side_mm:g}mm{sheet.family_option}",
    )


def _write(page: Any, x: float, y: float, text: str, size: float = 3.8, font: str = "Helvetica") -> None:
    page.setFont(font, size)
    page.drawString(x, y, text)


def _ruler(page: Any, x: float, y: float, length: float, *, down: bool) -> None:
    """Draw a line from (x, y) to the right, or up, with a tick at both ends and in the middle."""
    page.setLineWidth(0.2)
    for at, half in ((0.0, 2.5), (length / 2, 1.2), (length, 2.5)):
        if down:
            page.line(x - half, y + at, x + half, y + at)
        else:
            page.line(x + at, y - half, x + at, y + half)
    page.line(x, y, x if down else x + length, y + length if down else y)
