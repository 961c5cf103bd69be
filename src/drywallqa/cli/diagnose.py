"""`drywallqa diagnose`: say what is wrong with a run, a bundle or a file of weights, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    model: Annotated[
        Path | None,
        typer.Argument(metavar="RUN|BUNDLE|STATE_DICT", help="By default the bundled model."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A file's family; by default found by keys and shapes."),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="Photos of each part that the model is run on.")] = 40,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")
    ] = None,
) -> None:
    """Name the likely cause of bad masks: evidence, cause, remedy. Exit code 1 where something was found."""
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
