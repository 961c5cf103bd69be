"""Read the regions of one Label Studio annotation: brushes, polygons, rectangles and ellipses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drywallqa.formats import problems
from drywallqa.formats.annotations import UNKNOWN_CLASS, Shape
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.formats.problems import Problem
from drywallqa.formats.rings import box_ring, ellipse_ring, read_numbers, read_points, turn_points
from drywallqa.formats.rle import decode_brush
from drywallqa.formats.stored_masks import runs_of
from drywallqa.formats.text_files import list_of, mapping_of
from drywallqa.formats.values import class_name, is_true, number_of, size_of

_GEOMETRY = frozenset(
    {"rle", "points", "radiusX", "radiusY", "x", "y", "width", "height", "imageDataURL", "vertices"}
)
_PERCENT = 100.0


@dataclass
class Regions:
    """The regions of one annotation.

    Attributes:
        shapes: The regions that could be read, one shape for each of their labels.
        lost: Labels of regions that could not be read.
        problems: Problems found so far.
        size: The height and width in px that the annotation declares for its photo.
        others: Type of result → number of results that mark no region, such as choices for the whole photo.
        choices: Answers about the whole photo. If an answer names a class, the photo may show this class.
        author: The person who finished the annotation; empty if unknown.
        changed: Time of the last change; empty if unknown.
    """

    shapes: list[Shape] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    size: tuple[int, int] | None = None
    others: Counter[str] = field(default_factory=Counter)
    choices: set[str] = field(default_factory=set)
    author: str = ""
    changed: str = ""


def read_regions(results: Sequence[object], file: str, where: str) -> Regions:
    """Read the results of one annotation.

    A region can consist of several results, such as its geometry, its labels and answers to questions.

    Args:
        results: The results as exported: with "id", "type" and "value" (JSON), or bare values (JSON-MIN).
        file: The annotation file, for problem reports.
        where: The annotation's position in the file, for problem reports.
    """
    regions = Regions()
    groups: dict[str, tuple[str, list[Mapping[str, Any]]]] = {}
    for position, result in enumerate(results, 1):
        if isinstance(result, dict):
            place = f"region {result.get('id') or f'no. {position}'}"
            groups.setdefault(_key(result) or place, (place, []))[1].append(result)
            continue
        regions.lost.add(UNKNOWN_CLASS)
        text = f"result no. {position} is not an object; dropped"
        regions.problems.append(Problem(problems.MALFORMED, file, where, text))
    for place, group in groups.values():
        _read_region(regions, group, file, f"{where}, {place}")
    return regions


def _value(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping_of(result["value"]) if "value" in result else result


def _geometry_values(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _value(result).items() if name in _GEOMETRY}


def _key(result: Mapping[str, Any]) -> str:
    """Return a key that the results of one region share: their id or, in JSON-MIN, their geometry."""
    geometry = _geometry_values(result)
    shared = class_name(result.get("id")) or json.dumps(geometry, sort_keys=True, default=str)
    return shared if geometry or result.get("id") else ""


def _read_region(regions: Regions, group: Sequence[Mapping[str, Any]], file: str, where: str) -> None:
    labels = list(dict.fromkeys(_labels(group)))
    marked = [result for result in group if _geometry_values(result)]
    if not marked and not labels:
        regions.others.update(str(result.get("type", "result")) for result in group)
        answers = (answer for result in group for answer in list_of(_value(result).get("choices")))
        regions.choices.update(filter(None, map(class_name, answers)))
        return
    try:
        if not labels:
            raise GeometryError(problems.WRONG_ID, "has no label; dropped")
        if not marked:
            raise GeometryError(problems.MALFORMED, f"{_listed(labels)} has no geometry; dropped")
        geometry = _geometry(marked[0], labels)
        sides = marked[0].get("original_height"), marked[0].get("original_width")
        regions.problems += problems.unread_size(*sides, file, where)
        regions.size = regions.size or _size(marked[0])
        regions.shapes += [Shape(label, geometry, file, where) for label in labels]
    except GeometryError as error:
        regions.lost |= set(labels or [UNKNOWN_CLASS])
        regions.problems.append(Problem(error.kind, file, where, str(error)))


def _labels(group: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yield the labels of a region, from the lists "brushlabels", "polygonlabels", "labels" and so on."""
    for result in group:
        for key, names in _value(result).items():
            if key.endswith("labels"):
                yield from filter(None, map(class_name, list_of(names)))


def _listed(labels: Sequence[str]) -> str:
    return " and ".join(f"'{label}'" for label in labels)


def _size(result: Mapping[str, Any]) -> tuple[int, int] | None:
    return size_of(result.get("original_height"), result.get("original_width"))


def _geometry(result: Mapping[str, Any], labels: Sequence[str]) -> Geometry:
    value, size = _value(result), _size(result)
    if number_of(result.get("image_rotation") or 0) != 0:
        text = f"{_listed(labels)} was drawn on the picture turned by {result['image_rotation']}°; dropped"
        raise GeometryError(problems.UNSUPPORTED, text)
    if "rle" in value:
        return runs_of(lambda height, width: decode_brush(list_of(value["rle"]), height, width), size)
    if "points" in value and is_true(value.get("closed", True)):
        return Outline((read_points(value["points"]) / _PERCENT,), relative=True)
    if "radiusX" in value:
        return _ellipse(value, size)
    if "width" in value and "height" in value:
        return _rectangle(value, size)
    kind = str(result.get("type", "region")).removesuffix("labels")
    raise GeometryError(
        problems.UNSUPPORTED, f"{_listed(labels)} is a {kind}, which encloses no pixels; dropped"
    )


def _rectangle(value: Mapping[str, Any], size: tuple[int, int] | None) -> Geometry:
    """Read a rectangle. Its rotation is clockwise around its upper left corner."""
    left, top, width, height, degrees = _numbers(value, "x", "y", "width", "height", "rotation")
    if not degrees:
        left, top, right, bottom = (edge / _PERCENT for edge in (left, top, left + width, top + height))
        return Box(left, top, right, bottom, relative=True)
    sides = _sides(size)
    corners = box_ring(left, top, left + width, top + height) * sides / _PERCENT
    turned = turn_points(corners, (float(corners[0, 0]), float(corners[0, 1])), degrees)
    return Outline((turned / sides,), relative=True)


def _ellipse(value: Mapping[str, Any], size: tuple[int, int] | None) -> Geometry:
    """Read an ellipse. Its rotation is clockwise around its centre."""
    x, y, horizontal, vertical, degrees = _numbers(value, "x", "y", "radiusX", "radiusY", "rotation")
    sides = _sides(size)
    (x, y), (horizontal, vertical) = (
        (np.array(pair) * sides / _PERCENT).tolist() for pair in ((x, y), (horizontal, vertical))
    )
    return Outline((ellipse_ring((x, y), (horizontal, vertical), degrees) / sides,), relative=True)


def _sides(size: tuple[int, int] | None) -> Any:
    if size is None:
        text = "a turned shape or ellipse needs original_width and original_height; dropped"
        raise GeometryError(problems.MALFORMED, text)
    return np.array([size[1], size[0]], np.float64)


def _numbers(value: Mapping[str, Any], *names: str) -> list[float]:
    """Read the numbers with the given names. Only the rotation may be missing, and it is then 0."""
    return read_numbers([(value.get(name) or 0) if name == "rotation" else value.get(name) for name in names])
