"""The data model that all export readers share: photos with annotated shapes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ConfigError
from drywallqa.formats.geometry import Geometry
from drywallqa.formats.problems import Problem
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
class ReadOptions:
    """Options for reading an export. They supply information that its files do not contain.

    Attributes:
        values: Pixel value of mask files ("100", or a colour "#ff0000") → class name, "background" or
            "ignore".
        invert: Whether mask files mark the background instead of the foreground. If None, masks that are
            mostly foreground are rejected.
        fully_labelled: Whether each photo with labels was labelled for every class of the export. A class
            without a shape is then absent from the photo. This option affects formats whose files do not list
            the classes.
        photos: An additional folder to search for the photos that annotation files name.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    invert: bool | None = None
    fully_labelled: bool = False
    photos: Path | None = None

    @classmethod
    def parse(cls, values: Sequence[str], invert: str | None, *, fully_labelled: bool = False) -> ReadOptions:
        """Parse the values of --value ("VALUE=CLASS") and --invert ("yes" or "no").

        Raises:
            ConfigError: An option is invalid.
        """
        pairs = [option.partition("=") for option in values]
        for option, (value, _, name) in zip(values, pairs, strict=True):
            if not re.fullmatch(r"\d+|#[0-9a-fA-F]{6}", value) or not name:
                raise ConfigError(
                    f"--value {option} is invalid; write 100=crack, #ff0000=crack or 255=ignore"
                )
        if invert not in (None, "yes", "no"):
            raise ConfigError(f"--invert {invert} is invalid; write yes or no")
        return cls(
            {value.lower(): name for value, _, name in pairs},
            None if invert is None else invert == "yes",
            fully_labelled=fully_labelled,
        )


@dataclass(frozen=True)
class Shape:
    """One annotation, with its class name in the export, its geometry and its position in the file."""

    class_name: str
    geometry: Geometry
    file: str
    where: str

    def problem(self, kind: str, text: str) -> Problem:
        """Create a problem report about this annotation."""
        return Problem(kind, self.file, self.where, text)


@dataclass(frozen=True)
class PhotoEntry:
    """The labels of one photo in one annotation file. A photo can have several entries.

    Attributes:
        path: Path of the photo.
        split: "train", "val", "test", another word, or None if the export has no splits.
        shapes: The annotations.
        declared: Classes that the annotator could choose. A declared class without a shape is absent from the
            photo. Any other class without a shape is unknown.
        lost: Classes of annotations that could not be read completely. Such a class never counts as absent.
            If `UNKNOWN_CLASS` is among them, no class counts as absent.
        declared_size: Height and width in px of the photo according to the export, if it declares them.
        same_size: Whether to reject annotations whose size differs from the photo's size. Otherwise, they are
            scaled.
        ignored: Pixels that nobody labelled. The declared classes are unknown in these pixels.
        source: The annotation file, and the line or id in it; empty for a photo without labels.
        author: The person who made the annotations, if the file names one.
        changed: Time of the last change, ISO 8601; empty if the file does not state it.
    """

    path: Path
    split: str | None
    shapes: tuple[Shape, ...] = ()
    declared: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    declared_size: tuple[int, int] | None = None
    source: str = ""
    same_size: bool = False
    ignored: Geometry | None = None
    author: str = ""
    changed: str = ""


@dataclass(frozen=True)
class Export:
    """A parsed export.

    Attributes:
        root: The export's folder.
        layout: The name of its format, a key of `exports.FORMATS`.
        entries: The labels of the photos.
        problems: Problems found in the annotation files.
        declared_classes: Classes that the export declares, even if no annotation uses them.
        files: Files that were read or that belong to the format. Photos are not included.
    """

    root: Path
    layout: str
    entries: tuple[PhotoEntry, ...]
    problems: tuple[Problem, ...] = ()
    declared_classes: tuple[str, ...] = ()
    files: frozenset[Path] = frozenset()

    def used_classes(self) -> tuple[str, ...]:
        """Return the classes with at least one annotation, sorted."""
        names = {shape.class_name for entry in self.entries for shape in entry.shapes}
        return tuple(sorted(names.union(*(entry.lost for entry in self.entries)) - {UNKNOWN_CLASS}))


@dataclass(frozen=True, eq=False)
class MaskedPhoto:
    """A photo with its masks, as passed to the writers of all annotation formats.

    Attributes:
        name: File name of the photo. It may start with folders, separated by "/".
        path: The photo's file, or None if the writer should write only the labels.
        height: Height in px, after the EXIF rotation is applied.
        width: Width in px.
        masks: Class → boolean mask [H,W], or None if the class is absent. A class without an entry is
            unknown.
        split: "train", "val", "test", another word, or None.
        model: Name and version of the model that predicted the masks; empty for labels by people.
        scores: Class → confidence of a predicted mask, between 0 and 1.
    """

    name: str
    path: Path | None
    height: int
    width: int
    masks: Mapping[str, NDArray[np.bool_] | None]
    split: str | None = None
    model: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WriteResult:
    """The files of a newly written export, and the problems found while writing it.

    Attributes:
        files: The written files.
        problems: Reports about photos and labels that were left out, and notes about other photos.
        photos: Number of photos in the export.
    """

    files: tuple[Path, ...]
    problems: tuple[Problem, ...] = ()
    photos: int = 0

    @property
    def losses(self) -> int:
        """The number of problems because of which a photo or a label was left out."""
        return sum(problem.is_loss for problem in self.problems)


def split_word(name: str) -> str | None:
    """Convert a folder or file name such as "valid" or "instances_train2017" to a split name, or None."""
    bare = re.sub(r"^(instances|obj|person_keypoints)_|\d+$|_data$", "", name.lower())
    return _SPLITS.get(re.sub(r"\d+$", "", bare))


def split_of(path: Path, root: Path) -> str | None:
    """Infer a file's split from the outermost folder below the export's root that names a split."""
    if not path.is_relative_to(root):
        return None
    words = (split_word(part) for part in path.relative_to(root).parts[:-1])
    return next((word for word in words if word), None)


def source_photo(stem: str) -> str:
    """Return the name of the source photo: the part of an image's stem before ".rf.", or the whole stem."""
    return stem.split(".rf.", 1)[0]


def relative_name(path: Path, root: Path) -> str:
    """Return a file's path relative to the export's root, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def list_files(folder: Path) -> list[Path]:
    """List all files under a folder, sorted. Skip hidden files and the `__MACOSX` folders of macOS zips."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [Path(base, name) for name in names if not name.startswith(".") and name != "__MACOSX"]
    return sorted((path for path in found if path.is_file()), key=lambda path: path.parts)


def list_unread(folder: Path) -> dict[Path, str]:
    """Describe the paths that `list_files` skips although they may contain photos or labels."""
    found: dict[Path, str] = {}

    def note(error: OSError) -> None:
        found[Path(error.filename)] = f"the folder cannot be read ({error.strerror})"

    for base, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(base, name) for name in (*folders, *names) if not name.startswith(".")):
            if path.is_symlink() and not path.exists():
                found[path] = "links to a missing file"
            elif path.is_symlink() and path.is_dir() and not path.resolve().is_relative_to(folder.resolve()):
                found[path] = "links to a folder elsewhere; copy that folder into the export"
            elif not path.is_dir() and not path.is_file():
                found[path] = "is not a regular file"
            elif path.is_file() and not os.access(path, os.R_OK):
                found[path] = "cannot be read (permission denied)"
    return found


def list_photos(folder: Path) -> list[Path]:
    """List the files under a folder that have a photo suffix, in the order of `list_files`."""
    return [path for path in list_files(folder) if path.suffix.lower() in SUFFIXES]
