"""The common data model of all export readers: photos with annotation shapes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from drywallqa.datasets.geometry import Geometry
from drywallqa.datasets.problems import Problem
from drywallqa.imaging.photos import SUFFIXES

UNKNOWN_CLASS = ""
"""Placeholder for the class of an annotation whose class is unknown."""

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
    """One annotation: its class name in the export, its geometry, and its position in the annotation file."""

    class_name: str
    geometry: Geometry
    file: str
    where: str

    def problem(self, kind: str, text: str) -> Problem:
        """Create a problem report about this annotation."""
        return Problem(kind, self.file, self.where, text)


@dataclass(frozen=True)
class LabelledPhoto:
    """One photo of an export.

    Attributes:
        path: Path of the photo.
        split: "train", "val", "test", another word, or None if the export has no splits.
        shapes: Its annotations. If empty, the photo shows none of the export's classes.
        declared_size: Height and width that the annotations refer to, if the export declares them.
        labelled: False if nothing is known about the photo because its label file is missing.
        dropped: Classes of annotations that could not be read. Their ground truth is unknown.
    """

    path: Path
    split: str | None
    shapes: tuple[Shape, ...]
    declared_size: tuple[int, int] | None = None
    labelled: bool = True
    dropped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Export:
    """A parsed export: its root, layout ("coco", "yolo", "masks"), photos and problems."""

    root: Path
    layout: str
    photos: tuple[LabelledPhoto, ...]
    problems: tuple[Problem, ...] = ()
    declared_classes: tuple[str, ...] = ()

    def used_classes(self) -> tuple[str, ...]:
        """Return the classes with at least one annotation, sorted."""
        names = {shape.class_name for photo in self.photos for shape in photo.shapes}
        return tuple(sorted(names.union(*(photo.dropped for photo in self.photos)) - {UNKNOWN_CLASS}))


def split_word(name: str) -> str | None:
    """Convert a folder or file name such as "valid" or "instances_train2017" to a split name, or None."""
    bare = re.sub(r"^(instances|obj|person_keypoints)_|\d+$|_data$", "", name.lower())
    return _SPLITS.get(re.sub(r"\d+$", "", bare))


def split_of(path: Path, root: Path) -> str | None:
    """Find the split in the folder names between an export's root and a file; the outermost match counts."""
    words = (split_word(part) for part in path.relative_to(root).parts[:-1])
    return next((word for word in words if word), None)


def source_photo(stem: str) -> str:
    """Return the source photograph of an image stem: the text before ".rf.", or the whole stem."""
    return stem.split(".rf.", 1)[0]


def relative_name(path: Path, root: Path) -> str:
    """Name a file relative to the export's root, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def list_photos(folder: Path) -> list[Path]:
    """List the photos under a folder, sorted; skip hidden files and the `__MACOSX` folders of macOS zips."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
    )
