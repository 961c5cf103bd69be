"""`drywallqa diagnose`: find faults of a run, a bundle or a weights file, and suggest remedies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|BUNDLE|STATE_DICT", help="Model to diagnose; by default the bundled model."
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Family of a state dict; by default inferred from its keys."),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="Number of photos per split.")] = 40,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")
    ] = None,
) -> None:
    """Find the likely causes of bad masks, with evidence and remedies. Exit code 1: causes found."""
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
