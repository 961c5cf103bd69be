"""`drywallqa export`: turn a run into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Turn a run into a bundle: ONNX graphs, text side, weights, thresholds chosen on val, card.

    A bundle instead of a run is copied. Graphs of another format or precision are held against their source
    on photos of val before they are kept.
    """
    from drywallqa.bundle.bundle import HEAD
    from drywallqa.datasets import dataset
    from drywallqa.exporting import formats
    from drywallqa.exporting.export import WINDOWS, export_run

    formats.check(form, precision)
    known = dataset.load(data)
    if (run / HEAD).is_file():
        bundle = formats.copy_bundle(run, out, overwrite)
    else:
        bundle = export_run(
            run, known, out, windows=window or WINDOWS, version=version, checkpoint=checkpoint,
            overwrite=overwrite,
        )  # fmt: skip
    bundle = formats.add_form(bundle, known, form, precision)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {bundle.name} {bundle.version}, {size:.1f} MB, knows {', '.join(bundle.concepts)}")
