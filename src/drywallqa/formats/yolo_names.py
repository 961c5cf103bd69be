"""Read the class names of YOLO exports, and whether their label files contain keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.errors import DataError
from drywallqa.formats.annotations import relative_name
from drywallqa.formats.text_files import list_of, load_json, mapping_of
from drywallqa.formats.values import class_name, whole_number

CLASS_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.names", "classes.txt")
NOTES = "notes.json"
"""The file in which Label Studio repeats the class names of `classes.txt`."""

_POSE = frozenset({"kpt_shape", "kpt_names", "flip_idx"})
_REMEDY = "correct the file or export it again"


@dataclass(frozen=True)
class ClassList:
    """The name of each class number, and whether the lines of label files end with keypoints (YOLO pose)."""

    names: Mapping[int, str]
    keypoints: bool = False


def class_list_above(folder: Path, root: Path) -> ClassList:
    """Read the class names of a label file from its closest parent folder, or the export's only list.

    Raises:
        DataError: The list is missing or cannot be read, or two lists in one folder contradict each other.
    """
    for parent in (folder, *folder.parents):
        if not parent.is_relative_to(root):
            break
        if paths := [path for name in (*CLASS_FILES, NOTES) if _is_list(path := parent / name)]:
            return _read_agreeing(paths)
    lists = [path for name in (*CLASS_FILES, NOTES) for path in sorted(root.rglob(name)) if _is_list(path)]
    if len(lists) == 1:
        return read_class_list(lists[0])
    where = relative_name(folder, root)
    if lists:
        listed = ", ".join(relative_name(path, root) for path in lists[:3])
        raise DataError(f"{root}: no list of class names lies above {where} (found {listed}); copy one there")
    raise DataError(
        f"{root}: no file with class names; add one of {', '.join(CLASS_FILES)} to the YOLO export"
    )


def _is_list(path: Path) -> bool:
    """Whether a file has class names. A file of notes may contain something else."""
    return path.is_file() and (path.name != NOTES or "categories" in mapping_of(load_json(path, _REMEDY)))


def _read_agreeing(paths: list[Path]) -> ClassList:
    first, *others = map(read_class_list, paths)
    for path, other in zip(paths[1:], others, strict=True):
        for number in sorted(first.names.keys() & other.names.keys()):
            if first.names[number].strip() != other.names[number].strip():
                raise DataError(
                    f"{paths[0]} names class {number} '{first.names[number]}', but {path.name} names it "
                    f"'{other.names[number]}'; remove the wrong list"
                )
    return first


def read_class_list(path: Path) -> ClassList:
    """Read the class names and their numbers from data.yaml, obj.names, classes.txt or notes.json.

    Raises:
        DataError: The file has no names or cannot be read.
    """
    try:
        if path.name == NOTES:
            found = ClassList(_from_categories(load_json(path, _REMEDY)["categories"]))
        else:
            text = path.read_text(encoding="utf-8-sig")
            found = _from_yaml(text) if path.suffix in {".yaml", ".yml"} else ClassList(_from_lines(text))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: the class names cannot be read ({error}); {_REMEDY}") from error
    if not found.names:
        raise DataError(f"{path}: no class names found; write them as: names: ['crack', 'seam']")
    return found


def _from_lines(text: str) -> dict[int, str]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        raise ValueError(f"line {lines.index('') + 1} is empty, so the next class numbers are unclear")
    return dict(enumerate(lines))


def _from_categories(categories: object) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in map(mapping_of, list_of(categories)):
        number, name = whole_number(entry.get("id")), class_name(entry.get("name"))
        if number is None or name is None or found.setdefault(number, name) != name:
            raise ValueError(f"the category {dict(entry)} has no id, no name, or the id of another category")
    return found


def _from_yaml(text: str) -> ClassList:
    """Read `names`, a list or a mapping from numbers to names. Even a name such as "no" is a string.

    Raises:
        ValueError: The text is not valid YAML, or a class number is not an integer or has two names.
    """
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        data = yaml.load(text, Loader=yaml.BaseLoader)  # creates only lists, mappings and strings
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if not isinstance(data, dict):
        return ClassList({})
    _check_keys(node)
    names = data.get("names") or []
    if isinstance(names, str):
        raise ValueError(f"names is the text '{names}' instead of a list such as ['{names}']")
    pairs = dict(names.items() if isinstance(names, dict) else enumerate(names))
    if wrong := next((name for name in pairs.values() if not isinstance(name, str)), None):
        raise ValueError(f"the class name {wrong} is not a text")
    return ClassList(
        {int(number): name for number, name in pairs.items() if name.strip()}, not _POSE.isdisjoint(data)
    )


def _check_keys(node: Any) -> None:
    """Reject duplicate keys in a mapping and in its `names`, because YAML would keep only the last one."""
    keys = [key.value for key, _ in node.value]
    for key, value in node.value:
        if keys.count(key.value) > 1:
            raise ValueError(f"'{key.value}' occurs twice")
        if key.value == "names" and value.id == "mapping":
            _check_keys(value)
