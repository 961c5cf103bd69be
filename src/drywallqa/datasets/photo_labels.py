"""Merge the labels of each photo from all annotation files of an export.

Several entries may describe one photo, for example if each class has its own annotation file, if the export
contains a backup, or if a file lists the photo under two ids. The shapes of each class are merged. If two
entries contradict each other about a class, the class is unknown in the photo.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.formats import problems
from drywallqa.formats.annotations import UNKNOWN_CLASS, Export, PhotoEntry, Shape, relative_name, split_of
from drywallqa.formats.geometry import Geometry, GeometryError, fit_geometry, pixels_around, rasterise
from drywallqa.formats.problems import Problem
from drywallqa.imaging.morphology import equal_but_edges
from drywallqa.imaging.photos import orient_mask

Mask = NDArray[np.bool_]

EXIF_CHOICES = ("auto", "viewed", "stored")
_SAME_ASPECT = 0.02


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo of an export, with its entries from all annotation files."""

    path: Path
    name: str
    split: str | None
    entries: tuple[PhotoEntry, ...]


@dataclass
class PhotoLabels:
    """The labels of one photo.

    Attributes:
        masks: Class → mask [H,W] in the orientation of the viewed photo, or None if the class is absent.
            Classes without a key are unknown.
        incomplete: Classes that have a mask although one of their annotations was lost.
        ignored: Class → pixels [H,W] that nobody labelled. Classes without such pixels have no key.
        conflicts: Classes about which two entries contradict each other.
        problems: The problems found.
        annotations: The usable annotations in px of the stored or viewed photo, each with that photo's size.
        orientation_unknown: Whether it is unclear if the labels refer to the stored or to the viewed picture.
    """

    masks: dict[str, Mask | None] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    ignored: dict[str, Mask] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    annotations: list[tuple[Shape, Geometry, tuple[int, int]]] = field(default_factory=list)
    orientation_unknown: bool = False


@dataclass(frozen=True)
class _Statement:
    """The masks of one entry, its declared classes, and the classes that lost an annotation."""

    source: str
    masks: Mapping[str, Mask]
    declared: frozenset[str]
    lost: frozenset[str]
    ignored: Mask | None = None

    def knows(self, name: str) -> bool:
        return name in self.masks or (name in self.declared and not self.lost & {name, UNKNOWN_CLASS})


def unite_entries(export: Export) -> tuple[list[LabelledPhoto], list[Problem]]:
    """Group an export's entries by photo. The photos are in the order of their first entries.

    Returns:
        The photos, and a problem for each photo that belongs to different splits.
    """
    groups: dict[Path, list[PhotoEntry]] = defaultdict(list)
    for entry in export.entries:
        groups[entry.path.resolve()].append(entry)
    photos, found = [], []
    for entries in groups.values():
        path = entries[0].path
        name = relative_name(path, export.root)
        split, problem = _split(entries, name, split_of(path, export.root))
        photos.append(LabelledPhoto(path, name, split, tuple(entries)))
        found += [problem] if problem else []
    return photos, found


def _split(
    entries: Sequence[PhotoEntry], name: str, of_folder: str | None
) -> tuple[str | None, Problem | None]:
    sources = {entry.split: entry.source for entry in entries if entry.split}
    if of_folder:
        sources.setdefault(of_folder, "the photo's folder")
    if len(sources) < 2:
        return next(iter(sources), None), None
    listed = " and ".join(f"{split} ({source})" for split, source in sources.items())
    taken = f"the folder's split {of_folder} is used" if of_folder else "no split is used"
    return of_folder, Problem(problems.TWO_SPLITS, name, "", f"is in the splits {listed}; {taken}")


def label_photo(
    photo: LabelledPhoto, height: int, width: int, orientation: int = 1, exif: str = "auto"
) -> PhotoLabels:
    """Merge the labels of all entries of one photo.

    Args:
        photo: The photo and its entries.
        height: Height of the viewed photo in px.
        width: Width of the viewed photo in px.
        orientation: EXIF orientation of the photo's file.
        exif: One of `EXIF_CHOICES`. It states whether the labels refer to the viewed or to the stored
            picture.
    """
    labels = PhotoLabels()
    statements = [
        _read_entry(entry, photo.name, (height, width), orientation, exif, labels)
        for entry in photo.entries
        if entry.source
    ]
    for name in sorted({*_classes(statements)}):
        _unite_class(name, statements, photo, labels)
    return labels


def _classes(statements: Iterable[_Statement]) -> Iterable[str]:
    for statement in statements:
        yield from (*statement.masks, *statement.declared, *(statement.lost - {UNKNOWN_CLASS}))


def _unite_class(
    name: str, statements: Sequence[_Statement], photo: LabelledPhoto, labels: PhotoLabels
) -> None:
    known = [statement for statement in statements if statement.knows(name)]
    if not known:
        return
    first, ignored = known[0].masks.get(name), known[0].ignored
    rival = next((other for other in known[1:] if not _agree(known[0], other, name)), None)
    if rival:
        sides = f"{known[0].source} and {rival.source}"
        text = f"{sides} contradict each other about '{name}'; it is unknown in this photo"
        labels.problems.append(Problem(problems.CONFLICT, photo.name, "", text))
        labels.conflicts.add(name)
        return
    lost = any(statement.lost & {name, UNKNOWN_CLASS} for statement in statements)
    if first is not None:
        labels.masks[name] = first
        labels.incomplete |= {name} if lost else set()
    elif not lost:
        labels.masks[name] = None
    if ignored is not None and name in labels.masks:
        labels.ignored[name] = ignored


def _agree(one: _Statement, other: _Statement, name: str) -> bool:
    """Check whether two masks of a class are equal, except for ignored pixels and one pixel along edges."""
    first, second = one.masks.get(name), other.masks.get(name)
    if first is None or second is None:
        return first is second
    for ignored in (one.ignored, other.ignored):
        if ignored is not None:
            first, second = first & ~ignored, second & ~ignored
    return equal_but_edges(first, second)


def _read_entry(
    entry: PhotoEntry, photo: str, size: tuple[int, int], orientation: int, exif: str, labels: PhotoLabels
) -> _Statement:
    """Rasterise the shapes of one entry, and add its problems and annotations to `labels`."""
    stored = _refers_to_stored(entry, size, orientation, exif)
    labels.orientation_unknown |= stored is None and bool(entry.shapes)
    height, width = size if not stored or orientation < 5 else size[::-1]
    scale = declared_scale(entry, height, width)
    masks: dict[str, Mask] = {}
    lost = set(entry.lost)
    if scale is None and entry.declared_size:
        declared = f"{entry.declared_size[1]}×{entry.declared_size[0]}"
        text = f"{entry.source} describes a photo of {declared} px, but this one has {width}×{height}"
        labels.problems.append(Problem(problems.SIZE, photo, "", f"{text}; its annotations are dropped"))
        lost.add(UNKNOWN_CLASS)
    for shape in entry.shapes if scale else ():
        try:
            fitted = fit_geometry(shape.geometry, height, width, scale or (1.0, 1.0))
            mask = rasterise(fitted.geometry, height, width)
            extent = pixels_around(fitted.geometry)  # a photo may have thousands of small regions
            if not mask[extent].any():
                raise GeometryError(problems.EMPTY, "marks no pixel; dropped")
        except GeometryError as error:
            labels.problems.append(shape.problem(error.kind, str(error)))
            lost.add(shape.class_name)
            continue
        if fitted.cropped:
            labels.problems.append(shape.problem(problems.CROPPED, fitted.cropped))
        labels.problems += [shape.problem(error.kind, str(error)) for error in fitted.lost]
        lost |= {shape.class_name} if fitted.lost else set()
        labels.annotations.append((shape, fitted.geometry, (height, width)))
        if shape.class_name in masks:
            masks[shape.class_name][extent] |= mask[extent]
        else:
            masks[shape.class_name] = mask
    masks = {name: orient_mask(mask, orientation if stored else 1) for name, mask in masks.items()}
    ignored = None
    if entry.ignored and scale:
        ignored = orient_mask(rasterise(entry.ignored, height, width), orientation if stored else 1)
    return _Statement(entry.source, masks, entry.declared, frozenset(lost), ignored)


def _refers_to_stored(entry: PhotoEntry, size: tuple[int, int], orientation: int, exif: str) -> bool | None:
    """Return whether labels refer to the stored picture, or None if only the EXIF option can decide this."""
    if orientation == 1:
        return False
    if exif != "auto":
        return exif == "stored"
    if orientation >= 5 and entry.declared_size:
        viewed, stored = (_fits(entry.declared_size, side) for side in (size, size[::-1]))
        if viewed != stored:
            return stored
    return None


def declared_scale(entry: PhotoEntry, height: int, width: int) -> tuple[float, float] | None:
    """Return photo size / annotated size (vertical, horizontal), or None if the two sizes do not match."""
    if entry.declared_size is None:
        return (1.0, 1.0)
    if entry.same_size and entry.declared_size != (height, width):
        return None
    vertical, horizontal = height / entry.declared_size[0], width / entry.declared_size[1]
    return (vertical, horizontal) if _fits(entry.declared_size, (height, width)) else None


def _fits(declared: tuple[int, int], size: tuple[int, int]) -> bool:
    return abs(size[0] * declared[1] / (size[1] * declared[0]) - 1) < _SAME_ASPECT
