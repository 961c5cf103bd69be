"""Write a printable sheet with a marker."""

from __future__ import annotations

from pathlib import Path

from drywallqa.files import check_output_files, write_whole
from drywallqa.inspection.lengths import parse_mm
from drywallqa.inspection.markers import DEFAULT_FAMILY, marker_cells
from drywallqa.visualization.marker_sheet import MarkerSheet, draw_marker_sheet


def write_marker_sheet(
    out: Path, size: str = "100mm", family: str = DEFAULT_FAMILY, number: int = 0, paper: str = "A4"
) -> None:
    """Write a PDF with a marker, check lines and instructions.

    Args:
        out: The PDF file. An existing file is replaced.
        size: Side of the black square, such as "100mm" or "4in".
        family: A key of `inspection.markers.FAMILIES`.
        number: The marker's number in its family.
        paper: "A4" or "Letter".

    Raises:
        ScaleError: A value is unknown, or the marker does not fit on the paper.
        OutputError: The file cannot be written.
        MissingExtraError: OpenCV or ReportLab is not installed.
    """
    check_output_files(out)
    option = "" if family == DEFAULT_FAMILY else f" --marker-family {family}"
    name = f"{family}, number {number}"
    sheet = MarkerSheet(marker_cells(family, number), parse_mm(size, "--size"), name, option, paper)
    write_whole(out, draw_marker_sheet(sheet))
