"""`drywallqa demo`: segment rendered example walls and compare the masks with the ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa import cli


def demo(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the photos and the results."),
    ] = Path("demo-output"),
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="Folder of a bundle. Default: the bundled model."),
    ] = None,
) -> None:
    """Render eight example walls, segment cracks and taping areas, and compare with the ground truth.

    The ground truth is exact for every pixel, because the walls are rendered. The command writes the photos
    to DIR/photos, and masks, overlays and index.html to DIR/results.
    """
    from drywallqa.cli.progress import OutcomeDisplay
    from drywallqa.inference.segmenter import load
    from drywallqa.workflows.demo import run_demo

    segmenter = load(model)
    with OutcomeDisplay(json=False, quiet=False, verbose=False) as display:
        shown = run_demo(segmenter, out, on_start=display.start, on_outcome=display.show)
    summary = shown.summary
    print(f"{summary.done + summary.skipped} rendered example walls: {shown.photos}")
    for item in shown.agreements:
        found = sum(overlap > 0 for overlap in item.overlaps.values())
        print(
            f"{item.concept}: found on {found} of the {len(item.overlaps)} walls that show it "
            f"(mean IoU {item.mean_overlap:.2f} with the ground truth), "
            f"falsely marked on {item.false_alarms} of the {len(item.false_areas)} other walls"
        )
    print(f"Results: {summary.out}")
    if summary.index is not None:
        print(f"To see the results, open this page in a browser: {summary.index.resolve().as_uri()}")
    if summary.failed:
        raise typer.Exit(cli.FAILED)
