"""`drywallqa data rank`: order unlabelled photos by how much a model would learn from their labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli import FAILED, one_line
from drywallqa.cli.progress import step_progress


def rank(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the data set with the labelled photos.")
    ],
    concept: Annotated[str, typer.Option(metavar="CONCEPT", help="The concept to label.")],
    photos: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTOS", help="Folder of photos to rank [default: the data set's unlabelled photos]"
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="The model [default: the bundled model]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Keep only the N highest-ranked photos.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Also search the subfolders of PHOTOS.")
    ] = False,
    shown: Annotated[int, typer.Option(metavar="N", min=0, help="Number of photos to print.")] = 20,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the ranking as JSON.")
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write the ranking as CSV, one row per photo."),
    ] = None,
    list_file: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="Write the photo paths, one per line.")
    ] = None,
) -> None:
    """Order unlabelled photos by how much the model would learn from their labels."""
    from drywallqa.curation.ranking import rank_photos, ranking_lines
    from drywallqa.datasets.dataset import load_dataset
    from drywallqa.files import check_output_files, json_bytes, write_whole
    from drywallqa.inference.segmenter import load

    check_output_files(json_file, csv_file, list_file)
    dataset = load_dataset(folder)
    ranking = rank_photos(
        dataset, concept, load(model), photos, recursive=recursive, progress=step_progress("ranking")
    )
    for problem in ranking.failed:
        print(f"error: {one_line(problem)}", file=sys.stderr)
    kept = ranking.first(limit)
    if json_file:
        write_whole(json_file, json_bytes(kept.to_json()))
    if csv_file:
        write_whole(csv_file, kept.to_csv().encode("utf-8", "surrogateescape"))
    if list_file:
        write_whole(list_file, kept.to_list().encode("utf-8", "surrogateescape"))
    for line in ranking_lines(kept, shown):
        print(one_line(line))
    if ranking.failed:
        raise typer.Exit(FAILED)
