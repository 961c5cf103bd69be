"""`drywallqa segment`: segment photos by text prompts."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drywallqa import cli
from drywallqa.background import BackgroundCall
from drywallqa.errors import ConfigError
from drywallqa.onnx_session import IMAGE_ENCODER, RuntimeOptions, graph_name, prefetch_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from drywallqa.fleet.cluster import Fleet
    from drywallqa.inference.plan import SegmentSummary
    from drywallqa.inference.segmenter import Segmenter


def segment(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Photos, folders or patterns such as 'site/*.jpg'.")
    ],
    prompt: Annotated[
        list[str],
        typer.Option(
            "--prompt",
            "-p",
            metavar="TEXT",
            help="Text prompt, such as 'segment crack'. Repeatable.",
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="Folder of a bundle. Default: the bundled model."),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            "--threshold",
            metavar="auto|0..1",
            help="Probability above which pixels are marked. auto: the threshold of the bundle.",
        ),
    ] = "auto",
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            metavar="auto|fit|native|FACTOR",
            help="Scale of large photos. fit: scale photos down. native: use tiles at full resolution. "
            "FACTOR: use tiles at FACTOR times full resolution. auto: depends on the concept.",
        ),
    ] = "auto",
    refine: Annotated[
        str,
        typer.Option(
            "--refine",
            metavar="auto|none|STEPS",
            help="Refinement steps: guided, crf, morphology, join, or several steps joined by +. auto uses "
            "the setting of the bundle.",
        ),
    ] = "auto",
    mask: Annotated[
        str,
        typer.Option(
            "--mask",
            metavar="auto|outline|crack|band",
            help="What the masks show. outline: the pixels that the model marks. crack: the crack's own "
            "pixels. band: a band along the lines of a joint or crack. auto: crack for cracks, and outline "
            "for joints.",
        ),
    ] = "auto",
    band: Annotated[
        str | None,
        typer.Option(
            "--band",
            metavar="LENGTH",
            help="With --mask band: width of the band, such as 40px, or 50mm with --mm-per-pixel. Default: "
            "as wide as usual labels of joints.",
        ),
    ] = None,
    mm_per_pixel: Annotated[
        float | None,
        typer.Option(
            "--mm-per-pixel", metavar="MM", help="With --band: mm of the wall per px of the photos."
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each photo with the mask drawn over it.")
    ] = False,
    probability: Annotated[
        bool, typer.Option("--probability", help="Also write the probabilities as PNG, scaled to 0–255.")
    ] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="Also write straight centre lines of each mask as JSON.")
    ] = False,
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive", "-r", help="Also search subfolders. The results keep the folder structure."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results that differ.")
    ] = False,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Accept prompts that name none of the model's concepts.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per mask on standard output.")
    ] = False,
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="Write index.html, a page that shows the results.")
    ] = True,
    labels: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="coco|coco-rle|yolo|cvat|label-studio|masks",
            help="Also write the masks as pre-annotations in this format, to DIR/labels-FORMAT. A class is "
            "named after the concept of its prompt. The photos are not copied.",
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option("--backend", metavar="NAME", help="Runtime: onnxruntime, openvino or torch."),
    ] = "onnxruntime",
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="fp32|bf16|fp16|int8",
            help="Precision of the model. Default: fp32, or int8 for --profile fast.",
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile", metavar="full|fast", help="fast: use a smaller model that is several times faster."
        ),
    ] = "full",
    device: Annotated[str, typer.Option("--device", help="Device on which the model runs.")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Number of threads per photo. Default: the runtime chooses."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="local|ray",
            help="ray: use several worker processes on one or more machines. PATH and DIR may be s3:// or "
            "gs:// addresses, and the run also writes DIR/results.parquet.",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help="With --engine ray: address of a running cluster."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="With --engine ray: number of worker processes. Default: one per core."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print one line per photo.")] = False,
) -> None:
    """Segment photos by one or more prompts.

    Each mask is written to DIR/{photo}__{prompt}.png, with values 0 and 255 and the size of the photo.
    DIR/manifest.jsonl has one record per mask, and DIR/index.html shows all results. With --engine ray,
    DIR/results.parquet has the records, times and errors. No manifest is written to s3:// or gs://.

    If photos from different folders have the same name, the results keep the folder structure. Photos that
    already have results are skipped.

    The exit code is 0 for success, 2 for wrong usage, and 3 if some inputs failed.
    """
    fleet = _fleet(engine, address, workers, device, threads)
    bundle = str(Path(model).absolute()) if fleet and model else model  # workers may run in another folder
    runtime = RuntimeOptions(backend, device, fleet.threads if fleet else threads, precision, profile)
    opener = partial(_load, bundle, runtime)
    loading = None if fleet else _load_in_background(opener, bundle, runtime)
    from drywallqa.cli.progress import OutcomeDisplay, show_problems
    from drywallqa.inference.outputs import LINES, PROBABILITY
    from drywallqa.inference.plan import RunOptions
    from drywallqa.inference.queries import SegmentOptions, number_or_word
    from drywallqa.visualization.overlay import OVERLAY

    masks = SegmentOptions(
        number_or_word(threshold), allow_unknown, number_or_word(scale), refine,
        mask, _band_px(band, mm_per_pixel),
    )  # fmt: skip
    outputs = ((OVERLAY, overlay), (PROBABILITY, probability), (LINES, lines))
    options = RunOptions(
        masks, overwrite, recursive, tuple(output for output, wanted in outputs if wanted), index, labels
    )
    with OutcomeDisplay(json=json, quiet=quiet, verbose=verbose) as display:
        display_calls: dict[str, Any] = {"on_start": display.start, "on_outcome": display.show}
        if loading is None:
            from drywallqa.fleet import segment_fleet

            summary = segment_fleet(opener, paths, prompt, out, options, fleet=fleet, **display_calls)
        else:
            import PIL.JpegImagePlugin  # noqa: F401  # Pillow's reader for most photos

            from drywallqa.workflows.segment import segment_into

            summary = segment_into(loading.result(), paths, prompt, out, options, **display_calls)
    if not quiet:
        print(_sentence(summary), file=sys.stderr if json else sys.stdout)
    if summary.labels:
        counts = show_problems(summary.label_problems, summary.labels / "problems.jsonl")
        if not quiet:
            print(". ".join(filter(None, (f"Labels: {summary.labels}", counts))), file=sys.stderr)
    if summary.failed or any(problem.is_loss for problem in summary.label_problems):
        raise typer.Exit(cli.FAILED if summary.prompts else cli.USAGE)


def _band_px(band: str | None, mm_per_pixel: float | None) -> float | None:
    """Return the width of the band in px."""
    if mm_per_pixel is not None and not (mm_per_pixel > 0 and mm_per_pixel < float("inf")):
        raise ConfigError(f"--mm-per-pixel is {mm_per_pixel}; pass a positive number")
    if band is None:
        return None
    from drywallqa.inspection.lengths import parse_length

    length = parse_length(band, "--band")
    if length.unit == "px":
        return length.value
    if mm_per_pixel is None:
        raise ConfigError(f"--band {band} needs a scale; add --mm-per-pixel, or give the width in px")
    return length.value / mm_per_pixel


def _load(model: str | None, runtime: RuntimeOptions) -> Segmenter:
    from drywallqa.inference.segmenter import load

    return load(model, options=runtime)


def _load_in_background(
    opener: Callable[[], Segmenter], model: str | None, runtime: RuntimeOptions
) -> BackgroundCall[Segmenter]:
    """Load the model in a background thread, starting with its largest graph."""
    # This command does not multiply matrices with NumPy, so starting NumPy's threads would waste CPU time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if runtime.backend == "onnxruntime":
        folder = runtime.folder_of(model)
        graph = folder / graph_name(IMAGE_ENCODER, runtime.precision_for(folder))
        prefetch_session(graph, runtime.device, runtime.threads)
    import drywallqa.inference.segmenter  # noqa: F401

    return BackgroundCall(opener)


def _fleet(
    engine: str, address: str | None, workers: int | None, device: str, threads: int | None
) -> Fleet | None:
    """Return the settings of the workers for `--engine ray`; None for the local engine."""
    if engine not in ("local", "ray"):
        raise ConfigError(f"unknown engine '{engine}'; choose local or ray")
    if engine == "local":
        if address is not None or workers is not None:
            raise ConfigError("--address and --workers require --engine ray")
        return None
    from drywallqa.fleet.cluster import Fleet

    return Fleet(address, workers, threads or 1, 0 if device == "cpu" else 1)


def _sentence(summary: SegmentSummary) -> str:
    parts = [f"{summary.done} {'photo' if summary.done == 1 else 'photos'} segmented"]
    if summary.skipped:
        parts.append(f"{summary.skipped} already done")
    if summary.failed:
        parts.append(f"{summary.failed} failed")
    where = f"{summary.masks} masks in {summary.out}" if summary.masks else "no masks"
    shown = summary.table or summary.index
    page = f"; see {shown}" if shown else ""
    return f"{', '.join(parts)} in {summary.seconds:.1f} s: {where}{page}"
