"""`drywallqa train`: train a model on a data set, or fine-tune a bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from drywallqa.cli import FOUND, INTERRUPTED, one_line


def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run's folder.")],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model family.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings as YAML.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=VALUE", help="One setting; may be repeated.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="BUNDLE", help="Fine-tune this bundle; 'default' is the bundled one."),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A text side; by default that of the bundle.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that is there.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop where a check or an alarm finds something.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option("--show-batch", metavar="FILE", help="Draw what the model would see; train nothing."),
    ] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Measure which rates to set; train nothing.")
    ] = False,
    devices: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes on this machine that share each batch.")
    ] = 1,
    nodes: Annotated[int, typer.Option(metavar="N", min=1, help="Machines that share each batch.")] = 1,
    ray_workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Share each batch among so many workers of Ray Train.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show how far the run is.")] = False,
) -> None:
    """Train a model on a data set, or fine-tune a bundle, also to new concepts."""
    from drywallqa.errors import AlarmError, StoppedError
    from drywallqa.training.distributed import Devices, is_first
    from drywallqa.training.ray_training import train_with_ray
    from drywallqa.training.train_run import run_training, show_batch

    chosen = [*(settings or ()), *([f"model.name={model}"] if model else ())]
    if sheet is not None:
        show_batch(data, sheet, config, chosen, text)
        print(f"what the model sees: {sheet}")
        return
    if find_rate:
        _find_rate(data, out, config, chosen, start, text)
        return
    asked: dict[str, Any] = {
        "config": config, "settings": chosen, "start": start, "text": text, "resume": resume,
        "overwrite": overwrite, "progress": not quiet, "fail_fast": fail_fast,
    }  # fmt: skip
    try:
        if ray_workers:
            last = train_with_ray(ray_workers, data, out, asked)
        else:
            last = run_training(data, out, **asked, devices=Devices(devices, nodes))
    except (AlarmError, StoppedError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        raise typer.Exit(FOUND if isinstance(error, AlarmError) else INTERRUPTED) from error
    if is_first():
        print(f"trained: {last}")
        print(f"make a bundle of it: drywallqa export {out} --data {data} --out BUNDLE")


def _find_rate(
    data: Path, out: Path, config: Path | None, settings: list[str], start: Path | None, text: Path | None
) -> None:
    from drywallqa.training.train_run import run_rate_finder
    from drywallqa.visualization.training_charts import write_rate_curve

    curve = run_rate_finder(data, out, config, settings, start=start, text=text)
    print(f"the curve: {write_rate_curve(curve, out)}")
    print(f"the loss falls fastest at: {' '.join(f'--set {setting}' for setting in curve.settings())}")
