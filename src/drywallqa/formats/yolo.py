"""Read YOLO exports from Roboflow, CVAT and Label Studio, in which each line describes a box or a polygon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
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
    split_word,
)
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.formats.photo_index import PhotoIndex, PhotoName, is_same_name, spelling_key
from drywallqa.formats.problems import Problem
from drywallqa.formats.rings import read_numbers, read_ring
from drywallqa.formats.text_files import head_of
from drywallqa.formats.values import number_of, whole_number
from drywallqa.formats.yolo_names import CLASS_FILES, NOTES, ClassList, class_list_above

_SPLIT_LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt")
_OTHER_FILES = ("obj.data", NOTES, *_SPLIT_LISTS)
_NO_LABELS = frozenset({*CLASS_FILES, *_OTHER_FILES, "notes.txt"})

_FEWEST_FIELDS = 5
"""Number of fields in a label line with a box: the class and four numbers."""
_SLACK = 0.01
"""Distance of a keypoint outside its box, as a fraction of the photo's side, that may be a rounding error."""


def find_yolo_files(root: Path) -> set[Path]:
    """List the label files of a YOLO export, if at least one of them belongs to a photo."""
    owners = _owners(root, [])
    return {*owners, *_all_label_files(root)} if owners else set()


def read_yolo(root: Path, options: ReadOptions) -> Export:
    """Read a YOLO export. A label file's class names come from the nearest list in a folder above it.

    Args:
        root: The export's folder.
        options: Not used, because YOLO files need no decisions by the user.

    Raises:
        DataError: The list of class names is missing or cannot be read.
    """
    found: list[Problem] = []
    owners = _owners(root, found)
    label_files = sorted({*owners, *_all_label_files(root)})
    lists = {
        folder: class_list_above(folder, root) for folder in {path.parent for path in label_files} or {root}
    }
    entries: list[PhotoEntry] = []
    for path in label_files:
        file = _LabelFile(path, lists[path.parent], root)
        entries += file.entries(owners.get(path, ()))
        found += file.problems
    entries += _listed_splits(root, {entry.path for entry in entries})
    others = {path for name in (*CLASS_FILES, *_OTHER_FILES) for path in root.rglob(name)}
    classes = sorted({name for each in lists.values() for name in each.names.values()})
    return Export(
        root, "yolo", tuple(entries), tuple(found), tuple(classes), frozenset({*label_files, *others})
    )


def _listed_splits(root: Path, labelled: Collection[Path]) -> list[PhotoEntry]:
    """Return entries that only assign labelled photos to splits, as listed in files such as train.txt."""
    names = [
        PhotoName(line.strip(), (path.parent, root), relative_name(path, root), f"line {number}")
        for name in _SPLIT_LISTS
        for path in sorted(root.rglob(name))
        if not _has_labels(path)
        for number, line in enumerate(_lines(path), 1)
        if line.strip()
    ]
    splits = [split_word(Path(name.file).stem) for name in names]
    photos = PhotoIndex(root).find(names) if names else []
    return [
        PhotoEntry(photo, split, source=f"{name.file}, {name.where}")
        for photo, split, name in zip(photos, splits, names, strict=True)
        if photo and photo in labelled and split != split_of(photo, root)
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8-sig", "surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"{path}: the list of photos cannot be read ({error}); copy it again") from error


def _owners(root: Path, found: list[Problem]) -> dict[Path, list[Path]]:
    """Map each label file to its photos. A similar name counts as a match if there is no exact match."""
    photos = list_photos(root)
    owners: dict[Path, list[Path]] = defaultdict(list)
    for photo in photos:
        for labels in _label_paths(photo, root):
            if labels.is_file() and _has_labels(labels):
                owners[labels].append(photo)
    labelled = {photo for each in owners.values() for photo in each}
    left = {spelling_key(str(path)): path for path in sorted(_all_label_files(root) - set(owners))}
    for photo in photos if left else ():
        for labels in _label_paths(photo, root):
            if photo not in labelled and (path := left.get(spelling_key(str(labels)))):
                owners[path].append(photo)
                if not is_same_name(str(path), str(labels)):
                    text = f"was used as the labels of {relative_name(photo, root)}"
                    found.append(Problem(problems.SIMILAR_NAME, relative_name(path, root), "", text))
    return owners


def _label_paths(photo: Path, root: Path) -> list[Path]:
    """Return possible paths of a photo's label file, which is next to it or in "labels" instead of "images".

    Its name is the photo's name with .txt instead of the suffix or after the suffix.
    """
    paths = [photo]
    parts = list(photo.relative_to(root).parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == "images":
            parts[position] = "labels"
            paths.append(root.joinpath(*parts))
            break
    return [path.with_name(name) for path in paths for name in (f"{path.stem}.txt", f"{path.name}.txt")]


def _all_label_files(root: Path) -> set[Path]:
    """Find the label files: the .txt files below "labels" or "obj_…_data" folders, except known lists."""
    folders = {
        path.parent
        for path in root.rglob("*.[tT][xX][tT]")
        for part in path.relative_to(root).parts[:-1]
        if part.lower() == "labels" or (part.startswith("obj_") and part.endswith("_data"))
    }
    return {path for folder in folders for path in folder.glob("*.[tT][xX][tT]") if _has_labels(path)}


def _has_labels(path: Path) -> bool:
    """Whether a text file has labels. For example, test.txt may list photos or label test.jpg."""
    if path.name not in _NO_LABELS:
        return True
    line = head_of(path).partition(b"\n")[0].decode("utf-8", "replace").split()
    return len(line) >= _FEWEST_FIELDS and all(number_of(field) is not None for field in line)


class _LabelFile:
    """The shapes and problems of one label file."""

    def __init__(self, path: Path, classes: ClassList, root: Path) -> None:
        self.root = root
        self.name = relative_name(path, root)
        self.names = classes.names
        self.keypoints = classes.keypoints
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
            if len(fields) > _FEWEST_FIELDS and (self.keypoints or _is_pose(fields[1:])):
                raise GeometryError(problems.UNSUPPORTED, "has keypoints, which mark no area; dropped")
            self.shapes.append(Shape(class_name, _geometry(fields[1:]), self.name, where))
        except GeometryError as error:
            self.problems.append(Problem(error.kind, self.name, where, str(error)))
            self.lost.add(class_name or UNKNOWN_CLASS)

    def entries(self, photos: Sequence[Path]) -> list[PhotoEntry]:
        """Return an entry for each photo of the file. If there are several photos, its labels are dropped."""
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


def _is_pose(fields: Sequence[str]) -> bool:
    """Check whether a line has a box and keypoints with visibility flags, instead of an outline.

    Then, every third value after the box is 0, 1 or 2, and the box contains all keypoints that have a
    position.
    """
    if len(fields) % 3 != 1:
        return False
    numbers = np.array([number_of(field) for field in fields], np.float64)  # None becomes NaN
    points = numbers[4:].reshape(-1, 3)
    placed = points[points[:, :2].any(axis=1), :2]
    inside = np.abs(placed - numbers[:2]) <= numbers[2:4] / 2 + _SLACK
    return bool(np.isin(points[:, 2], (0, 1, 2)).all() and inside.all())


def _geometry(fields: Sequence[str]) -> Geometry:
    if len(fields) != 4:
        return Outline((read_ring(fields),), relative=True)
    x, y, width, height = read_numbers(fields)
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2, relative=True)
