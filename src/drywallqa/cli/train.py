"""`drywallqa train`, `replay`, `train-text` and `check-text`: train models and text encoders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FOUND, INTERRUPTED, one_line


def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of an imported and split data set.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the run.")],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model family.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML file with settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=VALUE", help="Change a setting. Repeatable.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="BUNDLE",
            help="Bundle to fine-tune, or 'default' for the bundled model.",
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of a text encoder. Default: the text encoder of the bundle."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run in --out.")] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first alarm or failed check.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--show-batch", metavar="FILE", help="Draw the first training pictures without training."
        ),
    ] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Suggest learning rates without training.")
    ] = False,
    devices: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of processes per machine that share each batch.")
    ] = 1,
    nodes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of machines that share each batch.")
    ] = 1,
    ray_workers: Annotated[
        int, typer.Option(metavar="N", min=0, help="Number of Ray Train workers that share each batch.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not show the progress.")] = False,
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
        print(f"first training pictures: {sheet}")
        return
    if find_rate:
        curve = run_rate_finder(request)
        print(f"learning-rate curve: {write_rate_curve(curve, out)}")
        print(
            f"the loss decreases fastest with: {' '.join(f'--set {setting}' for setting in curve.settings())}"
        )
        return
    try:
        last = run_training(request)
    except (AlarmError, StoppedError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        raise typer.Exit(FOUND if isinstance(error, AlarmError) else INTERRUPTED) from error
    if is_first():
        print(f"trained: {last}")
        print(f"export the run as a bundle: drywallqa export {out} --data {data} --out BUNDLE")


def replay(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of a run that stopped because of a NaN or infinite loss."),
    ],
) -> None:
    """Repeat the batch whose loss was NaN or infinite, and check every layer.

    The exit code is 1 if the error occurs again.
    """
    from drywallqa.training.open_run import replay_batch

    lines, broken = replay_batch(run)
    for line in lines:
        print(line)
    if broken:
        raise typer.Exit(FOUND)


def train_text(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the text encoder.")],
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Existing text_space.npz to reuse, so that trained decoders still fit."
        ),
    ] = None,
    phrases: Annotated[int, typer.Option(min=1000, help="Number of phrases for distillation.")] = 120_000,
    epochs: Annotated[int, typer.Option(min=1, help="Number of passes over the phrases.")] = 6,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Hold out 15 % of the phrases to choose the threshold.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed for phrases and weights.")] = 0,
) -> None:
    """Distil a text encoder from a sentence model, and fit its classifier (half an hour on one core)."""
    from drywallqa.text_training.distillation import TextConfig, distill_text_side
    from drywallqa.text_training.text_space import TextSpace

    config = TextConfig(phrases=phrases, epochs=epochs, seed=seed)
    kept = TextSpace.load(space) if space else None
    side = distill_text_side(out, config, space=kept, held_out=held_out)
    print(f"{out}: concepts: {', '.join(side.concepts)}; threshold {side.threshold:.2f}")


def check_text(
    side: Annotated[Path, typer.Argument(metavar="SIDE", help="Folder of a text encoder or a bundle.")],
    lists: Annotated[
        Path,
        typer.Argument(
            metavar="LISTS",
            help="Folder of .txt files named after concepts, or of .tsv files (concept, phrasing).",
        ),
    ],
) -> None:
    """Count the phrasings that a text model classifies or rejects correctly, and list all errors."""
    from drywallqa.text.text_side import TextSide
    from drywallqa.text_training.phrasing_lists import measure_phrasings, read_lists

    text = TextSide.load(side)
    print(measure_phrasings(text, read_lists(lists, text.concepts)).describe())
