"""`drywallqa segment`: photos and prompts in, masks out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from drywallqa import cli
from drywallqa.errors import ConfigError
from drywallqa.meanwhile import Meanwhile

if TYPE_CHECKING:
    from drywallqa.inference.segmenter import Segmenter
    from drywallqa.inference.tiles import Scale
    from drywallqa.reports.results import Summary


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
        str,
        typer.Option(
            "--precision",
            metavar="fp32|bf16|fp16|int8",
            help="What to compute in, where machine and model can.",
        ),
    ] = "fp32",
    profile: Annotated[
        str, typer.Option("--profile", metavar="full|fast", help="fast: a smaller window, half the work.")
    ] = "full",
    device: Annotated[str, typer.Option("--device", help="Where the model runs.")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads a photo may use (default: the runtime chooses)"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say a line about every photo.")] = False,
) -> None:
    """Segment photos under one or more prompts.

    Each photo and prompt becomes DIR/{photo}__{prompt}.png, 0 and 255, of the photo's size.
    Its figures stand in DIR/manifest.jsonl, and DIR/index.html shows the whole folder.

    Photos of one name from several folders keep those folders below DIR. What is done already is skipped.

    Exit codes: 0 done, 2 wrong usage, 3 some inputs failed.
    """
    chosen = _threshold(threshold)
    loading = Meanwhile(
        lambda: _load(
            model, backend=backend, device=device, threads=threads, precision=precision, profile=profile
        )
    )
    from drywallqa.cli.progress import Display
    from drywallqa.inference.plan import Settings
    from drywallqa.reports.results import segment_into

    settings = Settings(chosen, allow_unknown, overwrite, recursive, _scale(scale), refine)
    segmenter = loading.result()
    with Display(json=json, quiet=quiet, verbose=verbose) as display:
        summary = segment_into(
            segmenter, paths, prompt, out, settings=settings, overlay=overlay, probability=probability,
            index=index, on_start=display.start, on_outcome=display.show,
        )  # fmt: skip
    if not quiet:
        typer.echo(_sentence(summary), err=json)
    if summary.failed:
        raise typer.Exit(cli.FAILED if summary.prompts else cli.USAGE)


def _load(model: str | None, **how: Any) -> Segmenter:
    import drywallqa.bundle  # noqa: F401 - what the runtime needs comes first
    from drywallqa.inference.segmenter import load

    return load(model, **how)


def _threshold(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"the threshold is '{text}'; give auto or a number from 0 to 1") from None


def _scale(text: str) -> Scale:
    from drywallqa.inference.tiles import check_scale

    try:
        return check_scale(float(text))
    except ValueError:
        return check_scale(cast("Scale", text))


def _sentence(summary: Summary) -> str:
    parts = [f"{summary.done} {'photo' if summary.done == 1 else 'photos'} segmented"]
    if summary.skipped:
        parts.append(f"{summary.skipped} done already")
    if summary.failed:
        parts.append(f"{summary.failed} failed")
    where = f"{summary.masks} masks in {summary.out}" if summary.masks else "no masks"
    page = f"; see {summary.index}" if summary.index else ""
    return f"{', '.join(parts)} in {summary.seconds:.1f} s: {where}{page}"
