"""Read mask files: Roboflow semantic masks, CVAT segmentation mask 1.1, and plain images/ and masks/."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from drywallqa.formats.geometry import Geometry, Layer, read_pixels
from drywallqa.formats.problems import Problem

ONLY_CLASS = "mask"
"""The class of plain masks that are not in a folder named after a class."""

_ROBOFLOW, _CVAT = "_classes.csv", "labelmap.txt"
_BACKGROUND = frozenset({"background", "_background_", "unlabeled", "unlabelled"})

Values = Mapping[str, int | tuple[int, int, int]]


def find_mask_files(root: Path) -> set[Path]:
    """List the mask files and class tables of the three layouts."""
    tables = {path for name in (_ROBOFLOW, _CVAT) for path in root.rglob(name)}
    masks = {path for table in tables for path in list_photos(table.parent) if path.stem.endswith("_mask")}
    masks |= {path for table in tables for path in list_photos(table.parent / "SegmentationClass")}
    lists = {path for table in tables for path in (table.parent / "ImageSets").rglob("*.txt")}
    plain = {path for folder in _plain_folders(root) for path in list_photos(folder / "masks")}
    return tables | masks | lists | plain


def read_mask_folders(root: Path, options: ReadOptions) -> Export:
    """Read folders of mask files.

    Args:
        root: The export's folder.
        options: The meaning of values, and whether masks are inverted.

    Raises:
        DataError: The table of classes cannot be read.
    """
    found: list[Problem] = []
    photos: list[PhotoEntry] = []
    declared: set[str] = set()
    for table in sorted(root.rglob(_ROBOFLOW)):
        values = _roboflow_classes(table)
        declared |= set(values)
        photos += _read_roboflow(table.parent, values, root, found)
    for table in sorted(root.rglob(_CVAT)):
        colours = _labelmap(table)
        declared |= set(colours)
        photos += _read_cvat(table.parent, colours, root, found)
    if not photos:
        for folder in _plain_folders(root):
            photos += _read_plain(folder, root, found)
            masks = folder / "masks"
            declared |= {_place(path.relative_to(masks))[0] for path in list_photos(masks)}
    return Export(
        root, "masks", tuple(photos), tuple(found), tuple(sorted(declared)), frozenset(find_mask_files(root))
    )


def _shapes(
    mask: Path, values: Values, root: Path, found: list[Problem]
) -> tuple[tuple[Shape, ...], set[str]]:
    """Return a shape for each class in a mask file, and the classes that could not be determined."""
    name = relative_name(mask, root)
    coloured = any(isinstance(value, tuple) for value in values.values())
    try:
        pixels = read_pixels(mask, colours=coloured)
    except (OSError, ValueError, SyntaxError) as error:
        text = f"the mask file cannot be read ({error}); the photo counts as unlabelled"
        found.append(Problem(problems.UNREADABLE, name, "", text))
        return (), {UNKNOWN_CLASS}
    flat = pixels.reshape(-1, 3) @ np.array([65536, 256, 1]) if coloured else pixels.reshape(-1)
    present = set(np.unique(flat).tolist())
    keys = {key: _number(value) for key, value in values.items()}
    unknown = present - set(keys.values()) - {0}
    if unknown:
        listed = ", ".join(_name_value(value, coloured) for value in sorted(unknown)[:5])
        text = f"the values {listed} do not belong to a class; these pixels are ignored"
        found.append(Problem(problems.WRONG_ID, name, f"value {_name_value(min(unknown), coloured)}", text))
    shapes = tuple(
        Shape(key, Layer(mask, values[key]), name, f"class {key}")
        for key in values
        if key.lower() not in _BACKGROUND and keys[key] in present
    )
    return shapes, {UNKNOWN_CLASS} if unknown else set()


def _number(value: int | tuple[int, int, int]) -> int:
    return value if isinstance(value, int) else value[0] * 65536 + value[1] * 256 + value[2]


def _name_value(value: int, coloured: bool) -> str:
    return f"#{value:06x}" if coloured else str(value)


def _roboflow_classes(table: Path) -> dict[str, int]:
    try:
        rows = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True))
        return {row[1].strip(): int(row[0]) for row in rows[1:] if row}
    except (OSError, ValueError, IndexError) as error:
        raise DataError(
            f"{table}: not a table of 'Pixel Value, Class' ({error}); export the data set again"
        ) from error


def _read_roboflow(folder: Path, values: Values, root: Path, found: list[Problem]) -> Iterable[PhotoEntry]:
    paths = [path for path in list_photos(folder) if path.parent == folder]
    masks = {path.stem.removesuffix("_mask"): path for path in paths if path.stem.endswith("_mask")}
    photos = [path for path in paths if not path.stem.endswith("_mask")]
    return _pair(photos, masks, values, root, found)


def _labelmap(table: Path) -> dict[str, tuple[int, int, int]]:
    remedy = "a line must have the form name:red,green,blue:parts:actions"
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{table}: cannot be read ({error}); {remedy}") from error
    colours = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, colour = line.split(":")[:2]
            red, green, blue = (int(part) for part in colour.split(","))
        except ValueError as error:
            raise DataError(f"{table}, line {number}: invalid; {remedy}") from error
        colours[name] = (red, green, blue)
    return colours


def _read_cvat(folder: Path, colours: Values, root: Path, found: list[Problem]) -> Iterable[PhotoEntry]:
    masks_folder, photos_folder = folder / "SegmentationClass", folder / "JPEGImages"
    masks = {_stem(path, masks_folder): path for path in list_photos(masks_folder)}
    photos = list_photos(photos_folder)
    splits = {}
    for listing in sorted((folder / "ImageSets" / "Segmentation").glob("*.txt")):
        for line in listing.read_text(encoding="utf-8-sig").splitlines():
            splits[line.strip()] = split_word(listing.stem)
    paired = _pair(photos, masks, colours, root, found, photos_folder)
    return [
        replace(photo, split=splits.get(_stem(photo.path, photos_folder)) or photo.split) for photo in paired
    ]


def _stem(path: Path, folder: Path) -> str:
    """Return a file's path below a folder, without suffix; CVAT keeps the same subfolders in both trees."""
    return path.relative_to(folder).with_suffix("").as_posix()


def _pair(
    photos: list[Path],
    masks: dict[str, Path],
    values: Values,
    root: Path,
    found: list[Problem],
    folder: Path | None = None,
) -> list[PhotoEntry]:
    result, used = [], set()
    for path in photos:
        key = _stem(path, folder) if folder else path.stem
        mask = masks.get(key)
        if mask is None:
            continue
        used.add(key)
        shapes, dropped = _shapes(mask, values, root, found)
        declared = frozenset(key for key in values if key.lower() not in _BACKGROUND)
        source = relative_name(mask, root)
        result.append(
            PhotoEntry(path, split_of(path, root), shapes, declared, frozenset(dropped), source=source)
        )
    for key in sorted(set(masks) - used):
        found.append(_without_photo(masks[key], root))
    return result


def _without_photo(mask: Path, root: Path) -> Problem:
    text = "the mask has no photo; skipped"
    return Problem(problems.MISSING_PHOTO, relative_name(mask, root), "", text)


def _plain_folders(root: Path) -> list[Path]:
    """List the folders that contain both images/ and masks/."""
    return sorted(
        path.parent for path in root.rglob("masks") if path.is_dir() and (path.parent / "images").is_dir()
    )


def _read_plain(folder: Path, root: Path, found: list[Problem]) -> list[PhotoEntry]:
    images, masks = folder / "images", folder / "masks"
    by_photo: dict[str, list[tuple[str, Path]]] = {}
    for path in list_photos(masks):
        class_name, key = _place(path.relative_to(masks))
        by_photo.setdefault(key, []).append((class_name, path))
    result = []
    for path in list_photos(images):
        named = by_photo.pop(_stem(path, images), None)
        if named is None:
            continue
        for class_name, mask in named:
            name = relative_name(mask, root)
            shape = Shape(class_name, Layer(mask, None), name, f"class {class_name}")
            shapes = () if _is_blank(shape.geometry) else (shape,)
            declared = frozenset({class_name})
            result.append(PhotoEntry(path, split_of(path, root), shapes, declared, source=name))
    found += [_without_photo(mask, root) for named in by_photo.values() for _, mask in named]
    return result


def _is_blank(geometry: Geometry) -> bool:
    """Check whether a mask file is readable and empty, which means that the class is not in the photo."""
    try:
        return isinstance(geometry, Layer) and not read_pixels(geometry.path, colours=False).any()
    except (OSError, ValueError, SyntaxError):
        return False  # reported later, when the mask is used


def _place(relative: Path) -> tuple[str, str]:
    """Infer a class and a photo from the path masks/[SPLIT/][CLASS/]NAME or masks/[CLASS/][SPLIT/]NAME."""
    folders = list(relative.parts[:-1])
    splits = [part for part in folders if split_word(part)]
    classes = [part for part in folders if not split_word(part)]
    stem = relative.stem.removesuffix("_mask")
    return (classes[0] if classes else ONLY_CLASS), "/".join([*splits, stem])
