"""Write COCO files, with polygons along pixel edges or with run-length encodings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.label_folder import LabelFolder
from drywallqa.formats.rle import compress, encode_runs
from drywallqa.formats.tracing import keyhole, trace_regions

Mask = NDArray[np.bool_]


def write_coco(
    folder: Path, photos: Iterable[MaskedPhoto], classes: Sequence[str], *, rle: bool = False
) -> WriteResult:
    """Write `annotations/instances_SPLIT.json`, and copy the photos to `images/SPLIT/`.

    Each class in a COCO file is known in all photos of the file. Photos with other known classes are
    therefore written to a separate file, such as `instances_SPLIT2.json`.

    Args:
        folder: A new folder.
        photos: The photos with their masks.
        classes: The classes. Their positions, counted from 1, are the category ids.
        rle: Whether to write each mask as one annotation with compressed run lengths. Otherwise, each
            4-connected region is written as one polygon, whose holes are joined to its border by seams.
    """
    target = LabelFolder(folder, classes)
    files: dict[tuple[str | None, tuple[str, ...]], _CocoOutput] = {}
    with ExitStack() as stack:
        for photo in target.take(photos, all_known=False):
            key = (photo.split, tuple(photo.masks))
            if key not in files:
                count = sum(split == photo.split for split, _ in files)
                name = f"annotations/instances_{photo.split}{count + 1 if count else ''}.json"
                stream = stack.enter_context(target.add(name).open("w", encoding="utf-8"))
                files[key] = _CocoOutput(stream, {each: classes.index(each) + 1 for each in photo.masks})
            files[key].add(photo, target.path_of(photo), rle=rle)
        for file in files.values():
            file.finish()
    return target.result()


class _CocoOutput:
    """One COCO file. Its annotations are written immediately, and its list of images at the end."""

    def __init__(self, stream: IO[str], categories: dict[str, int]) -> None:
        self.stream = stream
        self.categories = categories
        self._images: list[dict[str, Any]] = []
        self._annotations = 0
        listed = [{"id": key, "name": name, "supercategory": ""} for name, key in categories.items()]
        stream.write(f'{{"categories": {_json(listed)},\n"annotations": [')

    def add(self, photo: MaskedPhoto, path: str, *, rle: bool) -> None:
        image_id = len(self._images) + 1
        size = {"height": photo.height, "width": photo.width}
        self._images.append({"id": image_id, "file_name": path, **size})
        for name, mask in photo.masks.items():
            for geometry in () if mask is None else _encoded(mask, rle=rle):
                self._annotations += 1
                annotation = {
                    "id": self._annotations,
                    "image_id": image_id,
                    "category_id": self.categories[name],
                    "iscrowd": 0,
                    **geometry,
                }
                if name in photo.scores:
                    annotation["score"] = photo.scores[name]
                self.stream.write(("," if self._annotations > 1 else "") + "\n" + _json(annotation))

    def finish(self) -> None:
        listed = ",\n".join(_json(image) for image in self._images)
        self.stream.write(f'\n],\n"images": [\n{listed}\n]}}\n')


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _encoded(mask: Mask, *, rle: bool) -> Iterator[dict[str, Any]]:
    """Yield the segmentation, bounding box and area in px² of each annotation of a mask [H,W]."""
    if rle:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])
        runs = {"size": list(mask.shape), "counts": compress(encode_runs(mask))}
        yield {"segmentation": runs, "bbox": _box(corners), "area": int(mask.sum())}
        return
    for region in trace_regions(mask):
        area = _area(region.outer) - sum(_area(hole) for hole in region.holes)
        ring = keyhole(region).ravel().tolist()
        yield {"segmentation": [ring], "bbox": _box(region.outer), "area": area}


def _box(corners: NDArray[np.int64]) -> list[int]:
    """Return the bounding box of points [N,2] as left, top, width and height in px."""
    left, top = corners.min(axis=0).tolist()
    width, height = np.ptp(corners, axis=0).tolist()
    return [left, top, width, height]


def _area(ring: NDArray[np.int64]) -> int:
    x, y = ring.T
    return abs(int(x @ np.roll(y, -1) - y @ np.roll(x, -1))) // 2
