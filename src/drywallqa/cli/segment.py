"""`drywallqa segment`: photos and prompts in, masks out."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from drywallqa import cli
from drywallqa.background import BackgroundCall
from drywallqa.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drywallqa.fleet.cluster import Fleet
    from drywallqa.fleet.fleet_run import FleetSummary
    from drywallqa.inference.segmenter import Segmenter
    from drywallqa.workflows.segment import SegmentSummary


def segment(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Photos, folders or patterns such as 'site/*.jpg'.")
    ],
    prompt: Annotated[
        list[str],
        typer.Option("--prompt", "-p", metavar="TEXT", help="What to look for; may be given several times."),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the masks; made if missing.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="A bundle's folder (default: the one built in)"),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option("--threshold", metavar="auto|0..1", help="Probability above which a pixel is marked."),
    ] = "auto",
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            metavar="auto|fit|native|FACTOR",
            help="Show large photos scaled down (fit), or in tiles at their own pixels (native) or times a "
            "factor; auto: as suits what is looked for.",
        ),
    ] = "auto",
    refine: Annotated[
        str,
        typer.Option(
            "--refine",
            metavar="auto|none|STEPS",
            help="What follows the model: guided, crf, morphology, join, or several joined by +; auto: what "
            "the model's validation chose.",
        ),
    ] = "auto",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each photo with its mask laid over it.")
    ] = False,
    probability: Annotated[
        bool, typer.Option("--probability", help="Also write the probabilities, 0–255 for 0–1.")
    ] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="Also write the straight middle lines of each mask as JSON.")
    ] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders' folders; the results mirror them.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other content that lie there.")
    ] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Ask prompts that mean nothing the model has learnt.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a mask on standard output.")
    ] = False,
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="Write index.html, which shows the results.")
    ] = True,
    backend: Annotated[
        str,
        typer.Option(
            "--backend", metavar="NAME", help="The runtime: onnxruntime, openvino or torch, if installed."
        ),
    ] = "onnxruntime",
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="fp32|bf16|fp16|int8",
            help="What to compute in, where machine and model can; fp32, and int8 for the profile fast.",
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option("--profile", metavar="full|fast", help="fast: a smaller model, several times as fast."),
    ] = "full",
    device: Annotated[str, typer.Option("--device", help="Where the model runs.")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads a photo may use (default: the runtime chooses)"),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="local|ray",
            help="ray: on many workers, also of other machines; PATH and DIR may then be s3:// or gs://, and "
            "the figures come as DIR/results.parquet, too.",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help="With --engine ray: a cluster that runs already."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="With --engine ray: processes (default: one a core)"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say a line about every photo.")] = False,
) -> None:
    """Segment photos under one or more prompts.

    Each photo and prompt becomes DIR/{photo}__{prompt}.png, 0 and 255, of the photo's size.
    Its figures stand in DIR/manifest.jsonl, and DIR/index.html shows the whole folder.
    With --engine ray, figures, times and errors stand in DIR/results.parquet, too; in a store there alone.

    Photos of one name from several folders keep those folders below DIR. What is done already is skipped.

    Exit codes: 0 done, 2 wrong usage, 3 some inputs failed.
    """
    chosen = _threshold(threshold)
    fleet = _fleet(engine, address, workers, device, threads)
    bundle = str(Path(model).absolute()) if fleet and model else model  # workers may stand in another folder
    runtime: dict[str, Any] = {
        "backend": backend, "device": device, "threads": fleet.threads if fleet else threads,
        "precision": precision,
    }  # fmt: skip
    opener = partial(_load, bundle, profile=profile, **runtime)
    loading = None if fleet else _meanwhile(opener, bundle, profile, **runtime)
    from drywallqa.cli.progress import OutcomeDisplay
    from drywallqa.inference.plan import RunSettings
    from drywallqa.inference.scales import parse_scale

    settings = RunSettings(chosen, allow_unknown, overwrite, recursive, parse_scale(scale), refine)
    with OutcomeDisplay(json=json, quiet=quiet, verbose=verbose) as display:
        how: dict[str, Any] = {
            "settings": settings, "on_start": display.start, "on_outcome": display.show,
            "overlay": overlay, "probability": probability, "lines": lines,
        }  # fmt: skip
        summary = (
            _on_fleet(opener, paths, prompt, out, fleet=fleet, **how)
            if loading is None
            else _here(loading, paths, prompt, out, index=index, **how)
        )
    if not quiet:
        print(_sentence(summary), file=sys.stderr if json else sys.stdout)
    if summary.failed:
        raise typer.Exit(cli.FAILED if summary.prompts else cli.USAGE)


def _meanwhile(
    opener: Callable[[], Segmenter], model: str | None, profile: str, **runtime: Any
) -> BackgroundCall[Segmenter]:
    """Load the model while other things are prepared, its largest graph before everything else."""
    # the threads with which numpy multiplies matrices, of which there are none here, wait busily at first
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if runtime["backend"] == "onnxruntime":
        from drywallqa.inference.runtimes import folder_of, precision_of
        from drywallqa.onnx_session import IMAGE_ENCODER, graph_name, prefetch_session

        folder = folder_of(model, profile)
        precision = precision_of(folder, profile, runtime["backend"], runtime["precision"])
        graph = folder / graph_name(IMAGE_ENCODER, precision)
        prefetch_session(graph, runtime["device"], runtime["threads"])
    import drywallqa.inference.segmenter  # noqa: F401

    return BackgroundCall(opener)


def _here(loading: BackgroundCall[Segmenter], *asked: Any, **how: Any) -> SegmentSummary:
    from PIL import Image

    from drywallqa.workflows.segment import segment_into

    Image.preinit()  # imports the readers of common formats
    return segment_into(loading.result(), *asked, **how)


def _fleet(
    engine: str, address: str | None, workers: int | None, device: str, threads: int | None
) -> Fleet | None:
    """Return which workers are asked for; None where this process does the work itself."""
    if engine not in ("local", "ray"):
        raise ConfigError(f"the engine is '{engine}'; choose local or ray")
    if engine == "local":
        if address is not None or workers is not None:
            raise ConfigError("--address and --workers go with --engine ray")
        return None
    from drywallqa.fleet.cluster import Fleet

    return Fleet(address, workers, threads or 1, 0 if device == "cpu" else 1)


def _on_fleet(
    opener: Callable[[], Segmenter], *asked: Any, overlay: bool, probability: bool, lines: bool, **how: Any
) -> FleetSummary:
    from drywallqa.fleet import segment_fleet
    from drywallqa.inference.outputs import LINES, PROBABILITY
    from drywallqa.visualization.overlay import OVERLAY

    kinds = ((OVERLAY, overlay), (PROBABILITY, probability), (LINES, lines))
    outputs = [output for output, wish in kinds if wish]
    return segment_fleet(opener, *asked, outputs=outputs, **how)


def _load(model: str | None, **how: Any) -> Segmenter:
    from drywallqa.inference.segmenter import load

    return load(model, **how)


def _threshold(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"the threshold is '{text}'; give auto or a number from 0 to 1") from None


def _sentence(summary: SegmentSummary | FleetSummary) -> str:
    parts = [f"{summary.done} {'photo' if summary.done == 1 else 'photos'} segmented"]
    if summary.skipped:
        parts.append(f"{summary.skipped} done already")
    if summary.failed:
        parts.append(f"{summary.failed} failed")
    where = f"{summary.masks} masks in {summary.out}" if summary.masks else "no masks"
    shown = getattr(summary, "table", None) or getattr(summary, "index", None)
    page = f"; see {shown}" if shown else ""
    return f"{', '.join(parts)} in {summary.seconds:.1f} s: {where}{page}"
