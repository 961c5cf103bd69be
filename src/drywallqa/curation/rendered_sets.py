"""Add rendered walls, rendered walls at phone resolution, or mosaics of photos to a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.concepts import folder_name
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.datasets.mosaics import SIDE, mosaic, one_per_source_photo
from drywallqa.errors import DataError
from drywallqa.imaging.mask_files import write_mask_file
from drywallqa.imaging.morphology import dilate
from drywallqa.synthetic.joints import line_mask
from drywallqa.synthetic.not_walls import render_other
from drywallqa.synthetic.phone_walls import render_phone_wall
from drywallqa.synthetic.walls import CRACK, SEAM_LINE, TAPING_AREA, Kind, render_wall

CYCLE: tuple[Kind, ...] = ("neither", "crack", "seam", "neither", "both", "seam", "neither", "crack")
"""The kinds of walls in a set at phone resolution, in order. Five of eight walls have no crack."""
OUTLINE = 2.5
"""How far hand-drawn outlines lie outside a crack, in px, if the photo's longer side is 640 px."""
_SIZE = (480, 480)  # height and width of a rendered image in px
_OTHERS = 0.35  # share of rendered images that do not show a wall

Progress = Callable[[int, int], None]
Mask = NDArray[np.bool_]
LabelledPicture = tuple[str, NDArray[np.uint8], Mapping[str, Mask]]


def add_rendered(
    folder: Path, count: int, *, set_name: str, seed: int, split: str, progress: Progress | None = None
) -> Dataset:
    """Render images of walls and of other things, and add them to a data set as a new set.

    Seam lines are labelled if the data set has the concept "seam line".

    Args:
        folder: Folder of the data set, which is created if it does not exist.
        count: Number of images to render.
        set_name: Name of the new set.
        seed: Random seed. The same seed gives the same images.
        split: The split of all new images.
        progress: Called with the number of finished images and the total.

    Raises:
        DataError: The data set already has this set.
    """
    known = _open(folder, set_name, (CRACK, TAPING_AREA))
    concepts = [CRACK, TAPING_AREA, *([SEAM_LINE] if SEAM_LINE in known.concepts else [])]

    def pictures() -> Iterator[LabelledPicture]:
        for number in range(count):
            generator = np.random.default_rng([seed, number])
            truths = dict.fromkeys(concepts, np.zeros(_SIZE, np.bool_))
            if generator.random() < _OTHERS:
                photo = render_other(generator, _SIZE)
            else:
                wall = render_wall(generator, _SIZE)
                photo, found = wall.photo, {**wall.labels, SEAM_LINE: line_mask(wall.seam_lines, _SIZE)}
                truths = {concept: found[concept] for concept in concepts}
            yield f"rendered-{seed}-{number:05d}", photo, truths

    return _add(known, set_name, split, pictures(), count, progress, 92, _write_png)


def add_phone_walls(
    folder: Path, count: int, *, set_name: str, seed: int, split: str, progress: Progress | None = None
) -> Dataset:
    """Render images of walls with 8 to 16 megapixels, and add them to a data set as a new set.

    The crack labels imitate hand-drawn labels, so they are wider than the crack.

    Args:
        folder: Folder of the data set, which is created if it does not exist.
        count: Number of walls to render.
        set_name: Name of the new set.
        seed: Random seed. The same seed gives the same images.
        split: The split of all new images.
        progress: Called with the number of finished images and the total.

    Raises:
        DataError: The data set already has this set.
    """

    def pictures() -> Iterator[LabelledPicture]:
        for number in range(count):
            wall = render_phone_wall([seed, number], kind=CYCLE[number % len(CYCLE)])
            outline = dilate(wall.crack_mask, round(OUTLINE * max(wall.photo.shape) / 640))
            yield f"phone-{seed}-{number:04d}", wall.photo, {CRACK: outline, TAPING_AREA: wall.taping_area}

    return _add(_open(folder, set_name, (CRACK,)), set_name, split, pictures(), count, progress)


def add_mosaics(
    folder: Path,
    source: Dataset,
    *,
    columns: int,
    set_name: str,
    split: str,
    progress: Progress | None = None,
) -> Dataset:
    """Add mosaics of crack photos to a data set as a new set. Each source photo is used at most once.

    Args:
        folder: Folder of the data set, which is created if it does not exist.
        source: The data set with the crack photos. Only photos of 640×640 px are used.
        columns: Number of photos per row, which is also the number of rows.
        set_name: Name of the new set.
        split: The split of all mosaics.
        progress: Called with the number of finished mosaics and the total.

    Raises:
        DataError: The data set already has this set, or there are too few photos for one mosaic.
    """
    fitting = source.with_samples(s for s in source if (s.height, s.width) == (SIDE, SIDE))
    shown, size = one_per_source_photo(fitting, CRACK), columns * columns
    count = len(shown) // size
    if not count:
        raise DataError(
            f"{source.folder}: only {len(shown)} source photos of {SIDE}×{SIDE} px show a crack, "
            f"but a mosaic needs {size}"
        )

    def pictures() -> Iterator[LabelledPicture]:
        for number in range(count):
            photo, truth = mosaic(source, shown[number * size : (number + 1) * size], CRACK, columns)
            yield f"mosaic-{split}-{number:04d}", photo, {CRACK: truth}

    return _add(_open(folder, set_name, (CRACK,)), set_name, split, pictures(), count, progress)


def _open(folder: Path, set_name: str, concepts: tuple[str, ...]) -> Dataset:
    """Open or create a data set, and check that it has no set with this name."""
    exists = (folder / "dataset.json").exists()
    known = load_dataset(folder) if exists else Dataset(folder, (), dict.fromkeys(concepts, ()))
    if any(sample.set_name == set_name for sample in known):
        raise DataError(f"{folder}: already has a set '{set_name}'; pass another --set")
    return known


def _add(
    known: Dataset,
    set_name: str,
    split: str,
    pictures: Iterator[LabelledPicture],
    count: int,
    progress: Progress | None = None,
    quality: int = 95,
    write_mask: Callable[[Path, Mask], None] = write_mask_file,
) -> Dataset:
    """Write images and ground-truth masks as a set. A concept without a mask array stays unlabelled."""
    folder = known.folder
    (folder / "photos" / set_name).mkdir(parents=True, exist_ok=True)
    samples = []
    for done, (image_id, photo, truths) in enumerate(pictures, 1):
        path = Path("photos") / set_name / f"{image_id}.jpg"
        Image.fromarray(photo).save(folder / path, quality=quality)
        labels: dict[str, str | None] = dict.fromkeys(truths)
        for concept, mask in truths.items():
            if mask.any():
                place = Path("masks") / folder_name(concept) / set_name / f"{image_id}.png"
                write_mask(folder / place, mask)
                labels[concept] = place.as_posix()
        height, width = photo.shape[:2]
        samples.append(Sample(image_id, path.as_posix(), set_name, image_id, height, width, labels, split))
        if progress:
            progress(done, count)
    dataset = known.with_samples([*known.samples, *samples])
    save_dataset(dataset)
    return dataset


def _write_png(path: Path, mask: Mask) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
