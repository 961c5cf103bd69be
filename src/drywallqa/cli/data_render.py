"""`drywallqa data render` and `mosaics`: add rendered pictures or mosaics to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drywallqa.cli.progress import step_progress


def render(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a new or existing data set.")],
    count: Annotated[int, typer.Option(min=1, help="Number of pictures to render.")] = 1000,
    set_name: Annotated[str, typer.Option("--set", metavar="NAME", help="Name of the new set.")] = "rendered",
    split: Annotated[str, typer.Option(help="Split of the new pictures.")] = "train",
    seed: Annotated[int, typer.Option(help="Random seed. The same seed gives the same pictures.")] = 0,
    phone: Annotated[
        bool, typer.Option("--phone", help="Render walls as phone photos of 8 to 16 megapixels.")
    ] = False,
) -> None:
    """Add a set of rendered pictures with exact ground-truth masks. Some pictures show no wall."""
    from drywallqa.curation.rendered_sets import add_phone_walls, add_rendered

    add = add_phone_walls if phone else add_rendered
    done = add(folder, count, set_name=set_name, seed=seed, split=split, progress=step_progress("rendering"))
    print(f"{folder} now has {len(done)} photos. The new set '{set_name}' has {count} photos.")


def mosaics(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a new or existing data set.")],
    source: Annotated[
        Path,
        typer.Option("--of", metavar="DIR", help="Data set with labelled crack photos."),
    ],
    split: Annotated[str, typer.Option(help="Split of the crack photos and of the mosaics.")] = "val",
    set_name: Annotated[str, typer.Option("--set", metavar="NAME", help="Name of the new set.")] = "mosaics",
    columns: Annotated[int, typer.Option(min=2, help="Number of photos along each side.")] = 3,
) -> None:
    """Combine labelled crack photos into large mosaics, to choose thresholds for tiled inference."""
    from drywallqa.curation.rendered_sets import add_mosaics
    from drywallqa.datasets import dataset

    done = add_mosaics(
        folder, dataset.load_dataset(source).part(split), columns=columns, set_name=set_name, split=split,
        progress=step_progress("laying"),
    )  # fmt: skip
    print(f"{folder} now has {len(done)} photos. The mosaics are in the set '{set_name}'.")
