"""Read COCO exports from Roboflow, CVAT and Label Studio, with boxes, polygons and both kinds of RLE."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

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
    split_word,
)
from drywallqa.datasets.geometry import Box, Geometry, GeometryError, Outline, Runs
from drywallqa.datasets.problems import Problem
from drywallqa.errors import DataError


def find_coco_files(root: Path) -> list[Path]:
    """List the COCO annotation files of an export. They are JSON files with "images" and "annotations"."""
    return [path for path in sorted(root.rglob("*.json")) if _looks_like_coco(path)]


def _looks_like_coco(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16).lstrip(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    named = path.name.startswith(("_annotations", "instances_")) or path.name == "result.json"
    return head.startswith(b"{") and (named or b'"images"' in head or b'"annotations"' in head)


def read_coco(root: Path) -> Export:
    """Read all COCO files of an export.

    Args:
        root: The export's folder.

    Raises:
        DataError: A file is not a COCO file.
    """
    files = find_coco_files(root)
    finder = _PhotoFinder(root)
    photos: list[LabelledPhoto] = []
    found: list[Problem] = []
    classes: set[str] = set()
    for path in files:
        reader = _File(root, path, finder)
        photos += reader.photos()
        found += reader.problems
        classes |= set(reader.classes.values())
    return Export(root, "coco", tuple(photos), tuple(found), tuple(sorted(classes)))


class _PhotoFinder:
    """Finds the photos that a COCO file lists, in the folder layouts of different export tools."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, file_name: str, annotations: Path) -> Path | None:
        relative = Path(*PureWindowsPath(file_name).parts) if "\\" in file_name else Path(file_name)
        subset = split_word(annotations.stem) or ""
        for folder in (
            annotations.parent,
            annotations.parent / "images",
            self.root,
            self.root / "images",
            self.root / "images" / subset,
            self.root / subset,
        ):
            candidate = folder / relative
            if candidate.is_file() and candidate.resolve().is_relative_to(self.root.resolve()):
                return candidate
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for path in list_photos(self.root):
                self._by_name[path.name].append(path)
        named = self._by_name.get(relative.name, [])
        return named[0] if len(named) == 1 else None


@dataclass
class _File:
    root: Path
    path: Path
    finder: _PhotoFinder
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = relative_name(self.path, self.root)
        self.data = self._load()
        self.classes = self._read_classes()

    def _load(self) -> dict[str, Any]:
        remedy = "export the data set again as COCO"
        try:
            data = json.loads(self.path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{self.path}: cannot be read as JSON ({error}); {remedy}") from error
        if not isinstance(data, dict):
            raise DataError(f"{self.path}: not a COCO file, because it is not a JSON object; {remedy}")
        for key in ("images", "annotations", "categories"):
            if not isinstance(data.get(key), list):
                raise DataError(
                    f"{self.path}: not a COCO file, because the list '{key}' is missing; {remedy}"
                )
        return data

    def _read_classes(self) -> dict[int, str]:
        classes: dict[int, str] = {}
        for position, entry in enumerate(self.data["categories"], 1):
            if not _has(entry, "name"):
                where = f"category no. {position}"
                self._report(problems.MALFORMED, where, "the category has no id or no name; skipped")
            elif classes.setdefault(entry["id"], entry["name"]) is not entry["name"]:
                where = f"category id {entry['id']}"
                self._report(problems.DUPLICATE, where, "the id has two names; the first name is used")
        return classes

    def _report(self, kind: str, where: str, text: str) -> None:
        self.problems.append(Problem(kind, self.name, where, text))

    def photos(self) -> list[LabelledPhoto]:
        """Match the images in the file with their annotations, and report missing or invalid entries."""
        entries = self._images()
        shapes, dropped = self._shapes(entries)
        split = split_of(self.path, self.root) or split_word(self.path.stem)
        result = []
        for image_id, entry in entries.items():
            path = self.finder.find(entry["file_name"], self.path)
            if path is None:
                text = f"the photo {entry['file_name']} is missing in the export; skipped"
                self._report(problems.MISSING_PHOTO, f"image id {image_id}", text)
                continue
            result.append(
                LabelledPhoto(
                    path,
                    split or split_of(path, self.root),
                    tuple(shapes[image_id]),
                    _declared_size(entry),
                    dropped=frozenset(dropped[image_id]),
                )
            )
        return result

    def _images(self) -> dict[int, dict[str, Any]]:
        entries: dict[int, dict[str, Any]] = {}
        for position, entry in enumerate(self.data["images"], 1):
            if not _has(entry, "file_name"):
                where = f"image no. {position}"
                self._report(problems.MALFORMED, where, "the image has no id or no file_name; skipped")
            elif (first := entries.setdefault(entry["id"], entry)) is not entry:
                names = f"{first['file_name']} and {entry['file_name']}"
                where = f"image id {entry['id']}"
                self._report(
                    problems.DUPLICATE, where, f"the id belongs to {names}; only the first is imported"
                )
        return entries

    def _shapes(
        self, entries: dict[int, dict[str, Any]]
    ) -> tuple[dict[int, list[Shape]], dict[int, set[str]]]:
        shapes: dict[int, list[Shape]] = defaultdict(list)
        dropped: dict[int, set[str]] = defaultdict(set)
        for position, entry in enumerate(self.data["annotations"], 1):
            if not isinstance(entry, dict):
                self._report(
                    problems.MALFORMED,
                    f"annotation no. {position}",
                    "the annotation is not an object; dropped",
                )
                continue
            has_id = entry.get("id") is not None
            where = f"annotation id {entry['id']}" if has_id else f"annotation no. {position}"
            image_id, class_id = entry.get("image_id"), entry.get("category_id")
            if not _is_id(image_id) or image_id not in entries:
                self._report(
                    problems.WRONG_ID, where, f"the file has no image with the id {image_id}; dropped"
                )
            elif not _is_id(class_id) or class_id not in self.classes:
                dropped[image_id].add(UNKNOWN_CLASS)
                self._report(
                    problems.WRONG_ID, where, f"the file has no category with the id {class_id}; dropped"
                )
            else:
                name = self.classes[class_id]
                try:
                    shapes[image_id].append(
                        Shape(name, _geometry(entry, entries[image_id]), self.name, where)
                    )
                except GeometryError as error:
                    dropped[image_id].add(name)
                    self._report(error.kind, where, str(error))
        return shapes, dropped


def _declared_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None


def _has(entry: object, key: str) -> bool:
    """Check whether an entry is a JSON object that has an id, and a string under the given key."""
    return isinstance(entry, dict) and _is_id(entry.get("id")) and isinstance(entry.get(key), str)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _geometry(entry: dict[str, Any], image: dict[str, Any]) -> Geometry:
    """Read one annotation. If its segmentation is empty, use its box."""
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        return _runs(segmentation)
    if isinstance(segmentation, list) and segmentation:
        rings = segmentation if isinstance(segmentation[0], list) else [segmentation]
        return Outline(tuple(_ring(ring) for ring in rings))
    numbers = _numbers(entry.get("bbox"))
    if len(numbers) != 4:
        raise GeometryError(
            problems.MALFORMED, "the annotation has no segmentation and no bbox of four numbers; dropped"
        )
    left, top, width, height = numbers
    return Box(left, top, left + width, top + height)


def _ring(values: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = _numbers(values)
    if len(numbers) % 2:
        raise GeometryError(
            problems.MALFORMED, f"the outline has an odd number of coordinates ({len(numbers)}); dropped"
        )
    if len(numbers) < 6:
        text = f"the outline has {len(numbers) // 2} points, but at least three are needed; dropped"
        raise GeometryError(problems.FEW_POINTS, text)
    return np.array(numbers, np.float64).reshape(-1, 2)


def _numbers(values: object) -> list[float]:
    if not isinstance(values, list):
        return []
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a number; dropped")
    return [float(value) for value in values]


def _runs(segmentation: dict[str, Any]) -> Runs:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)):
        raise GeometryError(problems.MALFORMED, "the run lengths have no size of two integers; dropped")
    if not isinstance(counts, str | list):
        raise GeometryError(problems.MALFORMED, "the run lengths have no counts; dropped")
    return Runs(counts if isinstance(counts, str) else tuple(counts), size[0], size[1])
