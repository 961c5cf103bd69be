"""`drywallqa refine`: measure gain and cost of mask refinements on the validation split."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def refine(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Bundle to measure; by default the bundled model.")
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEPS",
            help="Refinement to measure, such as guided or crf+join; repeatable. Default: every step and "
            "the useful combinations.",
        ),
    ] = None,
    set_name: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="Measure only this set; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as JSON.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the helpful refinement in the bundle for `segment`.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file in --out.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Measure mask refinements on val: the gain over no refinement, with 95 % intervals, and the time."""
    from drywallqa.cli.progress import show_step
    from drywallqa.evaluation.measured_model import silent
    from drywallqa.workflows.refine import run_refinements

    progress = silent if quiet or not sys.stderr.isatty() else show_step
    lines = run_refinements(
        data, model, candidate or (), set_name or (), out=out, write=write, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip
    print("\n".join(lines))
