"""`drywallqa data export`: export a data set to an annotation format that other tools can read."""

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
        bool, typer.Option("--photos/--no-photos", help="Copy the photos, or only refer to them by name.")
    ] = True,
) -> None:
    """Write the photos and labels of a data set as COCO, YOLO, CVAT XML, Label Studio or mask files.

    Each concept becomes a class. In most formats, a class without a label counts as absent from the photo.
    For photos in which a concept is unknown, coco and coco-rle write a separate file that does not list its
    class. The masks format writes no mask file for the concept. All other formats leave the photo out. To
    keep such a photo, select only its known concepts with --concept.

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
