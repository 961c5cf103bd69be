"""`drywallqa report`: write the training report of a run or a bundle as HTML, Markdown and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    subject: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="A training run or a bundle.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A data set, imported and split; by default the run's data set."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the report; by default RUN/report.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="An existing evaluation to reuse; repeatable."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Split to measure; repeatable. Default: val, test."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Prompt to measure; repeatable. Default: one per concept."),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="A training run of the bundle; repeatable."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="An evaluation of another model or earlier run; repeatable."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="NAME", help="html, md or pdf; repeatable. Default: all."),
    ] = None,
    bench: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An existing bench.json to reuse.")
    ] = None,
    diagnosis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An existing diagnosis (JSON) to reuse.")
    ] = None,
    timing: Annotated[bool, typer.Option("--timing/--no-timing", help="Measure times and memory.")] = True,
    diagnose: Annotated[
        bool, typer.Option("--diagnose/--no-diagnose", help="Diagnose the model on the data set.")
    ] = True,
    worst: Annotated[int, typer.Option(min=0, help="Failures to show per kind and prompt.")] = 12,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Allow training photos; every output then has a note.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Write the training report: data, training curves, results, failures, runtime, next steps."""
    from drywallqa.cli.progress import progress_unless
    from drywallqa.workflows.report import ReportRequest, run_report

    request = ReportRequest(
        subject, data, out, tuple(evaluation or ()), tuple(split or ()), tuple(prompt or ()),
        tuple(run or ()), tuple(against or ()), tuple(formats or ()), bench, diagnosis, timing, diagnose,
        worst, allow_leak,
    )  # fmt: skip
    for line in run_report(request, progress_unless(quiet)):
        print(line)
