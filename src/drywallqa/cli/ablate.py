"""`drywallqa ablate`: train one run per recipe, and print a table of the results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FOUND


def ablate(
    recipes: Annotated[
        Path, typer.Argument(metavar="RECIPES", help="A folder of recipes, such as configs/report.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for runs and tables. Existing runs are resumed.")
    ],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model family of all runs.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=VALUE", help="A setting for all runs; repeatable."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this recipe; repeatable.")
    ] = None,
    scale: Annotated[
        float, typer.Option(min=0.0, help="Multiply each recipe's pictures per epoch by this factor.")
    ] = 1.0,
    split: Annotated[str, typer.Option(help="Split to measure; thresholds come from val.")] = "test",
    seed: Annotated[int, typer.Option(help="Seed for the choice of photos.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an ablation with other settings in --out.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Train one run for each recipe and print IoU, Dice, accuracy, loss and threshold of each."""
    from drywallqa.experiments.ablation_runs import AblationRequest, run_ablation
    from drywallqa.experiments.ablation_table import ablation_lines

    chosen = (*(settings or ()), *((f"model.name={model}",) if model else ()))
    request = AblationRequest(
        data, recipes, out, chosen, tuple(only or ()), scale, split, seed, overwrite, progress=not quiet
    )
    rows = run_ablation(request, lambda text: print(text, file=sys.stderr, flush=True))
    for line in ablation_lines(rows):
        print(line)
    if any("stopped" in row for row in rows):
        raise typer.Exit(FOUND)
