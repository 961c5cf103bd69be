"""`drywallqa sweep` and `ablate`: train several runs with different settings and compare them."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drywallqa.cli import FOUND, INTERRUPTED, one_line

if TYPE_CHECKING:
    from drywallqa.experiments.optuna_sweep import SweepTrial


def sweep(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of an imported and split data set.")],
    out: Annotated[Path, typer.Option(metavar="SWEEP", help="Folder for the runs and the table.")],
    field: Annotated[
        list[str],
        typer.Option(metavar="a.b=LOW..HIGH|A,B,C", help="A setting to vary and its values. Repeatable."),
    ],
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="Total number of runs, including finished runs.")
    ] = 20,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file with the settings of all runs.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=VALUE", help="A setting for all runs. Repeatable."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="BUNDLE", help="Fine-tune this bundle in every run.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the search.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing sweep in --out.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show the progress.")] = False,
) -> None:
    """Train several runs with different settings, and rank the runs by IoU on val.

    Repeat the command to resume a sweep.
    """
    from drywallqa.errors import StoppedError
    from drywallqa.experiments.optuna_sweep import parse_field, run_sweep
    from drywallqa.reports.sweep_table import write_sweep_table
    from drywallqa.training.fit import TrainingRequest

    fields = tuple(parse_field(text) for text in field)

    def show(found: list[SweepTrial]) -> None:
        write_sweep_table(found, fields, out)
        last = found[-1]
        print(f"trial {last.number}: {last.problem or f'IoU {last.iou:.4f}'}", flush=True)

    request = TrainingRequest(
        data, out, config, tuple(settings or ()), start, overwrite=overwrite, progress=not quiet
    )
    try:
        done = run_sweep(request, fields, trials, seed, show)
    except StoppedError as error:
        print(f"error: {one_line(str(error))}; repeat the command to resume the sweep", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from error
    print(write_sweep_table(done, fields, out))
    print(f"table and chart: {out}/trials.txt, .csv, .json, .png")


def ablate(
    recipes: Annotated[
        Path, typer.Argument(metavar="RECIPES", help="Folder of recipes, such as configs/report.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of an imported and split data set.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the runs and tables. Existing runs are resumed.")
    ],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model family of all runs.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=VALUE", help="A setting for all runs. Repeatable."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Train only this recipe. Repeatable.")
    ] = None,
    scale: Annotated[float, typer.Option(min=0.0, help="Multiplies the number of pictures per epoch.")] = 1.0,
    split: Annotated[str, typer.Option(help="Split to measure on. Thresholds are chosen on val.")] = "test",
    seed: Annotated[int, typer.Option(help="Random seed for the choice of photos.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an ablation with other settings in --out.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show the progress.")] = False,
) -> None:
    """Train one run per recipe, and print IoU, Dice, accuracy, loss and threshold of each run."""
    from drywallqa.experiments.ablation_runs import run_ablation
    from drywallqa.experiments.ablation_table import ablation_lines
    from drywallqa.training.fit import TrainingRequest

    chosen = (*(settings or ()), *((f"model.name={model}",) if model else ()))
    request = TrainingRequest(data, out, settings=chosen, overwrite=overwrite, progress=not quiet)
    report = partial(print, file=sys.stderr, flush=True)
    rows = run_ablation(request, recipes, only or (), scale, split, seed, report)
    for line in ablation_lines(rows):
        print(line)
    if any("stopped" in row for row in rows):
        raise typer.Exit(FOUND)
