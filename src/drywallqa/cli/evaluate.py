"""`drywallqa evaluate`: measure a model on a part of a data set, with intervals, curves and failures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE|RUN", help="By default the bundled model.")
    ] = None,
    split: Annotated[str, typer.Option(help="The part to measure.")] = "test",
    against: Annotated[
        Path | None, typer.Option(metavar="BUNDLE|RUN", help="Compare with this model on the same pairs.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What to ask; by default each concept once.")
    ] = None,
    set_name: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="Measure this set only; may be repeated."),
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Choose the mask thresholds on val first: iou, recall=0.9, precision=0.8, sweep (the best "
            "of 0.1 … 0.9) or percentile=95.",
        ),
    ] = None,
    choose_presence: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Choose the presence thresholds on val first: iou, recall=0.95 or precision=0.9 of photos.",
        ),
    ] = None,
    caution: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONCEPT=SHARE",
            help="Of presence thresholds that are equally good on val, take one from the lowest (0) to the "
            "highest (1) instead of the nearest to one half.",
        ),
    ] = None,
    refine: Annotated[
        str,
        typer.Option(
            metavar="auto|none|STEPS",
            help="What follows the model: guided, crf, morphology, join, or several joined by +; auto: what "
            "the bundle says.",
        ),
    ] = "auto",
    scale: Annotated[
        str,
        typer.Option(
            metavar="auto|fit|native|FACTOR", help="How large photos are shown to the model, as in segment."
        ),
    ] = "auto",
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="The runtime: onnxruntime, openvino or torch, if installed.")
    ] = "onnxruntime",
    precision: Annotated[
        str, typer.Option(metavar="fp32|bf16|fp16|int8", help="What the model computes in.")
    ] = "fp32",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write table, JSON, CSV, pictures and failures here.")
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="Failures of each kind and prompt to show.")] = 12,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Measure on training photos, too, and say so everywhere.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write metrics (and chosen thresholds) into the bundle.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the evaluation in --out.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Measure a model: IoU, Dice and more by prompt, concept, set and width, with 95 % intervals."""
    from drywallqa.cli import FAILED, FOUND, one_line
    from drywallqa.cli.progress import show_step
    from drywallqa.errors import LeakError
    from drywallqa.evaluation.threshold_choice import silent
    from drywallqa.inference.scales import parse_scale
    from drywallqa.workflows.evaluate import EvaluationRequest, run_evaluation

    request = EvaluationRequest(
        data, model, split, against, tuple(prompt or ()), tuple(set_name or ()),
        choose, choose_presence, out, worst, allow_leak, write, overwrite, refine,
        parse_scale(scale), backend, precision, tuple(caution or ()),
    )  # fmt: skip
    try:
        told = run_evaluation(request, silent if quiet or not sys.stderr.isatty() else show_step)
    except LeakError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        raise typer.Exit(FOUND) from error
    for line in told.lines:
        print(line)
    if told.skipped:
        raise typer.Exit(FAILED)
