"""Read LabelMe exports: one JSON file per photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import Export, ReadOptions, list_files
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.formats.photo_files import PhotoFile, combine
from drywallqa.formats.rings import ellipse_ring, read_points
from drywallqa.formats.stored_masks import decode_picture, paste_mask, runs_of
from drywallqa.formats.text_files import list_of, load_json, load_lines, mapping_of, read_heads
from drywallqa.formats.values import class_name, is_true
from drywallqa.imaging.photos import MAX_PIXELS

CLASS_LIST = "labels.txt"
"""The file that LabelMe's option --labels reads."""

_NO_CLASSES = frozenset({"__ignore__", "_background_"})


def find_labelme_files(root: Path) -> list[Path]:
    """List the LabelMe files of an export: JSON objects with "shapes"."""
    marks = (b'"imagePath"', b'"shape_type"', b'"points"', b'"imageData"')
    return [
        path
        for path, head in read_heads(root, ".json")
        if head.startswith(b"{") and b'"shapes"' in head and any(mark in head for mark in marks)
    ]


def read_labelme(root: Path, options: ReadOptions) -> Export:
    """Read all LabelMe files of an export.

    LabelMe files do not list the classes that the annotator could choose. A class without a shape is
    therefore unknown, unless a labels.txt above the file lists it, or the user states that all photos are
    fully labelled.

    Args:
        root: The export's folder.
        options: The option `fully_labelled` states that all photos are fully labelled.

    Raises:
        DataError: A list of classes cannot be read.
    """
    lists = {path for path in list_files(root) if path.name == CLASS_LIST}
    listed = {path.parent: _read_classes(path) for path in lists}

    def declared(file: PhotoFile, classes: frozenset[str]) -> frozenset[str]:
        return classes if options.fully_labelled else _classes_above(file.path, root, listed)

    files = [_read_file(PhotoFile(root, path)) for path in find_labelme_files(root)]
    return combine("labelme", root, options, files, declared, frozenset().union(*listed.values()), lists)


def _read_classes(path: Path) -> frozenset[str]:
    lines = load_lines(path, "the class names", "save the file as UTF-8 text")
    return frozenset(line.strip() for line in lines if line.strip()) - _NO_CLASSES


def _classes_above(path: Path, root: Path, listed: Mapping[Path, frozenset[str]]) -> frozenset[str]:
    """Return the classes of the nearest list above a label file, or no classes if there is no list."""
    folders = [folder for folder in path.parents if folder in listed and folder.is_relative_to(root)]
    return listed[folders[0]] if folders else frozenset()


def _read_file(file: PhotoFile) -> PhotoFile:
    try:
        data = mapping_of(load_json(file.path, "export it again"))
    except DataError as error:
        file.damaged(error)
        return file
    file.name_photo(data.get("imagePath"), file.path.parent, file.root)
    file.read_size(data.get("imageHeight"), data.get("imageWidth"))
    if file.photo and data.get("imageData"):
        file.without_photo = (
            f"{file.photo.name} is stored inside this file (imageData); write the picture next to it with "
            "`labelme_export_json`, and import again"
        )
    file.tags = {name for name, holds in mapping_of(data.get("flags")).items() if is_true(holds)}
    shapes = data.get("shapes")
    if not isinstance(shapes, list):
        file.lose("", problems.MALFORMED, "", "'shapes' is not a list; the labels of its photo are unknown")
    for position, shape in enumerate(list_of(shapes), 1):
        content = mapping_of(shape)
        label = (class_name(content.get("label")) or "").strip()
        file.add(label, f"shape no. {position}", partial(_geometry, content, label, file.size))
    return file


def _geometry(shape: Mapping[str, Any], label: str, size: tuple[int, int] | None) -> Geometry:
    kind = str(shape.get("shape_type") or "polygon")  # versions before 3.9 have only polygons
    if kind not in _READERS:
        text = f"a {kind} with the label '{label}' encloses no pixels; dropped"
        raise GeometryError(problems.UNSUPPORTED, text)
    return _READERS[kind](shape, size)


def _polygon(shape: Mapping[str, Any], size: tuple[int, int] | None) -> Geometry:
    return Outline((read_points(shape.get("points")),))


def _rectangle(shape: Mapping[str, Any], size: tuple[int, int] | None) -> Geometry:
    """Read a box from two opposite corners in any order, or from all four corners (X-AnyLabeling)."""
    if len(list_of(shape.get("points"))) == 4:
        return _polygon(shape, size)
    points = read_points(shape.get("points"), exactly=2)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Box(left, top, right, bottom)


def _circle(shape: Mapping[str, Any], size: tuple[int, int] | None) -> Geometry:
    """Read a circle from its centre and a point on it."""
    centre, edge = read_points(shape.get("points"), exactly=2)
    radius = float(np.linalg.norm(edge - centre))
    return Outline((ellipse_ring((float(centre[0]), float(centre[1])), (radius, radius)),))


def _mask(shape: Mapping[str, Any], size: tuple[int, int] | None) -> Geometry:
    """Read a mask from a picture and two corners of its box. The box includes the pixels at both corners."""
    corners = read_points(shape.get("points"), exactly=2)
    if not (np.abs(corners) <= MAX_PIXELS).all():
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a valid number; dropped")
    left, top = corners.min(axis=0).astype(int).tolist()
    part = decode_picture(shape.get("mask"))
    columns, rows = (np.ptp(corners, axis=0).astype(int) + 1).tolist()
    if abs(part.shape[0] - rows) > 1 or abs(part.shape[1] - columns) > 1:
        text = f"the mask has {part.shape[1]}×{part.shape[0]} px, its box {columns}×{rows}; dropped"
        raise GeometryError(problems.SIZE, text)
    return runs_of(lambda height, width: paste_mask(part, left, top, height, width), size)


_READERS: Mapping[str, Callable[[Mapping[str, Any], tuple[int, int] | None], Geometry]] = {
    "polygon": _polygon,
    "rotation": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "mask": _mask,
}
