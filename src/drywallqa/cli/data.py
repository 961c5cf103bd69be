"""`drywallqa data`: import, split, audit and measure data sets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FAILED, FOUND, data_rank, one_line
from drywallqa.cli.progress import show_step

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Import, split, audit and measure data sets.",
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A data set that `import` wrote.")]
Layout = Annotated[str, typer.Option("--format", help="auto, coco, yolo or masks.")]
app.command("rank")(data_rank.rank)
_SHOWN = 20  # number of import problems to print; further problems are only counted
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")]


@app.command("import")
def import_(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export: a folder or a zip.")],
    out: Annotated[Path, typer.Option(help="Data set to add the photos to.")] = Path("data/processed"),
    concept: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=CONCEPT", help="Concept of a class; ignore drops the class. Repeatable."),
    ] = None,
    absent: Annotated[
        list[str] | None,
        typer.Option(metavar="CONCEPT", help="A concept that no photo of the export shows; repeatable."),
    ] = None,
    set_name: Annotated[str | None, typer.Option("--set", metavar="NAME", help="Name of the set.")] = None,
    phrasings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Phrasings, one per line, under headers such as [crack]."),
    ] = None,
    layout: Layout = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Reject an export with any problem.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the set of the same name.")] = False,
) -> None:
    """Import an export of Roboflow, CVAT or Label Studio into the data set."""
    from drywallqa.datasets.importing import ImportOptions, import_export

    options = ImportOptions(concept or (), absent or (), set_name, phrasings, layout, strict, replace)
    result = import_export(export, out, options, _progress("importing"))
    for problem in result.problems[:_SHOWN]:
        print(one_line(str(problem)), file=sys.stderr)
    if (count := len(result.problems)) > _SHOWN:
        place = f"problems/{result.added[0].set_name}.jsonl"
        print(f"... and {count - _SHOWN} more; all are in {place}", file=sys.stderr)
    if count:
        kinds = _count(problem.kind for problem in result.problems)
        print(f"{count} problem{'' if count == 1 else 's'} ({kinds})")
    splits = _count(sample.split or "no part" for sample in result.added)
    print(f"{len(result.added)} photos ({splits}) imported into {out}")
    print(f"{out} now holds {len(result.dataset)} photos; concepts: {', '.join(result.dataset.concepts)}")
    if result.failed_photos:
        raise typer.Exit(FAILED)


@app.command()
def split(
    folder: Folder,
    ratios: Annotated[str, typer.Option(help="Ratio of train/val/test.")] = "70/15/15",
    seed: Annotated[int, typer.Option(help="Random seed; equal seeds give equal splits.")] = 0,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Keep photographs with consecutive names in one split.")
    ] = False,
    group: Annotated[str, typer.Option(help="Keep together: source or near-duplicates.")] = "source",
    by_csv: Annotated[
        Path | None,
        typer.Option("--by-csv", metavar="FILE", help="Split by a CSV with the columns file,split."),
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option("--hold-out", metavar="SETTING", help="Use this setting only for the test split."),
    ] = None,
) -> None:
    """Split by photograph: all copies of one photograph go into the same split."""
    from drywallqa.curation import split as splitting
    from drywallqa.datasets import dataset

    known = dataset.load_dataset(folder)
    if by_csv:
        done, unnamed, unmatched = splitting.split_by_csv(known, by_csv)
        for text, names in (
            (f"photos are not listed in {by_csv} and get no split", unnamed),
            (f"rows of {by_csv} name a photo that is not in the data set", unmatched),
        ):
            if names:
                print(f"{len(names)} {text}, such as {names[0]}", file=sys.stderr)
    else:
        shares = splitting.parse_ratios(ratios)
        done = splitting.split_dataset(known, shares, seed=seed, blocks=blocks, grouping=group)
    if setting is not None:
        done = splitting.hold_out(done, setting)
    dataset.save_dataset(done)
    for note in splitting.split_notes(done):
        print(one_line(note), file=sys.stderr)
    print(f"{len(done)} photos: {_count(sample.split or 'no part' for sample in done)}")


@app.command()
def audit(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|EXPORT", help="A data set, or an export as downloaded.")
    ],
    json_file: JsonFile = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the findings for visual inspection.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Find copies by source (file names), hash (pictures) or both.")
    ] = "both",
    layout: Layout = "auto",
) -> None:
    """Find leaks, near-duplicates and odd annotations. The exit code is 1 if any are found."""
    from drywallqa.curation import audit as auditing
    from drywallqa.files import json_bytes, write_whole
    from drywallqa.reports.findings_text import audit_lines
    from drywallqa.visualization.audit_sheet import audit_sheet
    from drywallqa.visualization.panels import png_bytes

    _check_outputs(json_file, sheet)
    with auditing.audit_source(source, layout=layout, by=by, progress=_progress("auditing")) as report:
        # Write the files first, because the reader of the text may close the pipe (`| head`).
        if json_file:
            write_whole(json_file, json_bytes(report.to_json()))
        if sheet:
            write_whole(sheet, png_bytes(audit_sheet(report)))
        for line in audit_lines(report):
            print(one_line(line))
    if report.found_something:
        raise typer.Exit(FOUND)


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set, new or existing.")],
    count: Annotated[int, typer.Option(min=1, help="Number of pictures to render.")] = 1000,
    set_name: Annotated[str, typer.Option("--set", metavar="NAME", help="Name of the set.")] = "rendered",
    part: Annotated[str, typer.Option("--split", help="Split for the new pictures.")] = "train",
    seed: Annotated[int, typer.Option(help="Random seed; equal seeds give equal pictures.")] = 0,
    phone: Annotated[
        bool, typer.Option("--phone", help="Render phone photos of walls, 8 to 16 megapixels.")
    ] = False,
) -> None:
    """Add a set of rendered walls and of pictures that do not show a wall, with exact ground truth."""
    from drywallqa.curation.rendered_sets import add_phone_walls, add_rendered

    add = add_phone_walls if phone else add_rendered
    done = add(folder, count, set_name=set_name, seed=seed, split=part, progress=_progress("rendering"))
    print(f"{folder} now holds {len(done)} photos, {count} of them in the new set '{set_name}'")


@app.command()
def mosaics(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set, new or existing.")],
    source: Annotated[
        Path,
        typer.Option("--of", metavar="DIR", help="Data set with the crack photos to tile."),
    ],
    part: Annotated[
        str, typer.Option("--split", help="Split of the source photos and of the mosaics.")
    ] = "val",
    set_name: Annotated[str, typer.Option("--set", metavar="NAME", help="Name of the set.")] = "mosaics",
    columns: Annotated[int, typer.Option(min=2, help="Number of photos per row, and of rows.")] = 3,
) -> None:
    """Tile labelled crack photos into large mosaics, used to choose the thresholds of tiled inference."""
    from drywallqa.curation.rendered_sets import add_mosaics
    from drywallqa.datasets import dataset

    done = add_mosaics(
        folder, dataset.load_dataset(source).part(part), columns=columns, set_name=set_name, split=part,
        progress=_progress("laying"),
    )  # fmt: skip
    print(f"{folder} now holds {len(done)} photos, the new ones in the set '{set_name}'")


@app.command("seam-lines")
def seam_lines(
    folder: Folder,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the findings for visual inspection.")
    ] = None,
    boxes: Annotated[
        str, typer.Option(metavar="CONCEPT", help="Search the boxes of this concept.")
    ] = "taping area",
    concept: Annotated[str, typer.Option(metavar="CONCEPT", help="Name for the new concept.")] = "seam line",
) -> None:
    """Find the thin seam inside each taping box and label it as a separate concept."""
    from drywallqa.curation.seam_lines import add_seam_lines, seam_sheet
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.files import write_whole
    from drywallqa.visualization.panels import png_bytes

    _check_outputs(None, sheet)
    found = add_seam_lines(
        load_dataset(folder), boxes=boxes, concept=concept, progress=_progress("searching")
    )
    if sheet:
        write_whole(sheet, png_bytes(seam_sheet(found)))
    print(
        f"'{concept}': labelled in {found.labelled} photos, absent in {found.absent}; "
        f"{found.left} left unlabelled because a seam was uncertain"
    )


@app.command()
def stats(folder: Folder, json_file: JsonFile = None) -> None:
    """Count photos, photographs and splits, and measure the masks of each concept."""
    from drywallqa.curation.stats import measure_dataset, stats_lines
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.files import json_bytes, write_whole

    _check_outputs(json_file)
    figures = measure_dataset(load_dataset(folder), _progress("measuring"))
    if json_file:
        write_whole(json_file, json_bytes(figures))
    for line in stats_lines(figures):
        print(line)


def _count(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())


def _progress(verb: str) -> Callable[[int, int], None] | None:
    """Return a function that draws progress, or None if stderr is not a terminal."""
    return partial(show_step, verb) if sys.stderr.isatty() else None


def _check_outputs(json_file: Path | None, sheet: Path | None = None) -> None:
    """Check the output paths before the work starts."""
    from drywallqa.errors import OutputError
    from drywallqa.files import check_folder

    for path in filter(None, (json_file, sheet)):
        if path.is_dir():
            raise OutputError(f"{path} is a folder; pass a file")
        check_folder(path.parent)
    if sheet and sheet.suffix.lower() != ".png":
        raise OutputError(f"{sheet}: the sheet must be a PNG file; pass FILE.png")
