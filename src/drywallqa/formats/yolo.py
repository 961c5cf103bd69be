"""Read YOLO exports from Roboflow, CVAT and Label Studio, in which each line is a box or a polygon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import (
    UNKNOWN_CLASS,
    Export,
    PhotoEntry,
    ReadOptions,
    Shape,
    list_photos,
    relative_name,
    split_of,
)
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.formats.photo_index import spelling_key
from drywallqa.formats.problems import Problem
from drywallqa.formats.values import number_of, whole_number

_CLASS_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.names", "classes.txt")
_OTHER_FILES = ("obj.data", "notes.json", "train.txt", "val.txt", "valid.txt", "test.txt")
_NO_LABELS = frozenset({*_CLASS_FILES, *_OTHER_FILES, "notes.txt"})

Names = dict[int, str]


def find_yolo_files(root: Path) -> set[Path]:
    """List the label files of a YOLO export, if at least one of them belongs to a photo."""
    owners = _owners(root, [])
    return {*owners, *_all_label_files(root)} if owners else set()


def read_yolo(root: Path, options: ReadOptions) -> Export:
    """Read a YOLO export. The class names of a label file come from the nearest folder above that lists them.

    Args:
        root: The export's folder.
        options: Not used, because YOLO files leave no question open.

    Raises:
        DataError: The list of class names is missing or cannot be read.
    """
    found: list[Problem] = []
    owners = _owners(root, found)
    label_files = sorted({*owners, *_all_label_files(root)})
    names = {folder: _names_above(folder, root) for folder in {path.parent for path in label_files} or {root}}
    entries: list[PhotoEntry] = []
    for path in label_files:
        file = _LabelFile(path, names[path.parent], root)
        entries += file.entries(owners.get(path, ()))
        found += file.problems
    lists = {path for name in (*_CLASS_FILES, *_OTHER_FILES) for path in root.rglob(name)}
    classes = sorted({name for each in names.values() for name in each.values()})
    return Export(
        root, "yolo", tuple(entries), tuple(found), tuple(classes), frozenset({*label_files, *lists})
    )


def _owners(root: Path, found: list[Problem]) -> dict[Path, list[Path]]:
    """Map each label file to its photos. A similar spelling counts if no photo has exactly this name."""
    photos = list_photos(root)
    owners: dict[Path, list[Path]] = defaultdict(list)
    for photo in photos:
        for labels in _label_paths(photo, root):
            if labels.name not in _NO_LABELS and labels.is_file():
                owners[labels].append(photo)
    labelled = {photo for each in owners.values() for photo in each}
    left = {spelling_key(str(path)): path for path in sorted(_all_label_files(root) - set(owners))}
    for photo in photos if left else ():
        for labels in _label_paths(photo, root):
            if photo not in labelled and (path := left.get(spelling_key(str(labels)))):
                owners[path].append(photo)
                text = f"was used as the labels of {relative_name(photo, root)}"
                found.append(Problem(problems.SIMILAR_NAME, relative_name(path, root), "", text))
    return owners


def _label_paths(photo: Path, root: Path) -> list[Path]:
    """Return the possible paths of a photo's labels: next to it, and in "labels" instead of "images"."""
    paths = [photo.with_suffix(".txt")]
    parts = list(photo.relative_to(root).parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == "images":
            parts[position] = "labels"
            paths.append(root.joinpath(*parts).with_suffix(".txt"))
            break
    return paths


def _all_label_files(root: Path) -> set[Path]:
    """Find the label files: the .txt files below "labels" or "obj_…_data" folders, except known lists."""
    folders = {
        path.parent
        for path in root.rglob("*.txt")
        for part in path.relative_to(root).parts[:-1]
        if part == "labels" or (part.startswith("obj_") and part.endswith("_data"))
    }
    return {path for folder in folders for path in folder.glob("*.txt") if path.name not in _NO_LABELS}


def _names_above(folder: Path, root: Path) -> Names:
    """Read the class names from the nearest folder above a label file, or the only list in the export."""
    for parent in (folder, *folder.parents):
        if not parent.is_relative_to(root):
            break
        for name in _CLASS_FILES:
            if (parent / name).is_file():
                return read_class_names(parent / name)
    lists = [path for name in _CLASS_FILES for path in sorted(root.rglob(name))]
    if len(lists) == 1:
        return read_class_names(lists[0])
    where = relative_name(folder, root)
    if lists:
        listed = ", ".join(relative_name(path, root) for path in lists[:3])
        raise DataError(f"{root}: no list of class names lies above {where} (found {listed}); copy one there")
    raise DataError(
        f"{root}: no file with class names; add one of {', '.join(_CLASS_FILES)} to the YOLO export"
    )


def read_class_names(path: Path) -> Names:
    """Read class names by number from data.yaml, obj.names or classes.txt.

    Raises:
        DataError: The file has no names or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _names_of_yaml(text) if path.suffix in {".yaml", ".yml"} else text.splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: the class names cannot be read ({error}); export the data set again"
        ) from error
    if isinstance(names, list):
        names = dict(enumerate(line.strip() for line in names if line.strip()))
    if not names:
        raise DataError(f"{path}: no class names found; write them as: names: ['crack', 'seam']")
    return names


def _names_of_yaml(text: str) -> Names | list[str]:
    """Read `names`, a list or a mapping by number. Every scalar is a string, even a name such as "no".

    Raises:
        ValueError: The text is not valid YAML, or a class number is not an integer.
    """
    import yaml

    try:
        data = yaml.load(text, Loader=yaml.BaseLoader)  # creates only lists, mappings and strings
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, dict):
        return {int(number): str(name) for number, name in names.items()}
    return [str(name) for name in names or []]


class _LabelFile:
    """The lines of one label file."""

    def __init__(self, path: Path, names: Names, root: Path) -> None:
        self.root = root
        self.name = relative_name(path, root)
        self.names = names
        self.problems: list[Problem] = []
        self.shapes: list[Shape] = []
        self.lost: set[str] = set()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            text = f"the label file cannot be read ({error}); its photo counts as unlabelled"
            self.problems.append(Problem(problems.UNREADABLE, self.name, "", text))
            self.lost.add(UNKNOWN_CLASS)
            lines = []
        for number, line in enumerate(lines, 1):
            if line.split():
                self._read_line(f"line {number}", line.split())

    def _read_line(self, where: str, fields: Sequence[str]) -> None:
        key = whole_number(fields[0])
        class_name = None if key is None else self.names.get(key)
        try:
            if class_name is None:
                text = f"the export has {len(self.names)} classes, but no class {fields[0]}; dropped"
                raise GeometryError(problems.WRONG_ID, text)
            self.shapes.append(Shape(class_name, _geometry(fields[1:]), self.name, where))
        except GeometryError as error:
            self.problems.append(Problem(error.kind, self.name, where, str(error)))
            self.lost.add(class_name or UNKNOWN_CLASS)

    def entries(self, photos: Sequence[Path]) -> list[PhotoEntry]:
        """Return the entry of the file's photo. Labels that could belong to several photos are dropped."""
        if not photos:
            text = "the label file has no photo; skipped"
            self.problems.append(Problem(problems.MISSING_PHOTO, self.name, "", text))
        ambiguous = len(photos) > 1
        if ambiguous:
            listed = " and ".join(relative_name(photo, self.root) for photo in photos)
            text = f"may belong to {listed}; the photos count as unlabelled"
            self.problems.append(Problem(problems.CONFLICT, self.name, "", text))
        return [
            PhotoEntry(
                photo,
                split_of(photo, self.root),
                () if ambiguous else tuple(self.shapes),
                frozenset(() if ambiguous else self.names.values()),
                frozenset({UNKNOWN_CLASS} if ambiguous else self.lost),
                source=self.name,
            )
            for photo in photos
        ]


def _geometry(fields: Sequence[str]) -> Geometry:
    numbers = [number for number in map(number_of, fields) if number is not None]
    if len(numbers) != len(fields):
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a number; dropped")
    if len(numbers) == 4:
        x, y, width, height = numbers
        return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2, relative=True)
    if len(numbers) % 2:
        raise GeometryError(
            problems.MALFORMED, f"the outline has an odd number of coordinates ({len(numbers)}); dropped"
        )
    if len(numbers) < 6:
        text = f"the outline has {len(numbers) // 2} points, but at least three are needed; dropped"
        raise GeometryError(problems.FEW_POINTS, text)
    return Outline((np.array(numbers, np.float64).reshape(-1, 2),), relative=True)
