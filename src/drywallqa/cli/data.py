"""`drywallqa data`: import, export, split, audit, extend and measure data sets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FOUND, data_export, data_import, data_rank, data_render, one_line
from drywallqa.cli.data_import import Invert, Layout, Values
from drywallqa.cli.progress import step_progress

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Import, export, split, audit and measure data sets.",
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a data set written by `import`.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the results as JSON.")
]


app.command("import")(data_import.import_)
app.command("export")(data_export.export)
app.command("rank")(data_rank.rank)
app.command("render")(data_render.render)
app.command("mosaics")(data_render.mosaics)


@app.command()
def split(
    folder: Folder,
    ratios: Annotated[str, typer.Option(help="Ratio of the splits train/val/test.")] = "70/15/15",
    seed: Annotated[int, typer.Option(help="Random seed. The same seed gives the same splits.")] = 0,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Keep source photos with consecutive names in one split.")
    ] = False,
    group: Annotated[
        str, typer.Option(help="Keep in one split: copies of a photo (source), or also near-duplicates.")
    ] = "source",
    by_csv: Annotated[
        Path | None,
        typer.Option(
            "--by-csv", metavar="FILE", help="Read the splits from a CSV file with the columns file,split."
        ),
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option(
            "--hold-out", metavar="SETTING", help="Put all photos with this setting into the test split."
        ),
    ] = None,
) -> None:
    """Split a data set. All copies of one source photo go into the same split."""
    from drywallqa.curation import split as splitting
    from drywallqa.datasets import dataset

    known = dataset.load_dataset(folder)
    if by_csv:
        done, unnamed, unmatched = splitting.split_by_csv(known, by_csv)
        for text, names in (
            (f"photos are not listed in {by_csv} and get no split", unnamed),
            (f"rows of {by_csv} name photos that are not in the data set", unmatched),
        ):
            if names:
                print(f"{len(names)} {text}, for example {names[0]}", file=sys.stderr)
    else:
        shares = splitting.parse_ratios(ratios)
        done = splitting.split_dataset(known, shares, seed=seed, blocks=blocks, grouping=group)
    if setting is not None:
        done = splitting.hold_out(done, setting)
    dataset.save_dataset(done)
    for note in splitting.split_notes(done):
        print(one_line(note), file=sys.stderr)
    print(f"{len(done)} photos: {_count(sample.split or 'no split' for sample in done)}")


@app.command()
def audit(
    source: Annotated[Path, typer.Argument(metavar="DIR|EXPORT", help="Folder of a data set, or an export.")],
    json_file: JsonFile = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the findings as a PNG.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Find copies by file name (source), by picture content (hash), or by both.")
    ] = "both",
    layout: Layout = "auto",
    value: Values = None,
    invert: Invert = None,
) -> None:
    """Find leaks, near-duplicates and suspicious annotations. The exit code is 1 if there are findings."""
    from drywallqa.curation import audit as auditing
    from drywallqa.files import json_bytes, write_whole
    from drywallqa.formats.annotations import ReadOptions
    from drywallqa.reports.findings_text import audit_lines
    from drywallqa.visualization.audit_sheet import audit_sheet
    from drywallqa.visualization.panels import png_bytes

    _check_outputs(json_file, sheet)
    read, progress = ReadOptions.parse(value or (), invert), step_progress("auditing")
    with auditing.audit_source(source, layout=layout, by=by, read=read, progress=progress) as report:
        # Write the files first, because a reader of the text such as `head` may close the pipe.
        if json_file:
            write_whole(json_file, json_bytes(report.to_json()))
        if sheet:
            write_whole(sheet, png_bytes(audit_sheet(report)))
        for line in audit_lines(report):
            print(one_line(line))
    if report.found_something:
        raise typer.Exit(FOUND)


@app.command("seam-lines")
def seam_lines(
    folder: Folder,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the findings as a PNG.")
    ] = None,
    boxes: Annotated[
        str, typer.Option(metavar="CONCEPT", help="Concept whose boxes are searched for seams.")
    ] = "taping area",
    concept: Annotated[
        str, typer.Option(metavar="CONCEPT", help="Name of the concept for the seams.")
    ] = "seam line",
) -> None:
    """Find the thin seam inside each taping box, and label the seam as a separate concept."""
    from drywallqa.curation.seam_lines import add_seam_lines, seam_sheet
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.files import write_whole
    from drywallqa.visualization.panels import png_bytes

    _check_outputs(None, sheet)
    found = add_seam_lines(
        load_dataset(folder), boxes=boxes, concept=concept, progress=step_progress("searching")
    )
    if sheet:
        write_whole(sheet, png_bytes(seam_sheet(found)))
    print(
        f"'{concept}': labelled in {found.labelled} photos and absent in {found.absent} photos; "
        f"{found.left} photos are unlabelled because a seam was uncertain"
    )


@app.command()
def stats(folder: Folder, json_file: JsonFile = None) -> None:
    """Count the photos and source photos in each split, and measure the masks of each concept."""
    from drywallqa.curation.stats import measure_dataset, stats_lines
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.files import json_bytes, write_whole

    _check_outputs(json_file)
    figures = measure_dataset(load_dataset(folder), step_progress("measuring"))
    if json_file:
        write_whole(json_file, json_bytes(figures))
    for line in stats_lines(figures):
        print(line)


def _count(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())


def _check_outputs(json_file: Path | None, sheet: Path | None = None) -> None:
    """Check the output paths before the work starts."""
    from drywallqa.errors import OutputError
    from drywallqa.files import check_output_files

    check_output_files(json_file, sheet)
    if sheet and sheet.suffix.lower() != ".png":
        raise OutputError(f"{sheet} is not a PNG file; pass FILE.png")
