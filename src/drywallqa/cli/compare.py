"""`drywallqa compare`: find out what changed between two visits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drywallqa import cli


def compare(
    before: Annotated[
        str,
        typer.Argument(metavar="BEFORE", help="Results of the earlier inspection, or a folder of photos."),
    ],
    after: Annotated[
        str, typer.Argument(metavar="AFTER", help="Results of the later inspection, or a folder of photos.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="Bundle for photos that are not inspected yet."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
) -> None:
    """Compare two visits: which cracks and joints are new, grown, unchanged or repaired.

    Findings keep their numbers. DIR/inspection.json contains both visits, and DIR/comparison.csv,
    comparison.json and comparison.html contain the changes. A folder of photos is inspected first.

    The exit code is 0 if nothing got worse, 1 if a finding is new or has grown, 2 for wrong usage, and 3 if
    the visits do not match or if photos are missing or changed.
    """
    from drywallqa.inference.segmenter import load
    from drywallqa.workflows.compare_visits import compare_visits

    segmenter = load(model) if model else None
    summary = compare_visits(
        before,
        after,
        out,
        segmenter=segmenter,
        on_step=lambda sentence: None if quiet else print(sentence, file=sys.stderr),
    )
    for problem in summary.problems:
        print(f"error: {cli.one_line(problem)}", file=sys.stderr)
    if not quiet:
        for path in summary.unmatched:
            print(f"No earlier photo shows the same part of a wall as {cli.one_line(path)}.")
        counts = ", ".join(f"{count} {change}" for change, count in sorted(summary.counts.items()))
        noun = "finding" if len(summary.changes) == 1 else "findings"
        print(f"{len(summary.changes)} {noun}: {counts}." if counts else "Neither visit shows a finding.")
        print(f"Results: {Path(summary.out)}")
    if summary.got_worse:
        raise typer.Exit(cli.FOUND)
    if summary.problems:
        raise typer.Exit(cli.FAILED)
