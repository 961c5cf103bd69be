"""What an audit looks at: photos, read once, and what their annotations are like."""

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
    """One readable photo: its name in the export, where it lies, its copies' name, its longer side."""

    name: str
    path: Path
    set_name: str
    split: str | None
    photograph: str
    thumbnail: NDArray[np.float32]
    side: int = 0


@dataclass(frozen=True)
class Remark:
    """Something about one annotation that is no error but looks like one.

    Attributes:
        kind: `BOX_LIKE`, `FRAME_FILLING` or `NO_ANNOTATION`.
        group: The annotation's class or concept; empty where the photo has none.
        name: The photo's name.
        path: Where the photo lies.
        where: The file that the annotation stands in, and the line or id.
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
    """All that an audit needs to know.

    Attributes:
        title: The export's or data set's name.
        photos: The readable photos.
        problems: What is wrong, from the readers and from fitting annotations to photos.
        remarks: Box-like and frame-filling annotations, photos without any.
        boxes: How many annotations of each class or concept are boxes, or masks of exactly one box.
        annotations: How many annotations of each there are.
        mask_files: What an imported data set's mask files are like.
    """

    title: str
    photos: list[AuditedPhoto] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    boxes: Counter[str] = field(default_factory=Counter)
    annotations: Counter[str] = field(default_factory=Counter)
    mask_files: list[MaskFacts] = field(default_factory=list)


def _read(path: Path, name: str, inventory: Inventory) -> NDArray[np.uint8] | None:
    try:
        return photos.read_photo(path)
    except (DrywallQAError, OSError, ValueError) as error:
        text = str(error).replace(f"{path}: ", "")
        inventory.problems.append(Problem(problems.UNREADABLE, name, "", text))
        return None


def of_export(source: Path, export: Export, progress: Progress | None = None) -> Inventory:
    """Look through an export as it was downloaded; its classes need no concepts.

    Args:
        source: What the user named, for the title.
        export: The export as read.
        progress: Called with photos done and photos in all.
    """
    inventory = Inventory(source.name, problems=list(export.problems))
    for number, entry in enumerate(export.photos, 1):
        name = relative_name(entry.path, export.root)
        photo = _read(entry.path, name, inventory)
        if photo is not None:
            copy_of = source_photo(entry.path.stem)
            thumbnail = perceptual_hash.thumbnail(photo)
            inventory.photos.append(
                AuditedPhoto(
                    name, entry.path, source.name, entry.split, copy_of, thumbnail, max(photo.shape[:2])
                )
            )
            _look_at_shapes(inventory, entry, name, photo.shape[0], photo.shape[1])
        if progress:
            progress(number, len(export.photos))
    return inventory


def _look_at_shapes(inventory: Inventory, entry: LabelledPhoto, name: str, height: int, width: int) -> None:
    scale = declared_scale(entry, height, width)
    if scale is None:
        text = f"annotated at another size than the photo's {width}×{height} px"
        inventory.problems.append(Problem(problems.SIZE, name, "", text))
        return
    if entry.labelled and not entry.shapes and not entry.dropped:
        inventory.remarks.append(Remark(NO_ANNOTATION, "", name, entry.path, "", None))
    for shape in entry.shapes:
        inventory.annotations[shape.class_name] += 1
        place = f"{shape.file}, {shape.where}"
        try:
            geometry, clipped = fit_geometry(shape.geometry, height, width, scale)
            if isinstance(geometry, Box | Outline):
                frame = _frame_of(geometry)
                rectangle = isinstance(geometry, Box) or is_box_like(geometry)
                share = (frame[2] - frame[0]) * (frame[3] - frame[1]) / (height * width) if rectangle else 0.0
            else:
                mask = rasterise(geometry, height, width)
                if not mask.any():
                    raise GeometryError(problems.EMPTY, "marks not one pixel")
                frame, rectangle, share = describe_mask(mask)
        except GeometryError as error:
            inventory.problems.append(shape.problem(error.kind, str(error).removesuffix("; dropped")))
            continue
        if clipped:
            text = clipped.removesuffix("; clipped")
            inventory.problems.append(shape.problem(problems.OUTSIDE, text))
        remark = Remark(BOX_LIKE, shape.class_name, name, entry.path, place, frame)
        _note(inventory, remark, rectangle, share)


def _note(inventory: Inventory, remark: Remark, rectangle: bool, share: float) -> None:
    """Keep a remark where the annotation is a rectangle, or (then as such) where it fills the frame."""
    inventory.boxes[remark.group] += rectangle
    if share >= FRAME_SHARE:
        inventory.remarks.append(replace(remark, kind=FRAME_FILLING))
    elif rectangle:
        inventory.remarks.append(remark)


def _frame_of(geometry: Box | Outline) -> Frame:
    if isinstance(geometry, Box):
        return geometry.left, geometry.top, geometry.right, geometry.bottom
    points = np.concatenate(geometry.rings)
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return left, top, right, bottom


def describe_mask(mask: NDArray[np.bool_]) -> tuple[Frame, bool, float]:
    """Return a mask's bounding box, whether the mask fills it, and its share of the photo; never empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    area = int(mask.sum())
    rectangle = area >= RECTANGLE_FILL * (bottom - top) * (right - left)
    return (left, top, right, bottom), rectangle, area / mask.size


def of_dataset(dataset: Dataset, progress: Progress | None = None) -> Inventory:
    """Look through an imported data set: its photos, its masks, and what its imports reported.

    Args:
        dataset: The data set.
        progress: Called with photos done and photos in all.
    """
    inventory = Inventory(dataset.folder.resolve().name)
    inventory.problems = [
        Problem(problem.kind, f"{name}: {problem.file}", problem.where, problem.text)
        for name, problem in read_problems(dataset.folder)
    ]
    for number, sample in enumerate(dataset, 1):
        path = dataset.photo_path(sample)
        photo = _read(path, sample.photo, inventory)
        if photo is not None:
            key = sample.photograph
            thumbnail = perceptual_hash.thumbnail(photo)
            inventory.photos.append(
                AuditedPhoto(
                    sample.photo, path, sample.set_name, sample.split, key, thumbnail, max(photo.shape[:2])
                )
            )
            _look_at_masks(inventory, dataset, sample, path)
        if progress:
            progress(number, len(dataset))
    return inventory


def _look_at_masks(inventory: Inventory, dataset: Dataset, sample: Sample, path: Path) -> None:
    for concept, name in sample.labels.items():
        if name is None:
            continue
        inventory.annotations[concept] += 1
        try:
            mask = dataset.read_mask(sample, concept)
            photograph = sample.photograph
            inventory.mask_files.append(read_facts(dataset.folder / name, name, photograph))
        except (DrywallQAError, OSError, ValueError) as error:
            inventory.problems.append(Problem(problems.UNREADABLE, name, "", str(error)))
            continue
        if not mask.any():
            inventory.problems.append(Problem(problems.EMPTY, name, "", "marks not one pixel"))
            continue
        frame, rectangle, share = describe_mask(mask)
        _note(inventory, Remark(BOX_LIKE, concept, sample.photo, path, name, frame), rectangle, share)
    if sample.labels and not any(sample.labels.values()) and not sample.notes:
        inventory.remarks.append(Remark(NO_ANNOTATION, "", sample.photo, path, "", None))
