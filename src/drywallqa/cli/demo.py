"""`drywallqa demo`: segment example walls that the package renders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drywallqa import cli

if TYPE_CHECKING:
    from drywallqa.synthetic.examples import ExampleScore


def demo(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for photos and results."),
    ] = Path("demo-output"),
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="A bundle's folder [default: the built-in bundle]"),
    ] = None,
) -> None:
    """Render eight example walls, segment cracks and taping areas, and compare with the ground truth.

    The walls are rendered, so the ground truth is exact for every pixel. The command writes photos to
    DIR/photos, and masks, overlays and index.html to DIR/results.
    """
    from drywallqa.cli.progress import OutcomeDisplay
    from drywallqa.inference.segmenter import load
    from drywallqa.workflows.demo import run_demo

    segmenter = load(model)
    with OutcomeDisplay(json=False, quiet=False, verbose=False) as display:
        shown = run_demo(segmenter, out, on_start=display.start, on_outcome=display.show)
    summary = shown.summary
    print(f"{summary.done + summary.skipped} example walls (rendered, not photographed): {shown.photos}")
    for item in shown.agreements:
        print(_sentence(item))
    print(f"Results: {summary.out}")
    if summary.index is not None:
        print(f"Look at them in a browser: {summary.index.resolve().as_uri()}")
    if summary.failed:
        raise typer.Exit(cli.FAILED)


def _sentence(item: ExampleScore) -> str:
    found = sum(overlap > 0 for overlap in item.overlaps.values())
    return (
        f"{item.concept}: found on {found} of the {len(item.overlaps)} walls that show it "
        f"(mean IoU {item.mean_overlap:.2f} with the truth), "
        f"falsely marked on {item.false_alarms} of the {len(item.false_areas)} others"
    )
