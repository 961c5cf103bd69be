"""`drywallqa data import`: import labels from an annotation tool into a data set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FAILED
from drywallqa.cli.progress import show_problems, step_progress

_FORMATS = "auto, coco, yolo, masks, cvat, label-studio, labelme, voc or supervisely."
Layout = Annotated[str, typer.Option("--format", help=f"Format of the export: {_FORMATS}")]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="VALUE=CLASS",
        help="Map a mask value to a class, background or ignore. Repeatable.",
    ),
]
Invert = Annotated[
    str | None,
    typer.Option("--invert", metavar="yes|no", help="Whether masks mark the background, not the class."),
]


def import_(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="Folder or ZIP file of the export.")],
    out: Annotated[Path, typer.Option(help="Data set to which the photos are added.")] = Path(
        "data/processed"
    ),
    concept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=CONCEPT", help="Map a class to a concept. CLASS=ignore skips it. Repeatable."
        ),
    ] = None,
    absent: Annotated[
        list[str] | None,
        typer.Option(metavar="CONCEPT", help="A concept that no photo of the export shows. Repeatable."),
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="Name of the imported set of photos.")
    ] = None,
    phrasings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of phrasings, one per line, below headers such as [crack]."),
    ] = None,
    layout: Layout = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Reject the export if it has any problem.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing set with the same name.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Replace the labels of photos that are in the data set.")
    ] = False,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="With --merge, name of the person who corrected the labels.")
    ] = "",
    exif: Annotated[
        str, typer.Option(help="Orientation that the labels of rotated photos use: auto, viewed or stored.")
    ] = "auto",
    value: Values = None,
    invert: Invert = None,
    fully_labelled: Annotated[
        bool,
        typer.Option("--fully-labelled", help="Every labelled photo was checked for all classes."),
    ] = False,
) -> None:
    """Import an export from Roboflow, CVAT, Label Studio, LabelMe or other tools into a data set.

    The exit code is 3 if a label or a photo was lost.
    """
    from drywallqa.datasets.importing import ImportOptions, import_export
    from drywallqa.datasets.merging import merge_export
    from drywallqa.errors import ConfigError
    from drywallqa.formats.annotations import ReadOptions

    if by and not merge:
        raise ConfigError("--by applies to --merge only; add --merge, or leave --by out")
    read = ReadOptions.parse(value or (), invert, fully_labelled=fully_labelled)
    options = ImportOptions(
        concept or (), absent or (), set_name, phrasings, layout, strict, replace, exif, read
    )
    if merge:
        result = merge_export(export, out, options, by, step_progress("merging"))
    else:
        result = import_export(export, out, options, step_progress("importing"))
    listed_in = None if merge else f"problems/{result.added[0].set_name}.jsonl"
    if summary := show_problems(result.problems, listed_in):
        print(summary)
    counts = Counter(sample.split or "no split" for sample in result.added)
    splits = ", ".join(f"{split} {count}" for split, count in counts.most_common())
    done = "relabelled in" if merge else "imported into"
    print(f"{len(result.added)} photos ({splits}) {done} {out}")
    print(f"{out} now has {len(result.dataset)} photos; concepts: {', '.join(result.dataset.concepts)}")
    for line in result.label_counts():
        print(line)
    if result.losses:
        raise typer.Exit(FAILED)
