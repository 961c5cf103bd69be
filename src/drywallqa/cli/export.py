"""`drywallqa export`: turn a run into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.errors import ConfigError


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="A run that `train` left, or a bundle.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Its data set; val decides the thresholds.")],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="The bundle's folder.")],
    window: Annotated[
        list[int] | None, typer.Option(metavar="PX", help="Window sizes to choose from on val.")
    ] = None,
    version: Annotated[str, typer.Option(help="The model's version.")] = "1",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="last|best|FILE", help="By default the best on val, or the last if there is none."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="onnx|openvino", help="Add OpenVINO's files to the bundle.")
    ] = "onnx",
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16|int8", help="Add graphs in this precision to the bundle.")
    ] = "fp32",
    text: Annotated[
        Path | None,
        typer.Option(metavar="SIDE|BUNDLE", help="Another text side, trained in the same text space."),
    ] = None,
    caution: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONCEPT=SHARE",
            help="Where several presence thresholds are equally good on val, choose one between the lowest "
            "(0) and the highest (1); by default the one nearest to 0.5. May be repeated.",
        ),
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Remarks on the training data for the model card, in Markdown."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Turn a run into a bundle: ONNX graphs, text side, weights, thresholds chosen on val, card.

    A bundle instead of a run is copied. Graphs of another format or precision are compared with their source
    on photos of val before they are kept.
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
        raise ConfigError(f"--notes {notes}: cannot be read ({error}); give a UTF-8 text file") from error
    dataset = load_dataset(data)
    if (run / HEAD).is_file():
        if tie_breaks:
            raise ConfigError("--caution: a bundle's thresholds are chosen already; export its run")
        side = export_run.load_text_side(run, text, dataset) if text else None  # refused before it is copied
        bundle = runtime_formats.copy_bundle(run, out, overwrite, side, remarks)
    else:
        bundle = export_run.export_run(
            run, dataset, out, windows=window or export_run.WINDOWS, version=version, checkpoint=checkpoint,
            text=text, caution=tie_breaks, notes=remarks, overwrite=overwrite,
        )  # fmt: skip
    bundle = runtime_formats.add_form(bundle, dataset, form, precision)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {bundle.name} {bundle.version}, {size:.1f} MB, knows {', '.join(bundle.concepts)}")
