"""`drywallqa refine`: what refinements of masks gain and cost on validation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def refine(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="By default the bundled model.")
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEPS",
            help="A refinement to measure, such as guided or crf+join; may be repeated. By default every "
            "step and the sensible combinations.",
        ),
    ] = None,
    set_name: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="Measure this set only; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as JSON, too.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store in the bundle what is worth having; segment then does it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file in --out.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Measure refinements of masks on val: what each gains over none, with 95 % intervals, and its time."""
    from drywallqa.cli.progress import show_step
    from drywallqa.evaluation.measured_model import silent
    from drywallqa.workflows.refine import run_refinements

    progress = silent if quiet or not sys.stderr.isatty() else show_step
    lines = run_refinements(
        data, model, candidate or (), set_name or (), out=out, write=write, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip
    print("\n".join(lines))
