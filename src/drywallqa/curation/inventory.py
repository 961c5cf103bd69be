"""The inventory of an audit, which lists all photos, annotations and problems. Each photo is read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.mask_values import MaskFacts, read_facts
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.importing import turned_problem
from drywallqa.datasets.photo_labels import LabelledPhoto, PhotoLabels, label_photo, unite_entries
from drywallqa.datasets.set_files import read_problems
from drywallqa.errors import DrywallQAError
from drywallqa.formats import problems
from drywallqa.formats.annotations import Export, source_photo
from drywallqa.formats.geometry import (
    FRAME_SHARE,
    RECTANGLE_FILL,
    Box,
    Outline,
    is_box_like,
    rasterise,
)
from drywallqa.formats.problems import Problem
from drywallqa.imaging import perceptual_hash, photos
from drywallqa.imaging.photos import NotedPhoto

BOX_LIKE = "box-like"
FRAME_FILLING = "frame-filling"
NO_ANNOTATION = "without annotation"

Frame = tuple[float, float, float, float]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class AuditedPhoto:
    """One readable photo with its name, path, set, split, source photo, thumbnail and longer side in px."""

    name: str
    path: Path
    set_name: str
    split: str | None
    photograph: str
    thumbnail: NDArray[np.float32]
    side: int


@dataclass(frozen=True)
class Remark:
    """A suspicious annotation, or a photo without annotations. It is not necessarily an error.

    Attributes:
        kind: `BOX_LIKE`, `FRAME_FILLING` or `NO_ANNOTATION`.
        group: Class or concept of the annotation, or an empty string if the photo has no annotation.
        name: Name of the photo.
        path: Path of the photo.
        where: File of the annotation, and its line or id in the file.
        frame: Bounding box of the annotation in px.
    """

    kind: str
    group: str
    name: str
    path: Path
    where: str
    frame: Frame | None


@dataclass
class Inventory:
    """All photos, annotations and problems that an audit evaluates.

    Attributes:
        title: Name of the export or data set.
        photos: The readable photos.
        problems: Unreadable files, and annotations that do not fit their photo.
        remarks: Box-like and frame-filling annotations, and photos without annotations.
        boxes: Number of box annotations for each class or concept. Rectangular masks count as boxes.
        annotations: Number of annotations for each class or concept.
        ignored: Number of pixels that nobody labelled, for each class or concept.
        mask_files: Properties of the mask files of an imported data set.
    """

    title: str
    photos: list[AuditedPhoto] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    boxes: Counter[str] = field(default_factory=Counter)
    annotations: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    mask_files: list[MaskFacts] = field(default_factory=list)

    def add_photo(
        self, path: Path, name: str, set_name: str, split: str | None, photograph: str
    ) -> NotedPhoto | None:
        """Read a photo and add it to the inventory. Return None if the photo cannot be read."""
        try:
            read = photos.read_noted_photo(path)
        except (DrywallQAError, OSError, ValueError) as error:
            text = str(error).replace(f"{path}: ", "")
            self.problems.append(Problem(problems.UNREADABLE, name, "", text))
            return None
        thumbnail = perceptual_hash.thumbnail(read.pixels)
        side = max(read.pixels.shape)
        self.photos.append(AuditedPhoto(name, path, set_name, split, photograph, thumbnail, side))
        return read

    def add_annotation(self, remark: Remark, rectangle: bool, share: float) -> None:
        """Count an annotation, and add a remark if the annotation is a rectangle or fills the whole photo."""
        self.boxes[remark.group] += rectangle
        if share >= FRAME_SHARE:
            self.remarks.append(replace(remark, kind=FRAME_FILLING))
        elif rectangle:
            self.remarks.append(remark)


def of_export(source: Path, export: Export, progress: Progress | None = None) -> Inventory:
    """Take the inventory of a downloaded export, whose classes are not mapped to concepts.

    Args:
        source: Path of the export, whose name becomes the title.
        export: The parsed export.
        progress: Called with the number of finished photos and the total.
    """
    inventory = Inventory(source.name, problems=list(export.problems))
    united, split_problems = unite_entries(export)
    inventory.problems += split_problems
    turned = []
    for number, photo in enumerate(united, 1):
        photograph = source_photo(photo.path.stem)
        read = inventory.add_photo(photo.path, photo.name, source.name, photo.split, photograph)
        if read:
            height, width = read.pixels.shape[:2]
            labels = label_photo(photo, height, width, read.orientation)
            inventory.problems += map(_without_consequence, labels.problems)
            turned += [photo.name] if labels.orientation_unknown else []
            _add_annotations(inventory, photo, labels)
        if progress:
            progress(number, len(united))
    inventory.problems += [turned_problem(turned)] if turned else []
    return inventory


def _without_consequence(problem: Problem) -> Problem:
    """Remove "; dropped" or "; cropped" from a problem's text, because an audit does neither."""
    return replace(problem, text=problem.text.removesuffix("; dropped").removesuffix("; cropped"))


def _add_annotations(inventory: Inventory, photo: LabelledPhoto, labels: PhotoLabels) -> None:
    for entry in photo.entries:
        inventory.annotations.update(shape.class_name for shape in entry.shapes)
    inventory.ignored.update({name: int(pixels.sum()) for name, pixels in labels.ignored.items()})
    if labels.masks and not any(mask is not None for mask in labels.masks.values()):
        inventory.remarks.append(Remark(NO_ANNOTATION, "", photo.name, photo.path, "", None))
    for shape, geometry, size in labels.annotations:
        if isinstance(geometry, Box | Outline):
            frame = _frame_of(geometry)
            rectangle = isinstance(geometry, Box) or is_box_like(geometry)
            share = (frame[2] - frame[0]) * (frame[3] - frame[1]) / (size[0] * size[1]) if rectangle else 0.0
        else:
            frame, rectangle, share = describe_mask(rasterise(geometry, *size))
        place = f"{shape.file}, {shape.where}"
        remark = Remark(BOX_LIKE, shape.class_name, photo.name, photo.path, place, frame)
        inventory.add_annotation(remark, rectangle, share)


def _frame_of(geometry: Box | Outline) -> Frame:
    if isinstance(geometry, Box):
        return geometry.left, geometry.top, geometry.right, geometry.bottom
    points = np.concatenate(geometry.rings)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def describe_mask(mask: NDArray[np.bool_]) -> tuple[Frame, bool, float]:
    """Return a mask's bounding box, whether the mask fills it, and the marked fraction of the photo."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    area = int(mask.sum())
    rectangle = area >= RECTANGLE_FILL * (bottom - top) * (right - left)
    return (left, top, right, bottom), rectangle, area / mask.size


def of_dataset(dataset: Dataset, progress: Progress | None = None) -> Inventory:
    """Take the inventory of an imported data set, with its photos, masks and import problems.

    Args:
        dataset: The data set.
        progress: Called with the number of finished photos and the total.
    """
    inventory = Inventory(dataset.folder.resolve().name)
    inventory.problems = [
        replace(problem, file=": ".join(filter(None, (name, problem.file))))
        for name, problem in read_problems(dataset.folder)
    ]
    for number, sample in enumerate(dataset, 1):
        path = dataset.photo_path(sample)
        if inventory.add_photo(path, sample.photo, sample.set_name, sample.split, sample.photograph):
            _add_masks(inventory, dataset, sample, path)
        if progress:
            progress(number, len(dataset))
    return inventory


def _add_masks(inventory: Inventory, dataset: Dataset, sample: Sample, path: Path) -> None:
    for concept, name in sample.labels.items():
        _count_ignored(inventory, dataset, sample, concept)
        if name is None:
            continue
        inventory.annotations[concept] += 1
        try:
            mask = dataset.read_mask(sample, concept)
            inventory.mask_files.append(read_facts(dataset.folder / name, name, sample.photograph))
        except (DrywallQAError, OSError, ValueError) as error:
            inventory.problems.append(Problem(problems.UNREADABLE, name, "", str(error)))
            continue
        if not mask.any():
            inventory.problems.append(Problem(problems.EMPTY, name, "", "the annotation marks no pixel"))
            continue
        frame, rectangle, share = describe_mask(mask)
        remark = Remark(BOX_LIKE, concept, sample.photo, path, name, frame)
        inventory.add_annotation(remark, rectangle, share)
    if sample.labels and not any(sample.labels.values()) and not sample.notes:
        inventory.remarks.append(Remark(NO_ANNOTATION, "", sample.photo, path, "", None))


def _count_ignored(inventory: Inventory, dataset: Dataset, sample: Sample, concept: str) -> None:
    try:
        ignored = dataset.read_ignored(sample, concept)
    except DrywallQAError as error:
        inventory.problems.append(Problem(problems.UNREADABLE, sample.ignored[concept], "", str(error)))
    else:
        inventory.ignored[concept] += 0 if ignored is None else int(ignored.sum())
