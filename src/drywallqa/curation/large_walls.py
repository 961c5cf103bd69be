"""Truly large validation pictures: walls as a phone photographs them, and mosaics of labelled photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.concepts import folder_name
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.datasets.mosaics import SIDE, mosaic, one_a_photograph
from drywallqa.errors import DataError
from drywallqa.imaging import mask_files
from drywallqa.imaging.morphology import dilate
from drywallqa.synthetic.phone_walls import PhoneWall, render_phone_wall
from drywallqa.synthetic.walls import CRACK, TAPING_AREA, Kind

CYCLE: tuple[Kind, ...] = ("neither", "crack", "seam", "neither", "both", "seam", "neither", "crack")
"""Kinds of rendered walls, one after the other: five of eight have no crack."""
OUTLINE = 2.5
"""How far an outline drawn by people reaches beyond a crack, in px of a photo whose longer side is 640."""

Progress = Callable[[int, int], None]
Truths = Mapping[str, NDArray[np.bool_]]


def add_phone_walls(
    folder: Path, count: int, *, set_name: str, seed: int, split: str, progress: Progress | None = None
) -> Dataset:
    """Render walls of 8 to 16 megapixels into a data set, new or existing, as a set of their own.

    Cracks are labelled as people label them, by outlines wider than the crack.

    Args:
        folder: The data set's folder.
        count: Walls to render.
        set_name: The new set's name.
        seed: Decides every picture.
        split: The split they belong to.
        progress: Called with pictures done and in all.

    Raises:
        DataError: The set exists already.
    """

    def pictures() -> Iterator[tuple[str, NDArray[np.uint8], Truths]]:
        for number in range(count):
            wall = render_phone_wall([seed, number], kind=CYCLE[number % len(CYCLE)])
            yield f"phone-{seed}-{number:04d}", wall.photo, _labels(wall)

    return _add(folder, set_name, split, pictures(), count, progress)


def _labels(wall: PhoneWall) -> Truths:
    reach = round(OUTLINE * max(wall.photo.shape) / 640)
    crack = dilate(wall.crack_mask, reach) if wall.crack_mask.any() else wall.crack_mask
    return {CRACK: crack, TAPING_AREA: wall.taping_area}


def add_mosaics(
    folder: Path,
    source: Dataset,
    *,
    columns: int = 3,
    set_name: str,
    split: str,
    progress: Progress | None = None,
) -> Dataset:
    """Lay crack photos of a data set side by side, each photograph once, as a set of another one.

    Args:
        folder: The data set's folder, new or existing.
        source: The photos, of 640×640 px.
        columns: Photos in a row and rows in a mosaic.
        set_name: The new set's name.
        split: The split they belong to.
        progress: Called with mosaics done and in all.

    Raises:
        DataError: The set exists already, or there are too few photos for one mosaic.
    """
    fitting = source.with_samples(s for s in source if (s.height, s.width) == (SIDE, SIDE))
    shown = one_a_photograph(fitting, CRACK)
    size = columns * columns
    if len(shown) < size:
        raise DataError(
            f"{source.folder}: {len(shown)} photographs of {SIDE}×{SIDE} px show a crack; "
            f"a mosaic takes {size}"
        )

    def pictures() -> Iterator[tuple[str, NDArray[np.uint8], Truths]]:
        for number in range(len(shown) // size):
            photo, truth = mosaic(source, shown[number * size : (number + 1) * size], CRACK, columns)
            yield f"mosaic-{split}-{number:04d}", photo, {CRACK: truth}

    return _add(folder, set_name, split, pictures(), len(shown) // size, progress)


def _add(
    folder: Path,
    set_name: str,
    split: str,
    pictures: Iterator[tuple[str, NDArray[np.uint8], Truths]],
    count: int,
    progress: Progress | None,
) -> Dataset:
    """Write pictures with their truths as a set; a concept without a truth is not labelled."""
    known = load_dataset(folder) if (folder / "dataset.json").exists() else Dataset(folder, (), {CRACK: ()})
    if any(sample.set_name == set_name for sample in known):
        raise DataError(f"{folder}: has a set '{set_name}' already; name another with --set")
    (folder / "photos" / set_name).mkdir(parents=True, exist_ok=True)
    samples = []
    for done, (image_id, photo, truths) in enumerate(pictures, 1):
        path = Path("photos") / set_name / f"{image_id}.jpg"
        Image.fromarray(photo).save(folder / path, quality=95)
        labels: dict[str, str | None] = dict.fromkeys(truths)
        for concept, mask in truths.items():
            if mask.any():
                labels[concept] = (
                    Path("masks") / folder_name(concept) / set_name / f"{image_id}.png"
                ).as_posix()
                mask_files.write_mask_file(folder / str(labels[concept]), mask)
        height, width = photo.shape[:2]
        samples.append(Sample(image_id, path.as_posix(), set_name, image_id, height, width, labels, split))
        if progress:
            progress(done, count)
    dataset = known.with_samples([*known.samples, *samples])
    save_dataset(dataset)
    return dataset
