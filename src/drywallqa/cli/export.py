"""`drywallqa export`: export a training run as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.errors import ConfigError


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN|BUNDLE", help="Folder of a run of `train`, or of a bundle.")
    ],
    data: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Data set of the run. The thresholds are chosen on its val split."),
    ],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder for the new bundle.")],
    window: Annotated[
        list[int] | None,
        typer.Option(metavar="PX", help="Candidate window size; the best size on val is used. Repeatable."),
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="last|best|FILE",
            help="Checkpoint to export. Default: best on val if known, otherwise last.",
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="onnx|openvino", help="openvino: add OpenVINO files to the bundle."),
    ] = "onnx",
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16|int8", help="Also add graphs in this precision to the bundle.")
    ] = "fp32",
    text: Annotated[
        Path | None,
        typer.Option(metavar="SIDE|BUNDLE", help="Another text encoder, trained for the same text space."),
    ] = None,
    caution: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONCEPT=SHARE",
            help="Choose among presence thresholds that are equally good on val: 0 takes the lowest, 1 takes "
            "the highest, and a fraction takes one in between. Default: nearest to 0.5. Repeatable.",
        ),
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Markdown file with notes on the training data, for the model card."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle.")] = False,
) -> None:
    """Export a run as a bundle: ONNX graphs, text encoder, weights, thresholds and model card.

    If the argument is a bundle, the command copies the bundle. Before the command adds graphs of another
    format or precision, it compares the new graphs with the original graphs on photos of val.
    """
    from drywallqa.bundle.bundle import HEAD
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.evaluation.thresholds import parse_tie_breaks
    from drywallqa.exporting import export_run, runtime_formats

    runtime_formats.check_form(form, precision)
    tie_breaks = parse_tie_breaks(caution or [])
    try:
        remarks = notes.read_text(encoding="utf-8") if notes else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read --notes {notes} ({error}); pass a UTF-8 text file") from error
    dataset = load_dataset(data)
    if (run / HEAD).is_file():
        if tie_breaks:
            raise ConfigError(
                "--caution does not work for a bundle, because its thresholds are fixed; export its run"
            )
        side = export_run.load_text_side(run, text, dataset) if text else None  # fails before the copy
        bundle = runtime_formats.copy_bundle(run, out, overwrite, side, remarks)
    else:
        bundle = export_run.export_run(
            run, dataset, out, windows=window or export_run.WINDOWS, version=version, checkpoint=checkpoint,
            text=text, caution=tie_breaks, notes=remarks, overwrite=overwrite,
        )  # fmt: skip
    bundle = runtime_formats.add_form(bundle, dataset, form, precision)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {bundle.name} {bundle.version}, {size:.1f} MB, concepts: {', '.join(bundle.concepts)}")
