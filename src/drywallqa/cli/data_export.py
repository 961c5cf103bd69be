"""`drywallqa data export`: write a data set in an annotation format of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FAILED
from drywallqa.cli.progress import show_problems


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a data set written by `import`.")],
    layout: Annotated[
        str, typer.Option("--format", help="coco, coco-rle, yolo, cvat, label-studio or masks.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="New folder for the export.")],
    concept: Annotated[
        list[str] | None, typer.Option(metavar="CONCEPT", help="Concept to export. Repeatable. Default: all.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(metavar="SPLIT", help="Split to export. Repeatable. Default: all.")
    ] = None,
    photos: Annotated[
        bool, typer.Option("--photos/--no-photos", help="Copy the photos, or only name them in the labels.")
    ] = True,
) -> None:
    """Write the photos and labels of a data set as COCO, YOLO, CVAT XML, Label Studio or mask files.

    Each concept becomes a class. In most formats, a class without a label is absent. If a concept is unknown
    in a photo, coco and coco-rle write a separate file that does not list the class, masks writes no mask
    file, and all other formats leave the photo out. Use --concept to export only known concepts.

    The exit code is 3 if a photo or a label was left out.
    """
    from drywallqa.datasets.annotation_export import export_dataset
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.formats.writing import PROBLEMS_FILE

    done = export_dataset(
        load_dataset(folder), layout, out, concepts=concept or (), splits=split or (), copy_photos=photos
    )
    if counts := show_problems(done.problems, out / PROBLEMS_FILE):
        print(counts)
    print(f"{done.photos} photos exported to {out} ({len(done.files)} files)")
    if done.losses:
        raise typer.Exit(FAILED)
