"""`drywallqa report`: write the training report of a run or a bundle as HTML, Markdown and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    subject: Annotated[
        Path, typer.Argument(metavar="RUN|BUNDLE", help="Folder of a training run or a bundle.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of an imported and split data set. Default: the data set of the run."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the report. Default: RUN/report.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder of an existing evaluation to reuse. Repeatable."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Split to measure. Repeatable. Default: val and test."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Prompt to measure. Repeatable. Default: one prompt per concept."),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Folder of a training run of the bundle. Repeatable."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Folder of an evaluation of another model or an earlier run. Repeatable."
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format of the report: html, md or pdf. Repeatable. Default: all formats.",
        ),
    ] = None,
    bench: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An existing bench.json to reuse.")
    ] = None,
    diagnosis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An existing diagnosis (JSON) to reuse.")
    ] = None,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Measure times and memory use.")
    ] = True,
    diagnose: Annotated[
        bool, typer.Option("--diagnose/--no-diagnose", help="Diagnose the model on the data set.")
    ] = True,
    worst: Annotated[
        int, typer.Option(min=0, help="Number of failures to show per kind of failure and prompt.")
    ] = 12,
    allow_leak: Annotated[
        bool,
        typer.Option("--allow-leak", help="Also measure training photos, with a warning in all outputs."),
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show the progress.")] = False,
) -> None:
    """Write a training report on data, training curves, results, failures, runtime and next steps."""
    from drywallqa.cli.progress import progress_unless
    from drywallqa.workflows.report import ReportRequest, run_report

    request = ReportRequest(
        subject, data, out, tuple(evaluation or ()), tuple(split or ()), tuple(prompt or ()),
        tuple(run or ()), tuple(against or ()), tuple(formats or ()), bench, diagnosis, timing, diagnose,
        worst, allow_leak,
    )  # fmt: skip
    for line in run_report(request, progress_unless(quiet)):
        print(line)
