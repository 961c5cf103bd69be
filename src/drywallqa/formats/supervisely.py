"""Read Supervisely projects: one JSON file per photo, and the classes in meta.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import Export, ReadOptions, list_files
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline, fit_geometry, rasterise
from drywallqa.formats.outlines import draw_ring
from drywallqa.formats.photo_files import PhotoFile, combine
from drywallqa.formats.polygons import Points, crop_ring
from drywallqa.formats.rings import read_points
from drywallqa.formats.stored_masks import Mask, decode_picture, paste_mask, runs_of
from drywallqa.formats.text_files import list_of, load_json, mapping_of, read_heads
from drywallqa.formats.values import class_name, whole_number

_META = "meta.json"
_FOLDER = "ann"
_COMPANIONS = frozenset({"key_id_map.json", "obj_class_to_machine_color.json"})

Size = tuple[int, int] | None


def find_supervisely_files(root: Path) -> list[Path]:
    """List the annotation files of a Supervisely project, and the nearest meta.json above each file."""
    files = [
        path
        for path, head in read_heads(root, ".json")
        if path.parent.name == _FOLDER and b'"objects"' in head and b'"size"' in head
    ]
    return files + sorted({meta for path in files for meta in _metas_above(path, root)})


def _metas_above(path: Path, root: Path) -> list[Path]:
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    return [folder / _META for folder in folders if (folder / _META).is_file()][:1]


def read_supervisely(root: Path, options: ReadOptions) -> Export:
    """Read a Supervisely project.

    A class in the nearest meta.json is absent from a photo that has no shape of this class.

    Args:
        root: The export's folder.
        options: The read options. `fully_labelled` applies only to photos without a meta.json.

    Raises:
        DataError: A meta.json is damaged.
    """
    paths = find_supervisely_files(root)
    metas = {
        path: _read_classes(path) for path in paths if path.name == _META and path.parent.name != _FOLDER
    }
    files = [_read_file(PhotoFile(root, path)) for path in paths if path not in metas]

    def declared(file: PhotoFile, classes: frozenset[str]) -> frozenset[str]:
        above = _metas_above(file.path, root)
        return metas[above[0]] if above else classes if options.fully_labelled else frozenset()

    others = [path for path in list_files(root) if path in metas or path.name in _COMPANIONS]
    return combine("supervisely", root, options, files, declared, frozenset().union(*metas.values()), others)


def _read_classes(path: Path) -> frozenset[str]:
    remedy = "download the project again"
    classes = mapping_of(load_json(path, remedy)).get("classes")
    if not isinstance(classes, list):
        raise DataError(f"{path}: the list 'classes' is missing; {remedy}")
    names = (class_name(mapping_of(each).get("title")) for each in classes)
    return frozenset(name for name in names if name)


def _read_file(file: PhotoFile) -> PhotoFile:
    file.name_photo(file.path.stem, file.path.parent.parent / "img", file.path.parent.parent, file.root)
    try:
        data = mapping_of(load_json(file.path, "download the project again"))
    except DataError as error:
        file.damaged(error)
        return file
    size = mapping_of(data.get("size"))
    file.read_size(size.get("height"), size.get("width"))
    tags = (class_name(mapping_of(tag).get("name")) for tag in list_of(data.get("tags")))
    file.tags = {name for name in tags if name}
    objects = data.get("objects")
    if not isinstance(objects, list):
        file.lose("", problems.MALFORMED, "", "'objects' is not a list; the labels of its photo are unknown")
    for position, entry in enumerate(list_of(objects), 1):
        content = mapping_of(entry)
        where = f"object id {content['id']}" if content.get("id") is not None else f"object no. {position}"
        label = class_name(content.get("classTitle")) or ""
        file.add(label, where, partial(_geometry, content, label, file.size))
    return file


def _geometry(entry: Mapping[str, Any], label: str, size: Size) -> Geometry:
    kind = str(entry.get("geometryType"))
    if kind not in _READERS:
        text = f"a {kind} with the class '{label}' encloses no pixels; dropped"
        raise GeometryError(problems.UNSUPPORTED, text)
    return _READERS[kind](entry, size)


def _rectangle(entry: Mapping[str, Any], size: Size) -> Geometry:
    corners = read_points(mapping_of(entry.get("points")).get("exterior"), exactly=2)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Box(left, top, right, bottom)


def _polygon(entry: Mapping[str, Any], size: Size) -> Geometry:
    points = mapping_of(entry.get("points"))
    outer = Outline((read_points(points.get("exterior")),))
    rings = points.get("interior") or []
    if not isinstance(rings, list):
        raise GeometryError(problems.MALFORMED, "the polygon's holes are not a list; dropped")
    holes = [read_points(ring) for ring in rings]
    if not holes:
        return outer
    if not all(np.isfinite(ring).all() for ring in holes):
        raise GeometryError(problems.NOT_A_NUMBER, "a coordinate is not a finite number; dropped")
    return runs_of(partial(_draw_with_holes, outer, holes), size)


def _draw_with_holes(outer: Outline, holes: Sequence[Points], height: int, width: int) -> Mask:
    inner = np.zeros((height, width), np.bool_)
    for ring in holes:
        cropped = crop_ring(ring, height, width)
        if len(cropped):
            draw_ring(inner, cropped)
    return rasterise(fit_geometry(outer, height, width, (1.0, 1.0)).geometry, height, width) & ~inner


def _bitmap(entry: Mapping[str, Any], size: Size) -> Geometry:
    bitmap = mapping_of(entry.get("bitmap"))
    origin = [whole_number(value) for value in list_of(bitmap.get("origin"))]
    if len(origin) != 2 or origin[0] is None or origin[1] is None:
        raise GeometryError(problems.MALFORMED, "the bitmap's origin is not two whole numbers; dropped")
    left, top = origin[0], origin[1]
    part = decode_picture(bitmap.get("data"), compressed=True)
    return runs_of(lambda height, width: paste_mask(part, left, top, height, width), size)


_READERS: Mapping[str, Callable[[Mapping[str, Any], Size], Geometry]] = {
    "rectangle": _rectangle,
    "polygon": _polygon,
    "bitmap": _bitmap,
}
