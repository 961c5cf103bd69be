"""`drywallqa speed`: how fast a bundle is here, and how well it does at that speed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def speed(
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="The bundle; by default the bundled ones.")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="onnxruntime, openvino, torch; may be repeated.")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="fp32, bf16, fp16, int8; may be repeated.")
    ] = None,
    window: Annotated[
        list[int] | None,
        typer.Option(metavar="PX", min=32, help="Windows; by default each bundle's own."),
    ] = None,
    prompts: Annotated[
        list[int] | None, typer.Option(metavar="1..5", help="Numbers of prompts; by default 1 and 5.")
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Photos encoded together; by default 1 and 4.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Threads; by default 1 to all cores.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure each row's quality on its val part.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each case is repeated.")] = 2.0,
    side: Annotated[int, typer.Option(min=32, help="Side of the photo in px.")] = 640,
    clipseg: Annotated[
        bool, typer.Option("--clipseg/--no-clipseg", help="Measure plain CLIPSeg beside it.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write bench.json and bench.png here.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with an earlier bench.json.")
    ] = None,
) -> None:
    """Measure latency, throughput, stages, start and memory of a bundle, beside plain CLIPSeg."""
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
