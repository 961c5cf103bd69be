"""`drywallqa diagnose`: find faults in a run, a bundle or a weights file, and suggest remedies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of an imported and split data set.")],
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|BUNDLE|STATE_DICT", help="Model to diagnose. Default: the bundled model."
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Model family of a state dict. Default: inferred from its keys and shapes."
        ),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="Number of photos per split.")] = 40,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the results as JSON.")
    ] = None,
) -> None:
    """Find the likely causes of bad masks, with evidence and remedies.

    The exit code is 1 if faults were found.
    """
    from drywallqa.cli import FOUND, one_line
    from drywallqa.files import json_bytes, write_whole
    from drywallqa.reports.findings_text import diagnosis_lines
    from drywallqa.workflows.diagnose import run_diagnosis

    found = run_diagnosis(model, data, photos, family)
    if json_file:
        write_whole(json_file, json_bytes(found.to_json()))
    for line in diagnosis_lines(found):
        print(one_line(line))
    if found.findings:
        raise typer.Exit(FOUND)
