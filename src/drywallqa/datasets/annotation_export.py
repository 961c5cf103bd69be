"""Export a data set to an annotation format that other tools can read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from drywallqa.datasets.concepts import normal_concept
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DrywallQAError
from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.problems import Problem
from drywallqa.formats.writing import check_writable_format, write_export


def export_dataset(
    dataset: Dataset,
    layout: str,
    out: str | os.PathLike[str],
    *,
    concepts: Sequence[str] = (),
    splits: Sequence[str] = (),
    copy_photos: bool = True,
) -> WriteResult:
    """Write the photos and labels of a data set in an annotation format.

    Each concept becomes a class. For photos in which a concept is unknown, the formats "coco" and "coco-rle"
    write a separate file that does not declare its class. The format "masks" writes no mask file for the
    concept. The other formats leave the photo out.

    Args:
        dataset: The data set.
        layout: A key of `formats.writing.WRITERS`.
        out: Folder for the export. It must be new or empty.
        concepts: The concepts to export; empty for all.
        splits: The splits to export; empty for all photos.
        copy_photos: Whether to copy the photos. Otherwise, the labels only refer to the photos by name.

    Raises:
        ConfigError: The format, a concept or a split is unknown.
        DataError: No photo could be exported.
        OutputError: The folder is not empty, or a file cannot be written.
    """
    check_writable_format(layout)
    classes = _chosen_concepts(dataset, concepts)
    part = dataset.part(*splits) if splits else dataset
    if not part.samples:
        known = sorted({sample.split or "no split" for sample in dataset})
        raise ConfigError(f"the data set has no photo in {', '.join(splits)}; its splits: {', '.join(known)}")
    return write_export(out, layout, _read_labels(part, classes, copy_photos), classes)


def _chosen_concepts(dataset: Dataset, concepts: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(map(normal_concept, concepts))) or tuple(dataset.concepts)
    unknown = [concept for concept in chosen if concept not in dataset.concepts]
    if unknown:
        listed = ", ".join(dataset.concepts)
        raise ConfigError(f"the data set has no concept '{unknown[0]}'; its concepts: {listed}")
    return chosen


def _read_labels(
    dataset: Dataset, classes: Sequence[str], copy_photos: bool
) -> Iterator[MaskedPhoto | Problem]:
    """Yield the photos with their masks, and any problems. Only one photo is in memory at a time."""
    for sample in dataset:
        name = f"{sample.set_name}/{Path(sample.photo).name}"
        known = [concept for concept in classes if concept in sample.labels]
        try:
            masks = {
                concept: None if sample.labels[concept] is None else dataset.read_mask(sample, concept)
                for concept in known
            }
            unlabelled = {concept: dataset.read_ignored(sample, concept) for concept in known}
        except DrywallQAError as error:
            yield Problem(problems.UNREADABLE, name, "", f"{error}; the photo is left out")
            continue
        for concept in known:
            if concept in sample.incomplete:
                text = f"the mask of '{concept}' lacks a label that the import dropped; the export hides this"
                yield Problem(problems.INCOMPLETE, name, "", text)
            ignored = unlabelled[concept]
            if ignored is not None:
                count = np.count_nonzero(ignored)
                text = f"{count} px that nobody labelled for '{concept}' are written as pixels without it"
                yield Problem(problems.INCOMPLETE, name, "", text)
        path = dataset.photo_path(sample) if copy_photos else None
        yield MaskedPhoto(name, path, sample.height, sample.width, masks, sample.split)
