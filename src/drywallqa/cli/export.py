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
            help="Of presence thresholds that are equally good on val, one from the lowest (0) to the "
            "highest (1), instead of the nearest to one half; may be repeated.",
        ),
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What is to be known of the data: Markdown for the card."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Turn a run into a bundle: ONNX graphs, text side, weights, thresholds chosen on val, card.

    A bundle instead of a run is copied. Graphs of another format or precision are held against their source
    on photos of val before they are kept.
    """
    from drywallqa.bundle.bundle import HEAD
    from drywallqa.datasets import dataset
    from drywallqa.evaluation.thresholds import parse_tie_breaks
    from drywallqa.exporting import runtime_formats
    from drywallqa.exporting.export_run import WINDOWS, export_run, with_data_notes
    from drywallqa.exporting.text_replacement import load_text_side, replace_text

    runtime_formats.check_form(form, precision)
    doubt = parse_tie_breaks(caution or [])
    told = _read(notes) if notes else None
    known = dataset.load_dataset(data)
    if (run / HEAD).is_file():
        if doubt:
            raise ConfigError("--caution: a bundle's thresholds are chosen already; export its run")
        side = load_text_side(run, text, known) if text else None  # refused before anything is written
        bundle = runtime_formats.copy_bundle(run, out, overwrite)
        bundle = replace_text(bundle, side) if side else bundle
        bundle = with_data_notes(bundle, told) if told else bundle
    else:
        bundle = export_run(
            run, known, out, windows=window or WINDOWS, version=version, checkpoint=checkpoint,
            text=text, caution=doubt, notes=told, overwrite=overwrite,
        )  # fmt: skip
    bundle = runtime_formats.add_form(bundle, known, form, precision)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {bundle.name} {bundle.version}, {size:.1f} MB, knows {', '.join(bundle.concepts)}")


def _read(path: Path) -> str:
    """Read a file of notes.

    Raises:
        ConfigError: It is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--notes {path}: cannot be read ({error}); give a UTF-8 text file") from error
