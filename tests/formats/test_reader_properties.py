"""Random exports with random faults: each label that goes in is kept, or named as lost."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tool_exports as tools
from drywallqa.datasets.photo_labels import label_photo, unite_entries
from drywallqa.errors import DataError
from drywallqa.formats.annotations import Export, ReadOptions
from drywallqa.formats.exports import FORMATS
from drywallqa.formats.problems import Problem
from tiny_exports import SIDE, square, write_text

CLASSES = ("crack", "seam")
LABEL_FAULTS = ("none", "none", "none", "class", "odd", "text", "few", "far", "photo", "kind", "type")
PHOTO_FAULTS = ("none", "none", "none", "missing", "twice", "nameless", "other size")


@dataclass(frozen=True)
class Label:
    """A label of the plan: its class, its fault, and its number in the export."""

    name: str
    fault: str
    number: int

    @property
    def ring(self) -> list[list[object]]:
        left, top = 2.0 + self.number % 6 * 9, 2.0 + self.number // 6 % 6 * 9
        ring = [[left, top], [left + 8, top], [left + 8, top + 8], [left, top + 8]]
        if self.fault == "few":
            return ring[:2]
        if self.fault == "text":
            ring[1] = ["x", 3.0]
        return [[x + 5000, y] for x, y in ring] if self.fault == "far" else ring

    @property
    def flat(self) -> list[object]:
        values = [value for pair in self.ring for value in pair]
        return values[:-1] if self.fault == "odd" else values

    @property
    def pairs(self) -> list[list[object]]:
        return [*self.ring[:-1], self.ring[-1][:1]] if self.fault == "odd" else self.ring


@dataclass(frozen=True)
class Photo:
    """A photo of the plan: its name, its fault, and its labels."""

    name: str
    fault: str
    labels: tuple[Label, ...]

    @property
    def size(self) -> int:
        return SIDE * 2 + 1 if self.fault == "other size" else SIDE


@dataclass
class Written:
    """An export on disk: the places of its labels by number, and the classes on offer for a photo.

    Attributes:
        places: Number of a label → the file and the position in it.
        containers: Number of a label → further positions in the file that stand for all labels of a photo.
        adrift: Classes of labels in a file for all photos that may belong to any photo.
        offered: The classes that annotators could choose, as far as the export tells.
    """

    places: dict[int, tuple[str, str]] = field(default_factory=dict)
    containers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    adrift: set[str] = field(default_factory=set)
    offered: tuple[str, ...] = CLASSES


@st.composite
def plans(draw: st.DrawFn) -> list[Photo]:
    photos, number = [], 0
    for position in range(draw(st.integers(1, 4))):
        labels = []
        for _ in range(draw(st.integers(0, 3))):
            number += 1
            name, fault = draw(st.sampled_from(CLASSES)), draw(st.sampled_from(LABEL_FAULTS))
            labels.append(Label(name, fault, number))
        photos.append(Photo(f"p{position}.png", draw(st.sampled_from(PHOTO_FAULTS)), tuple(labels)))
    return photos


def write_photos(folder: Path, photos: list[Photo]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        if photo.fault != "missing":
            Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(folder / photo.name)


def write_coco_plan(root: Path, photos: list[Photo]) -> Written:
    written = Written()
    write_photos(root, photos)
    images, annotations = [], []
    for number, photo in enumerate(photos, 1):
        size = {"height": photo.size, "width": SIDE}
        name = None if photo.fault == "nameless" else photo.name
        images.append({"id": number, "file_name": name, **size})
        if photo.fault == "twice":
            images.append({"id": number + 100, "file_name": name, **size})
        for label in photo.labels:
            annotation = {
                "id": label.number,
                "image_id": 99 if label.fault == "photo" else str(number),
                "category_id": 9 if label.fault == "class" else CLASSES.index(label.name),
                "segmentation": [label.flat],
            }
            if label.fault in ("kind", "type"):
                annotation["segmentation"] = 5
            annotations.append(annotation)
            if label.fault == "photo" or photo.fault == "nameless":
                written.adrift |= set(CLASSES if label.fault == "class" else [label.name])
            written.places[label.number] = ("result.json", f"annotation id {label.number}")
            written.containers[label.number] = (f"image id {number}", f"image no. {len(images)}")
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
    data = {"images": images, "categories": categories, "annotations": annotations}
    write_text(root / "result.json", json.dumps(data))
    return written


def write_yolo_plan(root: Path, photos: list[Photo]) -> Written:
    written = Written()
    write_photos(root / "images", photos)
    write_text(root / "data.yaml", f"names: {list(CLASSES)}\n")
    for photo in photos:
        lines = []
        for label in photo.labels:
            number = "x" if label.fault in ("type", "kind", "photo") else CLASSES.index(label.name)
            fields = [value / SIDE if isinstance(value, float) else value for value in label.flat]
            lines.append(" ".join(map(str, [9 if label.fault == "class" else number, *fields])))
            written.places[label.number] = (f"labels/{Path(photo.name).stem}.txt", f"line {len(lines)}")
            written.containers[label.number] = ("",)
        write_text(root / "labels" / f"{Path(photo.name).stem}.txt", "\n".join(lines))
        if photo.fault == "twice":
            Image.new("RGB", (SIDE, SIDE)).save((root / "images" / photo.name).with_suffix(".jpg"))
    return written


def write_mask_plan(root: Path, photos: list[Photo]) -> Written:
    """Each class has one mask file per photo, so a photo keeps the first label of a class."""
    written = Written()
    write_photos(root / "images", photos)
    (root / "masks").mkdir(parents=True, exist_ok=True)
    for photo in photos:
        for label in {label.name: label for label in photo.labels}.values():
            path = root / "masks" / label.name / photo.name
            path.parent.mkdir(parents=True, exist_ok=True)
            corner = 2 + label.number
            mask = square(corner, corner, corner + 8, corner + 8)
            path.write_bytes(tools.png(mask)[: 40 if label.fault in ("odd", "text") else None])
            written.places[label.number] = (f"masks/{label.name}/{photo.name}", f"class {label.name}")
            written.containers[label.number] = ("",)
    return written


def write_cvat_plan(root: Path, photos: list[Photo]) -> Written:
    written = Written()
    write_photos(root / "images", photos)
    images, marks = [], {}
    for number, photo in enumerate(photos):
        shapes = []
        for label in photo.labels:
            kind = "polyline" if label.fault in ("kind", "type", "photo") else "polygon"
            points = ";".join(",".join(map(str, pair)) for pair in label.pairs)
            name = "" if label.fault == "class" else label.name
            shapes.append(tools.cvat_shape(kind, name, points=points, group_id=f"L{label.number}"))
            if photo.fault == "nameless":
                written.adrift |= set(CLASSES if label.fault == "class" else [label.name])
            marks[label.number] = (f'group_id="L{label.number}"', number)
        image = tools.cvat_image(number, "" if photo.fault == "nameless" else photo.name, *shapes)
        image = image.replace(f'height="{SIDE}"', f'height="{photo.size}"')
        images.append(image)
        if photo.fault == "twice":
            images.append(tools.cvat_image(number + 100, photo.name))
    text = tools.cvat_xml(*images)
    write_text(root / "annotations.xml", text)
    lines = text.splitlines()
    for label, (mark, number) in marks.items():
        line = next(place for place, content in enumerate(lines, 1) if mark in content)
        above = next(place for place, content in enumerate(lines, 1) if f'<image id="{number}" ' in content)
        image = f"image id {number} (line {above})"
        written.places[label] = ("annotations.xml", f"{image}, line {line}")
        written.containers[label] = (image,)
    return written


def write_label_studio_plan(root: Path, photos: list[Photo]) -> Written:
    used = {label.name for photo in photos for label in photo.labels if label.fault != "class"}
    written = Written(offered=tuple(used))
    write_photos(root / "images", photos)
    tasks = []
    for number, photo in enumerate(photos, 1):
        results: list[object] = []
        for label in photo.labels:
            points = [
                [value * 100 / SIDE if isinstance(value, float) else value for value in pair]
                for pair in label.pairs
            ]
            name = [] if label.fault == "class" else [label.name]
            region = tools.ls_region("polygon", {"points": points}, name, id=f"L{label.number}")
            region["original_height"] = photo.size
            if label.fault == "type":
                region["value"]["points"] = 5
            if label.fault in ("kind", "photo"):
                region["value"] = {"x": 1, "y": 1, "width": 1, "keypointlabels": name}
            results.append(region)
            if photo.fault == "nameless":
                written.adrift |= set(CLASSES if label.fault == "class" else [label.name])
            written.places[label.number] = (
                "tasks.json",
                f"task id {number}, annotation id {number * 10 + 1}, region L{label.number}",
            )
            written.containers[label.number] = (f"task id {number}",)
        image = "" if photo.fault == "nameless" else f"/data/upload/1/{photo.name}"
        more = [[]] if photo.fault == "twice" else []
        tasks.append(tools.ls_task(number, image, results, *more))
    write_text(root / "tasks.json", json.dumps(tasks))
    return written


def write_labelme_plan(root: Path, photos: list[Photo]) -> Written:
    written = Written(offered=CLASSES if len(photos) % 2 else ())
    write_photos(root, photos)
    if written.offered:
        write_text(root / "labels.txt", "\n".join(CLASSES))
    for photo in photos:
        shapes = []
        for position, label in enumerate(photo.labels, 1):
            kind = "linestrip" if label.fault in ("kind", "photo") else "polygon"
            shape = tools.labelme_shape(kind, label.pairs, None if label.fault == "class" else label.name)
            shapes.append(5 if label.fault == "type" else shape)
            written.places[label.number] = (f"{Path(photo.name).stem}.json", f"shape no. {position}")
            written.containers[label.number] = ("",)
        name = None if photo.fault == "nameless" else photo.name
        text = tools.labelme_json(name, *shapes, imageHeight=photo.size)
        write_text(root / f"{Path(photo.name).stem}.json", text)
        if photo.fault == "twice":
            write_text(root / f"{Path(photo.name).stem}_old.json", tools.labelme_json(name))
    return written


def write_supervisely_plan(root: Path, photos: list[Photo]) -> Written:
    written = Written()
    write_photos(root / "ds" / "img", photos)
    classes = [{"title": name, "shape": "polygon"} for name in CLASSES]
    write_text(root / "meta.json", json.dumps({"classes": classes}))
    for photo in photos:
        objects: list[object] = []
        for position, label in enumerate(photo.labels, 1):
            entry = {**tools.sly_polygon(None if label.fault == "class" else label.name), "id": label.number}
            entry["points"] = {"exterior": label.pairs, "interior": []}
            if label.fault in ("kind", "photo"):
                entry["geometryType"] = "line"
            objects.append(None if label.fault == "type" else entry)
            where = f"object no. {position}" if label.fault == "type" else f"object id {label.number}"
            written.places[label.number] = (f"ds/ann/{photo.name}.json", where)
            written.containers[label.number] = ("",)
        text = tools.sly_json(*objects).replace(f'"height": {SIDE}', f'"height": {photo.size}')
        write_text(root / "ds" / "ann" / f"{photo.name}.json", text)
    return written


def write_voc_plan(root: Path, photos: list[Photo]) -> Written:
    written = Written(offered=())
    write_photos(root, photos)
    for photo in photos:
        objects = []
        for label in photo.labels:
            edges = [*label.ring[0], *label.ring[-2]] if label.fault != "few" else ["", "", 1, 2]
            name = "" if label.fault == "class" else label.name
            entry = tools.voc_object(name, tuple(edges), f"<!--L{label.number}-->")
            if label.fault in ("kind", "type", "photo", "odd"):
                entry = entry.replace("bndbox", "keypoints")
            objects.append(entry)
        text = tools.voc_xml("" if photo.fault == "nameless" else photo.name, *objects)
        text = text.replace(f"<height>{SIDE}", f"<height>{photo.size}")
        path = write_text(root / f"{Path(photo.name).stem}.xml", text)
        lines = text.splitlines()
        for label in photo.labels:
            mark = next(number for number, line in enumerate(lines) if f"<!--L{label.number}-->" in line)
            line = max(number for number in range(1, mark + 2) if lines[number - 1] == "<object>")
            written.places[label.number] = (path.name, f"line {line}")
            written.containers[label.number] = ("",)
    return written


WRITERS: Mapping[str, Callable[[Path, list[Photo]], Written]] = {
    "coco": write_coco_plan,
    "yolo": write_yolo_plan,
    "masks": write_mask_plan,
    "cvat": write_cvat_plan,
    "label-studio": write_label_studio_plan,
    "labelme": write_labelme_plan,
    "supervisely": write_supervisely_plan,
    "voc": write_voc_plan,
}


def named_as_lost(problems: list[Problem], file: str, places: tuple[str, ...]) -> bool:
    return any(each.is_loss and each.file == file and each.where in places for each in problems)


def check_export(export: Export, photos: list[Photo], written: Written) -> None:
    kept = {(shape.file, shape.where) for entry in export.entries for shape in entry.shapes}
    assert kept <= set(written.places.values())
    united, _ = unite_entries(export)
    labels = {photo.path.name: label_photo(photo, SIDE, SIDE) for photo in united}
    problems = [*export.problems, *(problem for each in labels.values() for problem in each.problems)]
    for photo in photos:
        known = labels.get(photo.name)
        for label in photo.labels:
            if label.number not in written.places:
                continue
            file, where = written.places[label.number]
            lost = named_as_lost(problems, file, (where, *written.containers[label.number]))
            # Two entries that contradict each other, or a wrong size, cost all labels of the photo.
            lost |= any(each.is_loss and Path(each.file).name == photo.name for each in problems)
            assert lost or (file, where) in kept, f"{label} of {photo.name} is lost in silence"
            if known and not lost:
                assert known.masks[label.name] is not None
            if known:
                assert known.masks.get(label.name, True) is not None, f"{label} counts as absent"
    for each in labels.values():
        absent = {name for name, mask in each.masks.items() if mask is None}
        assert absent <= set(written.offered) - written.adrift


@pytest.mark.parametrize("layout", WRITERS)
def test_read__labels_in_are_labels_kept_and_labels_named_as_lost(layout):
    @settings(max_examples=50, deadline=None)
    @given(plans())
    def check(photos: list[Photo]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            written = WRITERS[layout](Path(folder), photos)
            check_export(FORMATS[layout].read(Path(folder), ReadOptions()), photos, written)

    check()


@pytest.mark.parametrize("layout", [name for name in WRITERS if name not in ("yolo", "masks")])
def test_read__a_truncated_file_is_named(layout):
    """A file for all photos is refused; a file for one photo leaves that photo unknown."""

    @settings(max_examples=50, deadline=None)
    @given(st.floats(0.5, 0.999))
    def check(share: float) -> None:
        photos = [Photo(f"p{n}.png", "none", (Label("crack", "none", n),)) for n in range(2)]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            written = WRITERS[layout](root, photos)
            path = root / written.places[0][0]
            content = path.read_bytes().rstrip()
            path.write_bytes(content[: int(len(content) * share)])
            if layout in ("coco", "cvat", "label-studio"):
                with pytest.raises(DataError, match=path.name):
                    FORMATS[layout].read(root, ReadOptions())
                return
            export = FORMATS[layout].read(root, ReadOptions())
            assert named_as_lost(list(export.problems), written.places[0][0], ("",))
            unknown = next(entry for entry in export.entries if entry.path.name == "p0.png")
            assert unknown.lost
            assert not unknown.shapes

    check()
