"""Read CVAT XML 1.1 "for images": boxes, polygons, ellipses and masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element

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
from drywallqa.formats.geometry import Box, Geometry, GeometryError, Outline
from drywallqa.formats.photo_index import PhotoIndex, PhotoName
from drywallqa.formats.problems import Problem
from drywallqa.formats.rings import box_ring, ellipse_ring, read_numbers, read_ring, turn_points
from drywallqa.formats.rle import BoxRuns, decode_box_runs
from drywallqa.formats.stored_masks import runs_of
from drywallqa.formats.text_files import load_xml, read_heads
from drywallqa.formats.values import is_true, size_of, whole_number

_REMEDY = "export the task again as 'CVAT for images 1.1'"
_NO_SHAPES = frozenset({"attribute", "tag"})


def find_cvat_files(root: Path) -> list[Path]:
    """List the CVAT XML files of an export. They contain an element "annotations"."""
    return [path for path, head in read_heads(root, ".xml") if b"<annotations" in head]


def read_cvat_xml(root: Path, options: ReadOptions) -> Export:
    """Read all CVAT XML files of an export. A declared label is absent from images without its shape.

    Args:
        root: The export's folder.
        options: The options. With `fully_labelled`, a file without a list of labels declares the labels that
            it uses.

    Raises:
        DataError: A file is damaged, or is not CVAT XML.
    """
    files = [_CvatFile(root, path, options) for path in find_cvat_files(root)]
    index = PhotoIndex(root, options.photos)
    paths = iter(index.find([image.name for file in files for image in file.images]))
    entries = [entry for file in files for entry in file.entries([next(paths) for _ in file.images])]
    found = [problem for file in files for problem in file.problems]
    return Export(
        root,
        "cvat",
        tuple(entries),
        (*found, *index.problems),
        tuple(sorted(set().union(*(file.declared for file in files)))),
        frozenset(file.path for file in files),
    )


@dataclass
class _Image:
    """An image element with its shapes, and with labels that have no shape but are not absent."""

    name: PhotoName
    size: tuple[int, int] | None
    subset: str
    shapes: list[Shape]
    lost: set[str]
    stated: set[str]  # labels that only a tag states


class _CvatFile:
    """One CVAT XML file.

    Attributes:
        path: The file.
        problems: Problems found so far.
        declared: The labels in the file's list of labels.
        images: The images that have a name.
    """

    def __init__(self, root: Path, path: Path, options: ReadOptions) -> None:
        self.root = root
        self.path = path
        self.name = relative_name(path, root)
        self.problems: list[Problem] = []
        self.images: list[_Image] = []
        self._unassigned: set[str] = set()  # labels of shapes without a known photo
        self._tags: Counter[str] = Counter()
        tree, self._lines = load_xml(path, "annotations", _REMEDY)
        self.declared = _labels(tree)
        for element in tree:
            if element.tag == "image":
                self._read_image(element)
            elif element.tag == "track":
                self._read_track(element)
        if not self.declared and options.fully_labelled:
            self.declared = self._used_labels()
        if self._tags:
            listed = ", ".join(f"'{name}' ({count})" for name, count in self._tags.most_common())
            self._report(problems.PASSED_OVER, "", f"the tags {listed} mark no pixels")

    def entries(self, paths: Iterable[Path | None]) -> list[PhotoEntry]:
        """Return an entry for each image whose photo was found.

        Args:
            paths: Path of each image's photo in the order of `images`, or None if the photo was not found.
        """
        declared = frozenset() if UNKNOWN_CLASS in self._unassigned else self.declared - self._unassigned
        split = split_of(self.path, self.root) or split_word(self.path.stem)
        return [
            PhotoEntry(
                path,
                split_word(image.subset) or split or split_of(path, self.root),
                tuple(image.shapes),
                declared - image.stated,
                frozenset(image.lost),
                image.size,
                f"{self.name}, {image.name.where}",
            )
            for image, path in zip(self.images, paths, strict=True)
            if path
        ]

    def _used_labels(self) -> frozenset[str]:
        used = chain.from_iterable(
            chain((shape.class_name for shape in image.shapes), image.lost) for image in self.images
        )
        return frozenset(used) - {UNKNOWN_CLASS}

    def _report(self, kind: str, where: str, text: str) -> None:
        self.problems.append(Problem(kind, self.name, where, text))

    def _folders(self, subset: str) -> tuple[Path, ...]:
        bases = dict.fromkeys((self.path.parent, self.path.parent.parent, self.root))
        inner = (Path("images") / subset, Path("images"), Path(subset), Path())
        return tuple(dict.fromkeys(base / folder for base in bases for folder in inner))

    def _read_image(self, element: Element) -> None:
        where = f"image id {element.get('id', '?')} (line {self._lines[element]})"
        name, subset = element.get("name", "").strip(), element.get("subset", "")
        sides = element.get("height"), element.get("width")
        self.problems += problems.unread_size(*sides, self.name, where)
        image = _Image(
            PhotoName(name, self._folders(subset), self.name, where),
            size_of(*sides),
            subset,
            [],
            set(),
            set(),
        )
        for child in element:
            if child.tag not in _NO_SHAPES:
                self._read_shape(child, image)
        self._read_tags([child.get("label", "?") for child in element.findall("tag")], image)
        if name:
            self.images.append(image)
            return
        self._unassigned |= image.lost | {shape.class_name for shape in image.shapes}
        text = f"has no name; the image and its {len(image.shapes)} annotations are dropped"
        self._report(problems.MALFORMED, where, text)

    def _read_tags(self, tags: Iterable[str], image: _Image) -> None:
        """Count the tags of an image. A label that has a tag but no shape is unknown in the image."""
        marked = {shape.class_name for shape in image.shapes} | image.lost
        for label in tags:
            if label in self.declared - marked - image.stated:
                image.stated.add(label)
                self.problems.append(problems.only_named(label, "tag", self.name, image.name.where))
            elif label not in image.stated:
                self._tags[label] += 1

    def _read_shape(self, element: Element, image: _Image) -> None:
        label = element.get("label", "")
        where = f"{image.name.where}, line {self._lines[element]}"
        try:
            if not label.strip():
                raise GeometryError(problems.WRONG_ID, f"a {element.tag} has no label; dropped")
            if is_true(element.get("outside")):
                text = f"a {element.tag} with the label '{label}' is marked as not visible (outside); dropped"
                raise GeometryError(problems.UNSUPPORTED, text)
            if element.tag not in _READERS:
                text = f"a {element.tag} with the label '{label}' encloses no pixels; dropped"
                raise GeometryError(problems.UNSUPPORTED, text)
            geometry = _READERS[element.tag](element, image.size)
            image.shapes.append(Shape(label, geometry, self.name, where))
        except GeometryError as error:
            image.lost.add(label if label.strip() else UNKNOWN_CLASS)
            self._report(error.kind, where, str(error))

    def _read_track(self, element: Element) -> None:
        label = element.get("label", "")
        self._unassigned.add(label if label.strip() else UNKNOWN_CLASS)
        where = f"track id {element.get('id', '?')} (line {self._lines[element]})"
        text = f"is a track of a video ('{label}', {len(element)} frames); dropped; {_REMEDY}"
        self._report(problems.UNSUPPORTED, where, text)


def _labels(tree: Element) -> frozenset[str]:
    """Return the declared labels of a task, job or project, except image tags and parts of skeletons."""
    labels = [label for meta in tree.iter("meta") for label in meta.iter("label")]
    names = [
        (label.findtext("name") or "")
        for label in labels
        if label.findtext("type") != "tag" and not label.findtext("parent")
    ]
    return frozenset(name for name in names if name.strip())


def _box(element: Element, size: tuple[int, int] | None) -> Geometry:
    left, top, right, bottom = _numbers(element, "xtl", "ytl", "xbr", "ybr")
    (degrees,) = _numbers(element, "rotation")
    if not degrees:
        return Box(left, top, right, bottom)
    centre = ((left + right) / 2, (top + bottom) / 2)
    return Outline((turn_points(box_ring(left, top, right, bottom), centre, degrees),))


def _polygon(element: Element, size: tuple[int, int] | None) -> Geometry:
    pairs = [pair.split(",") for pair in element.get("points", "").split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise GeometryError(problems.MALFORMED, "a point is not a pair x,y; dropped")
    return Outline((read_ring(list(chain.from_iterable(pairs))),))


def _ellipse(element: Element, size: tuple[int, int] | None) -> Geometry:
    x, y, horizontal, vertical, degrees = _numbers(element, "cx", "cy", "rx", "ry", "rotation")
    return Outline((ellipse_ring((x, y), (horizontal, vertical), degrees),))


def _mask(element: Element, size: tuple[int, int] | None) -> Geometry:
    left, top, width, height = (
        whole_number(element.get(name)) for name in ("left", "top", "width", "height")
    )
    if left is None or top is None or width is None or height is None:
        raise GeometryError(problems.MALFORMED, "the mask's box is not four whole numbers; dropped")
    box = BoxRuns(element.get("rle", ""), left, top, width, height)
    return runs_of(lambda rows, columns: decode_box_runs(box, rows, columns), size)


def _numbers(element: Element, *names: str) -> list[float]:
    """Return attributes as numbers. Only the rotation may be missing, and it is 0 by default."""
    return read_numbers([element.get(name, "0" if name == "rotation" else "") for name in names])


_READERS: Mapping[str, Callable[[Element, tuple[int, int] | None], Geometry]] = {
    "box": _box,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "mask": _mask,
}
