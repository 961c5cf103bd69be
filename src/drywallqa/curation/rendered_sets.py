"""Rendered walls and pictures that are no walls, as a set of a data set: truth known, absence certain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.datasets.concepts import folder_name
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.errors import DataError
from drywallqa.synthetic.joints import line_mask
from drywallqa.synthetic.not_walls import render_other
from drywallqa.synthetic.walls import CRACK, SEAM_LINE, TAPING_AREA, render_wall

CONCEPTS = (CRACK, TAPING_AREA)


def add_rendered(
    folder: Path,
    count: int,
    *,
    set_name: str = "rendered",
    size: int = 480,
    others_share: float = 0.35,
    seed: int = 0,
    split: str = "train",
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Render `count` pictures into a data set, new or existing, as a set of their own.

    Lines of seams are labelled where the data set has that concept.

    Args:
        folder: The data set's folder.
        count: Pictures to render.
        set_name: The new set's name.
        size: Side of each picture in px.
        others_share: Share of pictures that show no wall.
        seed: Decides every picture.
        split: The split they belong to.
        progress: Called with pictures done and in all.

    Raises:
        DataError: The set exists already.
    """
    known = (
        load_dataset(folder)
        if (folder / "dataset.json").exists()
        else Dataset(folder, (), dict.fromkeys(CONCEPTS, ()))
    )
    if any(sample.set_name == set_name for sample in known):
        raise DataError(f"{folder}: has a set '{set_name}' already; name another with --set")
    (folder / "photos" / set_name).mkdir(parents=True, exist_ok=True)
    samples = []
    for number in range(count):
        wanted = (*CONCEPTS, SEAM_LINE) if SEAM_LINE in known.concepts else CONCEPTS
        samples.append(_render(folder, set_name, number, size, others_share, seed, split, wanted))
        if progress:
            progress(number + 1, count)
    dataset = known.with_samples([*known.samples, *samples])
    save_dataset(dataset)
    return dataset


def _render(
    folder: Path,
    set_name: str,
    number: int,
    size: int,
    others_share: float,
    seed: int,
    split: str,
    concepts: tuple[str, ...],
) -> Sample:
    generator = np.random.default_rng([seed, number])
    image_id = f"rendered-{seed}-{number:05d}"
    photo_path = Path("photos") / set_name / f"{image_id}.jpg"
    labels: dict[str, str | None] = dict.fromkeys(concepts)
    if generator.random() < others_share:
        photo = render_other(generator, (size, size))
    else:
        wall = render_wall(generator, (size, size))
        photo = wall.photo
        truths = {**wall.labels, SEAM_LINE: line_mask(wall.seam_lines, (size, size))}
        for concept, mask in truths.items():
            if concept in concepts and mask.any():
                path = Path("masks") / folder_name(concept) / set_name / f"{image_id}.png"
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask.astype(np.uint8) * 255).save(folder / path)
                labels[concept] = path.as_posix()
    Image.fromarray(photo).save(folder / photo_path, quality=92)
    return Sample(image_id, photo_path.as_posix(), set_name, image_id, size, size, labels, split)
