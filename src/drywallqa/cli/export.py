"""`drywallqa export`: turn a run into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run that `train` left.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Its data set; val decides the thresholds.")],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="The bundle's folder.")],
    window: Annotated[
        list[int] | None, typer.Option(metavar="PX", help="Window sizes to choose from on val.")
    ] = None,
    version: Annotated[str, typer.Option(help="The model's version.")] = "1",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Turn a run into a bundle: ONNX graphs, text side, weights, thresholds chosen on val, card."""
    from drywallqa.datasets import dataset
    from drywallqa.training.export import WINDOWS, export_run

    bundle = export_run(
        run, dataset.load(data), out, windows=window or WINDOWS, version=version, overwrite=overwrite
    )
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"{out}: {bundle.name} {bundle.version}, {size:.1f} MB, knows {', '.join(bundle.concepts)}")
