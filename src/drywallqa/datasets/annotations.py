"""The common data model of all readers of exports, with photos and their annotations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from drywallqa.datasets.geometry import Geometry
from drywallqa.datasets.problems import Problem
from drywallqa.imaging.photos import SUFFIXES

UNKNOWN_CLASS = ""
"""Class name of annotations whose class is unknown."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Shape:
    """One annotation with its class name in the export, its geometry, its file and its place in the file."""

    class_name: str
    geometry: Geometry
    file: str
    where: str

    def problem(self, kind: str, text: str) -> Problem:
        """Return a report of a problem with this annotation."""
        return Problem(kind, self.file, self.where, text)


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo of an export.

    Attributes:
        path: Path of the photo.
        split: "train", "val", "test", another word, or None if the export has no splits.
        shapes: The photo's annotations. Without annotations, the photo shows none of the export's classes.
        declared_size: Height and width of the photo according to the export, or None if not declared.
        labelled: False if the photo has no label file, so that its ground truth is unknown.
        dropped: Classes with an annotation that could not be read, so that their ground truth is unknown.
    """

    path: Path
    split: str | None
    shapes: tuple[Shape, ...]
    declared_size: tuple[int, int] | None = None
    labelled: bool = True
    dropped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Export:
    """A parsed export with its folder, layout ("coco", "yolo" or "masks"), photos and problems."""

    root: Path
    layout: str
    photos: tuple[LabelledPhoto, ...]
    problems: tuple[Problem, ...] = ()
    declared_classes: tuple[str, ...] = ()

    def used_classes(self) -> tuple[str, ...]:
        """Return the sorted names of the classes that have at least one annotation."""
        names = {shape.class_name for photo in self.photos for shape in photo.shapes}
        return tuple(sorted(names.union(*(photo.dropped for photo in self.photos)) - {UNKNOWN_CLASS}))


def split_word(name: str) -> str | None:
    """Return the split that a name such as "valid" or "instances_train2017" means, or None."""
    bare = re.sub(r"^(instances|obj|person_keypoints)_|\d+$|_data$", "", name.lower())
    return _SPLITS.get(re.sub(r"\d+$", "", bare))


def split_of(path: Path, root: Path) -> str | None:
    """Return the split that a folder between `root` and the file names, or None. The outermost one counts."""
    words = (split_word(part) for part in path.relative_to(root).parts[:-1])
    return next((word for word in words if word), None)


def source_photo(stem: str) -> str:
    """Return the name of the source photo, which is the file stem up to ".rf.", if present."""
    return stem.split(".rf.", 1)[0]


def relative_name(path: Path, root: Path) -> str:
    """Return a file's path relative to the export's folder, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def list_photos(folder: Path) -> list[Path]:
    """List the photos under a folder, sorted. Hidden files and `__MACOSX` folders are skipped."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
    )
