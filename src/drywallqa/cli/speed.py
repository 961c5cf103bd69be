"""`drywallqa speed`: measure the speed of a bundle on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def speed(
    model: Annotated[
        Path | None,
        typer.Option(metavar="BUNDLE", help="Bundle to measure. Default: both bundles in the package."),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Runtime: onnxruntime, openvino or torch. Repeatable."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Precision: fp32, bf16, fp16 or int8. Repeatable."),
    ] = None,
    window: Annotated[
        list[int] | None,
        typer.Option(
            metavar="PX", min=32, help="Window size. Repeatable. Default: the bundle's window size."
        ),
    ] = None,
    prompts: Annotated[
        list[int] | None,
        typer.Option(metavar="1..5", help="Number of prompts. Repeatable. Default: 1 and 5."),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Photos per batch. Repeatable. Default: 1 and 4.")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Number of threads. Repeatable. Default: from 1 to the number of cores."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also measure the quality on the val split of this data set."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="Time in s to measure each combination of options.")
    ] = 2.0,
    side: Annotated[int, typer.Option(min=32, help="Side of the square test photo in px.")] = 640,
    clipseg: Annotated[
        bool, typer.Option("--clipseg/--no-clipseg", help="Also measure the original CLIPSeg model.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for bench.json and bench.png.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Earlier bench.json to compare the results with.")
    ] = None,
) -> None:
    """Measure latency, throughput, start-up time and memory of a bundle, and compare them with CLIPSeg."""
    from drywallqa.workflows import speed

    earlier = speed.read_speed(against) if against else None
    request = speed.SpeedRequest(
        model, tuple(backend or ("onnxruntime",)), tuple(precision or ()), tuple(window or ()),
        tuple(prompts or (1, 5)), tuple(batch or (1, 4)), tuple(threads or ()), seconds, data, clipseg, side,
    )  # fmt: skip
    report = speed.run_speed(request, lambda line: print(line, file=sys.stderr))
    lines = [*speed.speed_table(report), *(speed.compare_speed(report, earlier) if earlier else ())]
    if out:
        lines.append(speed.write_speed(report, out))
    for line in lines:
        print(line)
