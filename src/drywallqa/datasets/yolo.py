"""Read YOLO exports from Roboflow, CVAT and Label Studio, in which each line is a box or a polygon."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drywallqa.datasets import problems
from drywallqa.datasets.annotations import (
    UNKNOWN_CLASS,
    Export,
    LabelledPhoto,
    Shape,
    list_photos,
    relative_name,
    split_of,
)
from drywallqa.datasets.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.datasets.problems import Problem
from drywallqa.errors import DataError

_CLASS_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.names", "classes.txt")
_NO_LABELS = frozenset({"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt"})


def read_yolo(root: Path) -> Export:
    """Read a YOLO export.

    Args:
        root: The export's folder.

    Raises:
        DataError: The list of class names is missing or cannot be read.
    """
    names = read_class_names(root)
    found: list[Problem] = []
    label_files = {path: _label_file(path, root) for path in list_photos(root)}
    photos = [_read_photo(path, labels, names, root, found) for path, labels in label_files.items()]
    for labels in sorted(_all_label_files(root) - set(label_files.values())):
        text = "the label file has no photo; skipped"
        found.append(Problem(problems.MISSING_PHOTO, relative_name(labels, root), "", text))
    return Export(root, "yolo", tuple(photos), tuple(found), tuple(names[key] for key in sorted(names)))


def has_yolo_labels(root: Path) -> bool:
    """Check whether a folder contains a photo with a YOLO label file."""
    return any(_label_file(path, root).is_file() for path in list_photos(root)[:50])


def _label_file(photo: Path, root: Path) -> Path:
    """Return the path of a photo's label file, in "labels" instead of "images", or next to the photo."""
    parts = list(photo.relative_to(root).parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == "images":
            parts[position] = "labels"
            return root.joinpath(*parts).with_suffix(".txt")
    return photo.with_suffix(".txt")


def _all_label_files(root: Path) -> set[Path]:
    """Find all label files. These are .txt files below "labels" or "obj_…_data", except lists of files."""
    folders = {
        path.parent
        for path in root.rglob("*.txt")
        for part in path.relative_to(root).parts[:-1]
        if part == "labels" or (part.startswith("obj_") and part.endswith("_data"))
    }
    return {path for folder in folders for path in folder.glob("*.txt") if path.name not in _NO_LABELS}


def read_class_names(root: Path) -> dict[int, str]:
    """Read the class number → class name mapping of an export from data.yaml, obj.names or classes.txt.

    Raises:
        DataError: The file with the class names is missing or cannot be read.
    """
    for name in _CLASS_FILES:
        for path in sorted(root.rglob(name), key=lambda path: (len(path.parts), path)):
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
    raise DataError(
        f"{root}: no file with class names; add one of {', '.join(_CLASS_FILES)} to the YOLO export"
    )


def _names_of_yaml(text: str) -> dict[int, str] | list[str]:
    """Read the list or mapping `names` from YAML. Every value is read as a string, even a name such as "no".

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


def _read_photo(
    photo: Path, labels: Path, names: dict[int, str], root: Path, found: list[Problem]
) -> LabelledPhoto:
    split, name = split_of(photo, root), relative_name(labels, root)
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        text = f"the label file {name} is missing; the photo counts as unlabelled"
        found.append(Problem(problems.MISSING_LABELS, relative_name(photo, root), "", text))
        return LabelledPhoto(photo, split, (), labelled=False)
    except (OSError, ValueError) as error:
        text = f"the label file cannot be read ({error}); the photo counts as unlabelled"
        found.append(Problem(problems.UNREADABLE, name, "", text))
        return LabelledPhoto(photo, split, (), labelled=False)
    shapes: list[Shape] = []
    dropped: set[str] = set()
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        class_name = names.get(_class_number(fields[0]))
        try:
            if class_name is None:
                text = f"the export has {len(names)} classes, but no class {fields[0]}; dropped"
                raise GeometryError(problems.WRONG_ID, text)
            shapes.append(Shape(class_name, _geometry(fields[1:]), name, f"line {number}"))
        except GeometryError as error:
            found.append(Problem(error.kind, name, f"line {number}", str(error)))
            dropped.add(class_name or UNKNOWN_CLASS)
    return LabelledPhoto(photo, split, tuple(shapes), dropped=frozenset(dropped))


def _class_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1


def _geometry(fields: list[str]) -> Geometry:
    try:
        numbers = [float(field) for field in fields]
    except ValueError as error:
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a number; dropped") from error
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
