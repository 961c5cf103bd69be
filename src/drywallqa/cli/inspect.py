"""`drywallqa inspect`: measure the cracks and joints in photos, judge them by rules, and write a report."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drywallqa import cli
from drywallqa.onnx_session import RuntimeOptions

if TYPE_CHECKING:
    from drywallqa.reports.inspection_material import ReportOptions
    from drywallqa.workflows.inspect import InspectSummary


def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Photos, folders or patterns. Folders are rooms and walls."),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            "-p",
            metavar="TEXT",
            help="What to search for. Repeatable. Default: cracks, joints.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="Folder of a bundle. Default: the bundled model."),
    ] = None,
    mm_per_pixel: Annotated[
        float | None, typer.Option("--mm-per-pixel", metavar="MM", help="Size of a pixel on the wall in mm.")
    ] = None,
    line: Annotated[
        str | None,
        typer.Option(
            "--line", metavar="POINTS=LENGTH", help="Two points in one photo: '120,80 940,85 = 500mm'."
        ),
    ] = None,
    rectangle: Annotated[
        str | None,
        typer.Option(
            "--rectangle",
            metavar="POINTS=SIZE",
            help="Four corners in one photo: '120,80 940,85 935,610 115,600 = 1200mm x 800mm'.",
        ),
    ] = None,
    marker: Annotated[
        str | None,
        typer.Option("--marker", metavar="LENGTH", help="Side of a printed marker in each photo: '100mm'."),
    ] = None,
    marker_family: Annotated[
        str | None, typer.Option("--marker-family", metavar="NAME", help="Family of the markers.")
    ] = None,
    board: Annotated[
        str | None,
        typer.Option("--board", metavar="LENGTH", help="Distance between parallel joints: '1200mm'."),
    ] = None,
    distance: Annotated[
        str | None,
        typer.Option(
            "--distance",
            metavar="LENGTH|exif",
            help="Distance from the camera to the wall. The focal length comes from EXIF.",
        ),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option("--rules", metavar="NAME|FILE", help="Rule set; see 'drywallqa rules'."),
    ] = None,
    visit: Annotated[
        str,
        typer.Option(
            "--visit", metavar="last|new", help="last: continue or repeat the last visit. new: add a visit."
        ),
    ] = "last",
    date: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Date of the visit. Default: today.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", metavar="NAME", help="The responsible person.")
    ] = None,
    title: Annotated[
        str | None,
        typer.Option("--title", metavar="TEXT", help="Name of the project. Default: name of the folder."),
    ] = None,
    reviews: Annotated[
        Path | None,
        typer.Option(
            "--reviews", metavar="FILE", help="Decisions of people. Default: DIR/reviews.csv, if it is there."
        ),
    ] = None,
    client: Annotated[str, typer.Option("--client", metavar="TEXT", help="Client, for the report.")] = "",
    address: Annotated[str, typer.Option("--address", metavar="TEXT", help="Address, for the report.")] = "",
    inspector: Annotated[
        str, typer.Option("--inspector", metavar="TEXT", help="Company or person that makes the report.")
    ] = "",
    units: Annotated[
        str, typer.Option("--units", metavar="metric|imperial", help="Units of the report.")
    ] = "metric",
    page: Annotated[
        str, typer.Option("--page", metavar="a4|letter", help="Size of the report's pages.")
    ] = "a4",
    with_gps: Annotated[
        bool, typer.Option("--with-gps", help="State the position that the camera stored in each photo.")
    ] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write the report also as PDF.")] = False,
    threshold: Annotated[
        str,
        typer.Option(
            "--threshold",
            metavar="auto|0..1",
            help="Probability above which pixels are marked. auto: the threshold of the bundle.",
        ),
    ] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of photos or settings that changed.")
    ] = False,
    backend: Annotated[
        str, typer.Option("--backend", metavar="NAME", help="Runtime: onnxruntime, openvino or torch.")
    ] = "onnxruntime",
    profile: Annotated[
        str, typer.Option("--profile", metavar="full|fast", help="fast: use a smaller and faster model.")
    ] = "full",
    device: Annotated[str, typer.Option("--device", help="Device on which the model runs.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Number of threads per photo.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print one line per photo.")] = False,
) -> None:
    """Inspect photos: find cracks and joints, measure them, and judge them by a rule set.

    The photos of one folder show one wall. DIR/inspection.json contains all findings, DIR/findings.csv is a
    table of them, and DIR/report.html is the report. The next run applies the decisions in DIR/reviews.csv.
    A finding keeps its number for good. Photos that already have results are skipped. Without an option for
    the scale, they keep their scale.

    The exit code is 0 if no rule failed, 1 if a rule failed, 2 for wrong usage, and 3 if photos were refused
    or had no scale, and no rule failed.
    """
    from drywallqa.cli.progress import OutcomeDisplay, progress_unless
    from drywallqa.inference.queries import SegmentOptions, number_or_word
    from drywallqa.inference.segmenter import load
    from drywallqa.inspection.rules import DEFAULT_RULES
    from drywallqa.inspection.scale_sources import parse_scale_options
    from drywallqa.workflows.inspect import InspectOptions
    from drywallqa.workflows.inspect import inspect as run_inspection

    options = InspectOptions(
        prompts=tuple(prompt or ()),
        segment=SegmentOptions(number_or_word(threshold)),
        scale=parse_scale_options(mm_per_pixel, line, rectangle, marker, marker_family, board, distance),
        rules=rules or DEFAULT_RULES,
        visit=visit,
        date=date,
        reviewer=reviewer,
        title=title,
        overwrite=overwrite,
        reviews=reviews,
        report=_report_options(client, address, inspector, units, page, with_gps),
        pdf=pdf,
    )
    segmenter = load(model, options=RuntimeOptions(backend, device, threads, None, profile))
    with OutcomeDisplay(json=False, quiet=quiet, verbose=verbose) as display:
        summary = run_inspection(
            paths, out, options, segmenter=segmenter, on_start=display.start, on_outcome=display.show,
            on_picture=partial(progress_unless(quiet), "drawing"),
        )  # fmt: skip
    for problem in summary.problems:
        print(f"warning: {problem}", file=sys.stderr)
    if not quiet:
        for sentence in _sentences(summary, verbose):
            print(sentence)
    if summary.outcome == "fail":
        raise typer.Exit(cli.FOUND)
    if summary.refused:
        raise typer.Exit(cli.FAILED)


def _report_options(
    client: str, address: str, inspector: str, units: str, page: str, with_gps: bool
) -> ReportOptions:
    """Check the options of the report.

    Raises:
        ConfigError: The units or the page size are unknown.
    """
    from drywallqa.errors import ConfigError
    from drywallqa.reports.inspection_material import ReportOptions

    if units not in ("metric", "imperial"):
        raise ConfigError(f"--units '{units}' is unknown; choose metric or imperial")
    if page.lower() not in ("a4", "letter"):
        raise ConfigError(f"--page '{page}' is unknown; choose a4 or letter")
    return ReportOptions(
        client=client,
        address=address,
        inspector=inspector,
        units="metric" if units == "metric" else "imperial",
        paper="a4" if page.lower() == "a4" else "letter",
        with_gps=with_gps,
    )


def _sentences(summary: InspectSummary, verbose: bool) -> list[str]:
    """Describe the results for people."""
    visit = summary.ledger.visits[-1]
    numbers = [
        finding.number
        for finding in summary.ledger.findings
        if finding.state == "open" and any(one.visit == visit.number for one in finding.observations)
    ]
    refused = f", {summary.refused} with an error" if summary.refused else ""
    photos = f"{summary.photos} {'photo' if summary.photos == 1 else 'photos'}{refused}"
    sentences = [
        f"{photos}, {len(numbers)} {'finding' if len(numbers) == 1 else 'findings'}. "
        f"Worst verdict: {summary.outcome} ({visit.rule_set}).",
        f"Results: {Path(summary.out)}. Report: {', '.join(path.name for path in summary.report)}",
    ]
    if verbose:
        sentences.append(f"Measuring took {summary.measuring_seconds:.1f} s of processor time.")
    return sentences
