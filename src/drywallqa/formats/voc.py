"""Read Pascal VOC annotations: one XML file per photo, with boxes and (Roboflow, LabelMe online) polygons."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import Export, ReadOptions, list_files, relative_name, split_word
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.formats.photo_files import PhotoFile, combine
from drywallqa.formats.problems import Problem
from drywallqa.formats.rings import read_numbers, read_ring
from drywallqa.formats.text_files import load_lines, load_xml, read_heads
from drywallqa.formats.values import is_true

_LISTS = "ImageSets"
_MASKS = "SegmentationClass"
_CLASSES = "labelmap.txt"
_AS_LIST = ("the list", "export the data set again")


def find_voc_files(root: Path) -> list[Path]:
    """List the Pascal VOC files of an export: XML files with an element "annotation"."""
    return [path for path, head in read_heads(root, ".xml") if re.search(rb"<annotation[\s>]", head)]


def read_voc(root: Path, options: ReadOptions) -> Export:
    """Read all Pascal VOC files of an export.

    The files do not list the classes that the annotator could choose. A class without a shape is therefore
    unknown, unless a labelmap.txt above the file lists it, or the user states that all photos are fully
    labelled.

    Args:
        root: The export's folder.
        options: The read options, including whether all photos are fully labelled.

    Raises:
        DataError: A list of classes or photos cannot be read.
    """
    tables = [path for path in list_files(root) if path.name == _CLASSES]
    listed = {path.parent: _read_classes(path) for path in tables}

    def declared(file: PhotoFile, classes: frozenset[str]) -> frozenset[str]:
        above = [listed[folder] for folder in file.path.parents if folder in listed]
        return classes if options.fully_labelled else above[0] if above else frozenset()

    files = [_read_file(PhotoFile(root, path)) for path in find_voc_files(root)]
    texts = [path for path in list_files(root) if path.suffix == ".txt"]
    lists = {path for path in texts if _LISTS in path.relative_to(root).parts}
    classes = frozenset().union(*listed.values())
    found = _unread_masks(root)
    splits = _read_splits(lists, root, found)
    export = combine("voc", root, options, files, declared, classes, {*lists, *tables}, splits)
    return replace(export, problems=(*found, *export.problems))


def _read_classes(path: Path) -> frozenset[str]:
    """Read the class names from a labelmap.txt with lines of the form name:colour:parts:actions."""
    names = {line.split(":")[0].strip() for line in load_lines(path, *_AS_LIST) if not line.startswith("#")}
    return frozenset(name for name in names if name.lower() not in {"", "background", "ignored"})


def _unread_masks(root: Path) -> list[Problem]:
    masks = [path for path in list_files(root) if path.parent.name == _MASKS]
    text = (
        f"has {len(masks)} mask files that are passed over; to read them instead of the boxes, describe "
        "their colours in labelmap.txt (crack:255,0,0::) and pass --format masks"
    )
    return [Problem(problems.PASSED_OVER, _MASKS, "", text)] if masks else []


def _read_splits(lists: set[Path], root: Path, found: list[Problem]) -> dict[str, str | None]:
    """Map the stems of photos to splits, using lists such as ImageSets/Main/train.txt.

    A stem that is listed in two splits gets None.
    """
    splits: dict[str, str | None] = {}
    for path in sorted(lists):
        split = split_word(path.stem)
        for line in filter(str.strip, load_lines(path, *_AS_LIST) if split else []):
            stem = line.split()[0]
            if splits.setdefault(stem, split) != split:
                text = f"{stem} is also in another split's list; no split is used"
                found.append(Problem(problems.TWO_SPLITS, relative_name(path, root), "", text))
                splits[stem] = None
    return splits


def _read_file(file: PhotoFile) -> PhotoFile:
    try:
        tree, lines = load_xml(file.path, "annotation", "export the data set again")
    except DataError as error:
        file.damaged(error)
        return file
    parent = file.path.parent
    folders = (parent, parent.parent / "JPEGImages", parent.parent / "images", parent.parent, file.root)
    file.name_photo(tree.findtext("filename"), *folders)
    file.read_size(tree.findtext("size/height"), tree.findtext("size/width"))
    for element in tree.findall("object"):
        if not is_true(element.findtext("deleted")):
            label = (element.findtext("name") or "").strip()
            file.add(label, f"line {lines[element]}", partial(_geometry, element))
    return file


def _geometry(element: Element) -> Geometry:
    polygon, box = element.find("polygon"), element.find("bndbox")
    if polygon is not None and len(polygon):
        points = [(point.findtext("x"), point.findtext("y")) for point in polygon.findall("pt")]
        if points:
            return Outline((read_ring(list(chain.from_iterable(points))),))
        return Outline((read_ring(_numbered(polygon)),))
    if box is None:
        raise GeometryError(problems.MALFORMED, "has neither a polygon nor a box (bndbox); dropped")
    left, top, right, bottom = read_numbers([box.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax")])
    return Box(left, top, right, bottom)


def _numbered(polygon: Element) -> list[str | None]:
    """Return the coordinates of the elements x1, y1, x2, y2 and so on."""
    count = (len(polygon) + 1) // 2
    return [polygon.findtext(f"{axis}{number}") for number in range(1, count + 1) for axis in "xy"]
