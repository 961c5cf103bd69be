"""The inventory of an audit: its photos, each read once, and the shapes of their annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.mask_values import MaskFacts, read_facts
from drywallqa.datasets import problems
from drywallqa.datasets.annotations import Export, LabelledPhoto, relative_name, source_photo
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.geometry import (
    FRAME_SHARE,
    RECTANGLE_FILL,
    Box,
    GeometryError,
    Outline,
    fit_geometry,
    is_box_like,
    rasterise,
)
from drywallqa.datasets.importing import declared_scale, read_problems
from drywallqa.datasets.problems import Problem
from drywallqa.errors import DrywallQAError
from drywallqa.imaging import perceptual_hash, photos

BOX_LIKE = "box-like"
FRAME_FILLING = "frame-filling"
NO_ANNOTATION = "without annotation"

Frame = tuple[float, float, float, float]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class AuditedPhoto:
    """Name in the export, path, set, split, photograph, thumbnail and longer side of one readable photo."""

    name: str
    path: Path
    set_name: str
    split: str | None
    photograph: str
    thumbnail: NDArray[np.float32]
    side: int


@dataclass(frozen=True)
class Remark:
    """A suspicious property of an annotation that is not necessarily an error.

    Attributes:
        kind: `BOX_LIKE`, `FRAME_FILLING` or `NO_ANNOTATION`.
        group: The annotation's class or concept; empty if the photo has no annotation.
        name: The photo's name.
        path: The photo's path.
        where: The annotation's file, and its line or id in the file.
        frame: The annotation's box in px.
    """

    kind: str
    group: str
    name: str
    path: Path
    where: str
    frame: Frame | None


@dataclass
class Inventory:
    """The data that an audit works on.

    Attributes:
        title: The export's or data set's name.
        photos: The readable photos.
        problems: Problems from reading files and from fitting annotations to photos.
        remarks: Box-like and frame-filling annotations, and photos without annotations.
        boxes: Number of boxes, or masks that are exactly a box, for each class or concept.
        annotations: Number of annotations for each class or concept.
        mask_files: Facts about an imported data set's mask files.
    """

    title: str
    photos: list[AuditedPhoto] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    boxes: Counter[str] = field(default_factory=Counter)
    annotations: Counter[str] = field(default_factory=Counter)
    mask_files: list[MaskFacts] = field(default_factory=list)

    def add_photo(
        self, path: Path, name: str, set_name: str, split: str | None, photograph: str
    ) -> tuple[int, int] | None:
        """Read a photo and add it; return its height and width, or None if it cannot be read."""
        try:
            photo = photos.read_photo(path)
        except (DrywallQAError, OSError, ValueError) as error:
            text = str(error).replace(f"{path}: ", "")
            self.problems.append(Problem(problems.UNREADABLE, name, "", text))
            return None
        height, width = photo.shape[:2]
        thumbnail = perceptual_hash.thumbnail(photo)
        side = max(height, width)
        self.photos.append(AuditedPhoto(name, path, set_name, split, photograph, thumbnail, side))
        return height, width

    def add_annotation(self, remark: Remark, rectangle: bool, share: float) -> None:
        """Count an annotation, and add a remark if it is a rectangle or fills the frame."""
        self.boxes[remark.group] += rectangle
        if share >= FRAME_SHARE:
            self.remarks.append(replace(remark, kind=FRAME_FILLING))
        elif rectangle:
            self.remarks.append(remark)


def of_export(source: Path, export: Export, progress: Progress | None = None) -> Inventory:
    """Take the inventory of a downloaded export; its classes need not be mapped to concepts.

    Args:
        source: The export's path, used for the title.
        export: The parsed export.
        progress: Called with the number of finished photos and the total.
    """
    inventory = Inventory(source.name, problems=list(export.problems))
    for number, entry in enumerate(export.photos, 1):
        name = relative_name(entry.path, export.root)
        photograph = source_photo(entry.path.stem)
        size = inventory.add_photo(entry.path, name, source.name, entry.split, photograph)
        if size:
            _add_shapes(inventory, entry, name, *size)
        if progress:
            progress(number, len(export.photos))
    return inventory


def _add_shapes(inventory: Inventory, entry: LabelledPhoto, name: str, height: int, width: int) -> None:
    scale = declared_scale(entry, height, width)
    if scale is None:
        text = f"the annotated size differs from the photo's {width}×{height} px"
        inventory.problems.append(Problem(problems.SIZE, name, "", text))
        return
    if entry.labelled and not entry.shapes and not entry.dropped:
        inventory.remarks.append(Remark(NO_ANNOTATION, "", name, entry.path, "", None))
    for shape in entry.shapes:
        inventory.annotations[shape.class_name] += 1
        try:
            geometry, cropped = fit_geometry(shape.geometry, height, width, scale)
            if isinstance(geometry, Box | Outline):
                frame = _frame_of(geometry)
                rectangle = isinstance(geometry, Box) or is_box_like(geometry)
                share = (frame[2] - frame[0]) * (frame[3] - frame[1]) / (height * width) if rectangle else 0.0
            else:
                mask = rasterise(geometry, height, width)
                if not mask.any():
                    raise GeometryError(problems.EMPTY, "marks no pixel")
                frame, rectangle, share = describe_mask(mask)
        except GeometryError as error:
            inventory.problems.append(shape.problem(error.kind, str(error).removesuffix("; dropped")))
            continue
        if cropped:
            text = cropped.removesuffix("; cropped")
            inventory.problems.append(shape.problem(problems.OUTSIDE, text))
        place = f"{shape.file}, {shape.where}"
        remark = Remark(BOX_LIKE, shape.class_name, name, entry.path, place, frame)
        inventory.add_annotation(remark, rectangle, share)


def _frame_of(geometry: Box | Outline) -> Frame:
    if isinstance(geometry, Box):
        return geometry.left, geometry.top, geometry.right, geometry.bottom
    points = np.concatenate(geometry.rings)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def describe_mask(mask: NDArray[np.bool_]) -> tuple[Frame, bool, float]:
    """Return a non-empty mask's bounding box, whether the mask fills it, and its share of the photo."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    area = int(mask.sum())
    rectangle = area >= RECTANGLE_FILL * (bottom - top) * (right - left)
    return (left, top, right, bottom), rectangle, area / mask.size


def of_dataset(dataset: Dataset, progress: Progress | None = None) -> Inventory:
    """Take the inventory of an imported data set: photos, masks and import problems.

    Args:
        dataset: The data set.
        progress: Called with the number of finished photos and the total.
    """
    inventory = Inventory(dataset.folder.resolve().name)
    inventory.problems = [
        replace(problem, file=f"{name}: {problem.file}") for name, problem in read_problems(dataset.folder)
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
            inventory.problems.append(Problem(problems.EMPTY, name, "", "marks no pixel"))
            continue
        frame, rectangle, share = describe_mask(mask)
        remark = Remark(BOX_LIKE, concept, sample.photo, path, name, frame)
        inventory.add_annotation(remark, rectangle, share)
    if sample.labels and not any(sample.labels.values()) and not sample.notes:
        inventory.remarks.append(Remark(NO_ANNOTATION, "", sample.photo, path, "", None))
