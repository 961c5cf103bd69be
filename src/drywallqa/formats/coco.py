"""Read COCO exports from Roboflow, CVAT and Label Studio, with boxes, polygons and both kinds of RLE."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import (
    UNKNOWN_CLASS,
    Export,
    PhotoEntry,
    ReadOptions,
    Shape,
    relative_name,
    split_of,
    split_word,
)
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline, Runs
from drywallqa.formats.photo_index import PhotoIndex, PhotoName
from drywallqa.formats.problems import Problem
from drywallqa.formats.rings import box_ring, read_numbers, read_ring, turn_points
from drywallqa.formats.text_files import load_json, mapping_of, read_heads
from drywallqa.formats.values import class_name, identifier, is_true, size_of, whole_number


def find_coco_files(root: Path) -> list[Path]:
    """List the COCO annotation files of an export. They are JSON files with "images" and "annotations"."""
    return [path for path, head in read_heads(root, ".json") if _looks_like_coco(path, head)]


def _looks_like_coco(path: Path, head: bytes) -> bool:
    named = path.name.startswith(("_annotations", "instances_")) or path.name == "result.json"
    annotations = b'"annotations"' in head and (b'"image_id"' in head or b'"category_id"' in head)
    return head.startswith(b"{") and (named or annotations or bool(re.search(rb'"images"\s*:\s*[\[{]', head)))


def read_coco(root: Path, options: ReadOptions) -> Export:
    """Read all COCO files of an export.

    Args:
        root: The export's folder.
        options: The options, which can include a folder to search for further photos.

    Raises:
        DataError: A file is not a COCO file.
    """
    files = [_CocoFile(root, path) for path in find_coco_files(root)]
    index = PhotoIndex(root, options.photos)
    names = [file.names() for file in files]
    paths = iter(index.find([name for own in names for name in own]))
    entries = [
        entry
        for file, own in zip(files, names, strict=True)
        for entry in file.entries([next(paths) for _ in own])
    ]
    found = [problem for file in files for problem in file.problems]
    classes = {name for file in files for name in file.classes.values()} - {UNKNOWN_CLASS}
    return Export(
        root,
        "coco",
        tuple(entries),
        (*found, *index.problems),
        tuple(sorted(classes)),
        frozenset(file.path for file in files),
    )


class _CocoFile:
    """One COCO file.

    Attributes:
        path: The file.
        problems: Problems found so far.
        classes: Category id → class name. The name is `UNKNOWN_CLASS` if the file gives an id two names.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self.root = root
        self.path = path
        self.name = relative_name(path, root)
        self.problems: list[Problem] = []
        data = _load(path)
        self.classes = self._read_classes(data["categories"])
        self._images = self._read_images(data["images"])
        self._owners: dict[int | str, set[str]] = defaultdict(set)  # names of the photos that use an id
        for image_id, image in self._images:
            self._owners[image_id].add(image["file_name"])
        self._shapes: dict[int | str, list[Shape]] = defaultdict(list)
        self._lost: dict[int | str, set[str]] = defaultdict(set)
        self._unassigned: set[str] = set()  # classes of annotations without a known photo
        for position, annotation in enumerate(data["annotations"], 1):
            self._read_annotation(position, annotation)

    def names(self) -> list[PhotoName]:
        """Return the photos' names in the order of the images."""
        return [
            PhotoName(image["file_name"], tuple(self._folders()), self.name, f"image id {image_id}")
            for image_id, image in self._images
        ]

    def entries(self, paths: Iterable[Path | None]) -> list[PhotoEntry]:
        """Return an entry for each image whose photo was found.

        An image that COCO Annotator marks as not annotated yet declares no class.

        Args:
            paths: Path of each image's photo in the order of `names`, or None if the photo was not found.
        """
        split = split_of(self.path, self.root) or split_word(self.path.stem)
        declared = frozenset(self.classes.values()) - {UNKNOWN_CLASS}
        return [
            PhotoEntry(
                path,
                split or split_of(path, self.root),
                tuple(self._shapes[image_id]),
                frozenset() if not is_true(image.get("annotated", True)) else declared,
                frozenset(self._lost[image_id] | self._unassigned | _nested(image)),
                size_of(image.get("height"), image.get("width")),
                f"{self.name}, image id {image_id}",
            )
            for (image_id, image), path in zip(self._images, paths, strict=True)
            if path
        ]

    def _folders(self) -> Iterable[Path]:
        subset = split_word(self.path.stem) or ""
        for base in dict.fromkeys((self.path.parent, self.path.parent.parent, self.root)):
            yield from (base, base / "images", base / "images" / subset, base / subset)

    def _report(self, kind: str, where: str, text: str) -> None:
        self.problems.append(Problem(kind, self.name, where, text))

    def _read_classes(self, categories: list[Any]) -> dict[int | str, str]:
        classes: dict[int | str, str] = {}
        for position, entry in enumerate(categories, 1):
            key, name = _id_and(entry, "name")
            if key is None or name is None:
                text = "the category has no id or no name; its annotations are dropped"
                self._report(problems.MALFORMED, f"category no. {position}", text)
            elif classes.setdefault(key, name) != name:
                text = f"the id has the names '{classes[key]}' and '{name}'; its annotations are dropped"
                self._report(problems.DUPLICATE, f"category id {key}", text)
                classes[key] = UNKNOWN_CLASS
        return classes

    def _read_images(self, images: list[Any]) -> list[tuple[int | str, dict[str, Any]]]:
        found: dict[tuple[int | str, str], dict[str, Any]] = {}
        names: dict[int | str, str] = {}
        for position, entry in enumerate(images, 1):
            key, name = _id_and(entry, "file_name")
            if key is None or name is None:
                self._report(
                    problems.MALFORMED,
                    f"image no. {position}",
                    "the image has no id or no file_name; skipped",
                )
                continue
            if names.setdefault(key, name) != name:
                text = f"the id belongs to {names[key]} and {name}; its annotations are dropped"
                self._report(problems.DUPLICATE, f"image id {key}", text)
            if not is_true(entry.get("annotated", True)):
                text = "is marked as not annotated yet; classes without a shape are unknown"
                self._report(problems.MISSING_LABELS, f"image id {key}", text)
            if _nested(entry):
                text = "the image entry contains annotations, which COCO does not know; dropped"
                self._report(problems.UNSUPPORTED, f"image id {key}", text)
            self.problems += problems.unread_size(
                entry.get("height"), entry.get("width"), self.name, f"image id {key}"
            )
            found.setdefault((key, name), {**entry, "file_name": name})
        return [(key, image) for (key, _), image in found.items()]

    def _read_annotation(self, position: int, entry: object) -> None:
        where = f"annotation no. {position}"
        if not isinstance(entry, dict):
            self._unassigned.add(UNKNOWN_CLASS)
            self._report(problems.MALFORMED, where, "the annotation is not an object; dropped")
            return
        where = f"annotation id {entry['id']}" if entry.get("id") is not None else where
        image_id, category = identifier(entry.get("image_id")), identifier(entry.get("category_id"))
        name = UNKNOWN_CLASS if category is None else self.classes.get(category, UNKNOWN_CLASS)
        if image_id is None or image_id not in self._owners:
            self._unassigned.add(name)
            text = f"the file has no image with the id {entry.get('image_id')}; dropped"
            self._report(problems.WRONG_ID, where, text)
        elif name == UNKNOWN_CLASS or len(self._owners[image_id]) > 1:
            self._lost[image_id].add(name)
            text = f"the file has no category with the id {entry.get('category_id')}; dropped"
            if name != UNKNOWN_CLASS:
                text = (
                    f"image_id {image_id} belongs to {' and '.join(sorted(self._owners[image_id]))}; dropped"
                )
            self._report(problems.WRONG_ID, where, text)
        else:
            try:
                geometry, lost_rings = _geometry(entry)
                self._shapes[image_id].append(Shape(name, geometry, self.name, where))
            except GeometryError as error:
                lost_rings = [error]
            for each in lost_rings:
                self._lost[image_id].add(name)
                self._report(each.kind, where, str(each))


def _load(path: Path) -> dict[str, Any]:
    remedy = "export the data set again as COCO"
    data = load_json(path, remedy)
    if not isinstance(data, dict):
        raise DataError(f"{path}: not a COCO file, because it is not a JSON object; {remedy}")
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list):
            raise DataError(f"{path}: not a COCO file, because the list '{key}' is missing; {remedy}")
    return data


def _nested(image: dict[str, Any]) -> set[str]:
    """Return `UNKNOWN_CLASS` if an image entry contains annotations, which COCO stores in a separate list."""
    return {UNKNOWN_CLASS} if image.get("annotations") else set()


def _id_and(entry: object, key: str) -> tuple[int | str | None, str | None]:
    """Return an entry's id and the name stored under a key, or None for a missing value."""
    if not isinstance(entry, dict):
        return None, None
    return identifier(entry.get("id")), class_name(entry.get(key))


def _geometry(entry: dict[str, Any]) -> tuple[Geometry, list[GeometryError]]:
    """Return the segmentation, or the box if there is none, and an error for each damaged ring."""
    for flag in ("ignore", "deleted"):
        if is_true(entry.get(flag)):
            raise GeometryError(problems.UNSUPPORTED, f"the annotation is marked as '{flag}'; dropped")
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        return _runs(segmentation), []
    if isinstance(segmentation, list) and segmentation:
        return _outline(segmentation if isinstance(segmentation[0], list) else [segmentation])
    if segmentation not in (None, []):
        text = f"the segmentation has the unknown type {type(segmentation).__name__}; dropped"
        raise GeometryError(problems.MALFORMED, text)
    numbers = read_numbers(entry.get("bbox"))
    if len(numbers) != 4:
        text = "the annotation has no segmentation and no bbox of four numbers; dropped"
        raise GeometryError(problems.MALFORMED, text)
    left, top, width, height = numbers
    (degrees,) = read_numbers([mapping_of(entry.get("attributes")).get("rotation") or 0])
    if degrees:  # CVAT writes a turned box as an upright one and its rotation
        ring = box_ring(left, top, left + width, top + height)
        return Outline((turn_points(ring, (left + width / 2, top + height / 2), degrees),)), []
    return Box(left, top, left + width, top + height), []


def _outline(rings: list[Any]) -> tuple[Outline, list[GeometryError]]:
    good, bad = [], []
    for number, ring in enumerate(rings, 1):
        try:
            good.append(read_ring(ring))
        except GeometryError as error:
            which = f"ring {number} of {len(rings)}: " if len(rings) > 1 else ""
            bad.append(GeometryError(error.kind, which + str(error)))
    if not good:
        raise bad[0]
    return Outline(tuple(good)), bad


def _runs(segmentation: dict[str, Any]) -> Runs:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    sides = [whole_number(side) for side in size] if isinstance(size, list) else []
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        raise GeometryError(problems.MALFORMED, "run lengths without a size of two whole numbers; dropped")
    if isinstance(counts, str):
        return Runs(counts, sides[0], sides[1])
    if not isinstance(counts, list):
        raise GeometryError(problems.MALFORMED, "run lengths without counts; dropped")
    runs = [run for run in map(whole_number, counts) if run is not None]
    if len(runs) != len(counts):
        raise GeometryError(problems.MALFORMED, "a run length is not a whole number; dropped")
    return Runs(tuple(runs), sides[0], sides[1])
