"""`drywallqa train`: train a model on a data set, or fine-tune a bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FOUND, INTERRUPTED, one_line


def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run.")],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model family.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings (YAML).")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=VALUE", help="A setting; repeatable.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="BUNDLE", help="Bundle to fine-tune; 'default': the bundled model."),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Text side; by default the bundle's.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first alarm or failed check.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option("--show-batch", metavar="FILE", help="Draw the first training pictures; do not train."),
    ] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Suggest learning rates; do not train.")
    ] = False,
    devices: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes on this machine that share each batch.")
    ] = 1,
    nodes: Annotated[int, typer.Option(metavar="N", min=1, help="Machines that share each batch.")] = 1,
    ray_workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Share each batch among N workers of Ray Train.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Train a model on a data set, or fine-tune a bundle, for known or new concepts."""
    from drywallqa.errors import AlarmError, StoppedError
    from drywallqa.training.distributed import Devices, is_first
    from drywallqa.training.fit import TrainingRequest
    from drywallqa.training.train_run import run_rate_finder, run_training, show_batch
    from drywallqa.visualization.training_charts import write_rate_curve

    chosen = (*(settings or ()), *((f"model.name={model}",) if model else ()))
    request = TrainingRequest(
        data, out, config, chosen, start, text, resume, overwrite, progress=not quiet, fail_fast=fail_fast,
        devices=Devices(devices, nodes), ray_workers=ray_workers,
    )  # fmt: skip
    if sheet is not None:
        show_batch(request, sheet)
        print(f"the first training pictures: {sheet}")
        return
    if find_rate:
        curve = run_rate_finder(request)
        print(f"the curve: {write_rate_curve(curve, out)}")
        print(f"the loss falls fastest at: {' '.join(f'--set {setting}' for setting in curve.settings())}")
        return
    try:
        last = run_training(request)
    except (AlarmError, StoppedError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        raise typer.Exit(FOUND if isinstance(error, AlarmError) else INTERRUPTED) from error
    if is_first():
        print(f"trained: {last}")
        print(f"export it as a bundle: drywallqa export {out} --data {data} --out BUNDLE")
