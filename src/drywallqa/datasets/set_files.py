"""Write and read the files of a set of photos: its masks and its list of problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.concepts import ConceptMap, folder_name
from drywallqa.datasets.dataset import MANIFEST, Dataset, save_dataset
from drywallqa.datasets.photo_labels import PhotoLabels
from drywallqa.errors import DataError
from drywallqa.files import read_json_lines, write_whole
from drywallqa.formats.problems import Problem

Mask = NDArray[np.bool_]

PROBLEMS_FOLDER = "problems"


def write_labels(
    labels: PhotoLabels, concepts: ConceptMap, folder: Path, set_name: str, stem: str
) -> dict[str, str | None]:
    """Write the masks of one photo, and return the labels of all concepts that are known in this photo.

    Args:
        labels: The photo's labels by class.
        concepts: The concept of each class.
        folder: The data set's folder, or a staging folder.
        set_name: Name of the photo's set.
        stem: The photo's image id.

    Returns:
        Concept → path of its mask relative to the folder, or None if the concept is absent.
    """
    written: dict[str, str | None] = {}
    for concept in concepts.mapped():
        known, mask = concepts.mask_of(concept, labels)
        if mask is not None:
            name = Path("masks") / folder_name(concept) / set_name / f"{stem}.png"
            write_mask(folder / name, mask)
            written[concept] = name.as_posix()
        elif known:
            written[concept] = None
    return written | dict.fromkeys(concepts.absent)


def write_ignored(
    labels: PhotoLabels, concepts: ConceptMap, folder: Path, set_name: str, stem: str
) -> dict[str, str]:
    """Write a mask of the unlabelled pixels of each concept. The arguments are those of `write_labels`.

    Returns:
        Concept → path of this mask relative to the folder, for known concepts with unlabelled pixels.
    """
    written: dict[str, str] = {}
    for concept in concepts.mapped():
        ignored = concepts.ignored_of(concept, labels)
        if ignored is not None and concepts.mask_of(concept, labels)[0]:
            name = Path("ignored") / folder_name(concept) / set_name / f"{stem}.png"
            write_mask(folder / name, ignored)
            written[concept] = name.as_posix()
    return written


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask [H,W] as a PNG with the values {0, 255}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path, compress_level=4)


def read_problems(folder: Path) -> list[tuple[str, Problem]]:
    """Read the problems that the imports of a data set reported, each as (set name, problem)."""
    found = []
    for path in sorted((folder / PROBLEMS_FOLDER).glob("*.jsonl")):
        for number, line in read_json_lines(path):
            try:
                if line is None:
                    raise ValueError("the line is truncated or not a JSON object")
                found.append((path.stem, Problem(**line)))
            except (ValueError, TypeError) as error:
                raise DataError(f"{path}, line {number}: damaged ({error}); import the set again") from error
    return found


def install_set(stage: Path, dataset: Dataset, name: str) -> None:
    """Move a new set from a staging folder into its data set, and replace an old set of the same name.

    If an error occurs, the old set and the old manifest are restored.

    Args:
        stage: A folder on the same disk, with `photos/NAME`, `masks/CONCEPT/NAME`, `ignored/CONCEPT/NAME` and
            `problems/NAME.jsonl`.
        dataset: The data set with the samples of the new set.
        name: Name of the set.
    """
    folder = dataset.folder
    parts = ("photos/" + name, f"masks/*/{name}", f"ignored/*/{name}", f"problems/{name}.jsonl")
    heads = [path for path in (folder / MANIFEST, folder / "dataset.json") if path.is_file()]
    before = {path: path.read_bytes() for path in heads}
    moves: list[tuple[Path, Path]] = []
    try:
        for source, target in ((folder, stage / "old"), (stage, folder)):
            for path in [path for part in parts for path in sorted(source.glob(part))]:
                moves.append((path, target / path.relative_to(source)))
                _move(*moves[-1])
        save_dataset(dataset)
    except BaseException:
        for source, target in reversed(moves):
            if target.exists():
                _move(target, source)
        for path, content in before.items():
            write_whole(path, content)
        raise


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
