"""`drywallqa marker`: write a printable sheet with a marker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def marker(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The PDF file. An existing file is replaced.")],
    size: Annotated[
        str, typer.Option(metavar="LENGTH", help="Side of the black square, such as 100mm or 4in.")
    ] = "100mm",
    family: Annotated[
        str,
        typer.Option(metavar="NAME", help="aruco-5x5, aruco-6x6, apriltag-25h9 or apriltag-36h11."),
    ] = "aruco-5x5",
    number: Annotated[int, typer.Option(metavar="N", help="Number of the marker in its family.")] = 0,
    paper: Annotated[str, typer.Option(metavar="A4|Letter", help="Size of the page.")] = "A4",
) -> None:
    """Write a PDF page with a marker, two check lines and instructions.

    Print the page at 100 %, tape it flat to the wall, and photograph it with the crack. The marker then gives
    the photo's scale and removes its perspective.
    """
    from drywallqa.workflows.marker import write_marker_sheet

    write_marker_sheet(out, size, family, number, paper)
    typer.echo(f"wrote {out}; print it at 100 % and compare the check lines with a ruler")
