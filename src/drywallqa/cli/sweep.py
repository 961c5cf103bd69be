"""`drywallqa sweep`: train many runs that differ in a few settings, and see which are best."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drywallqa.cli import INTERRUPTED, one_line

if TYPE_CHECKING:
    from drywallqa.experiments.optuna_sweep import SweepTrial


def sweep(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    out: Annotated[Path, typer.Option(metavar="SWEEP", help="Folder of its runs and its table.")],
    field: Annotated[
        list[str],
        typer.Option(metavar="a.b=LOW..HIGH|A,B,C", help="A setting and what it takes; may be repeated."),
    ],
    trials: Annotated[int, typer.Option(metavar="N", min=1, help="How many runs, those done included.")] = 20,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings of all runs as YAML.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=VALUE", help="One setting of all runs.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="BUNDLE", help="Every run fine-tunes this bundle.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is proposed.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sweep that is there.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show how far each run is.")] = False,
) -> None:
    """Train runs over a range of settings, judged by IoU on val; the same command goes on after a stop."""
    from drywallqa.errors import StoppedError
    from drywallqa.experiments.optuna_sweep import Sweep, run_sweep
    from drywallqa.experiments.sweep_fields import parse_field
    from drywallqa.reports.sweep_table import write_sweep_table

    fields = tuple(parse_field(text) for text in field)

    def show(found: list[SweepTrial]) -> None:
        write_sweep_table(found, fields, out)
        last = found[-1]
        print(f"trial {last.number}: {last.problem or f'IoU {last.iou:.4f}'}", flush=True)

    wanted = Sweep(data, out, fields, config, tuple(settings or ()), start, seed)
    try:
        done = run_sweep(
            wanted,
            trials,
            overwrite=overwrite,
            progress=not quiet,
            report=show,
        )
    except StoppedError as error:
        print(f"error: {one_line(str(error))}; the same command goes on with the sweep", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from error
    print(write_sweep_table(done, fields, out))
    print(f"table and picture: {out}/trials.txt, .csv, .json, .png")
