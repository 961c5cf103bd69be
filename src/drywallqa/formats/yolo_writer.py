"""Write YOLO segmentation files, one line for each region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.label_folder import IMAGES, LabelFolder
from drywallqa.formats.tracing import keyhole, trace_regions

_DECIMALS = 8
"""Decimals of a coordinate. They resolve 0.001 px on a side of 100 000 px."""


def write_yolo(folder: Path, photos: Iterable[MaskedPhoto], classes: Sequence[str]) -> WriteResult:
    """Write `data.yaml` and `labels/SPLIT/NAME.txt`, and copy the photos to `images/SPLIT/`.

    Each 4-connected region is written as a line with one polygon along pixel edges. Its holes are joined to
    its border by seams of zero width. A class without a line is absent, so photos in which a class is unknown
    are left out.

    Args:
        folder: A new folder.
        photos: The photos with their masks.
        classes: The classes. Their positions, counted from 0, are the class numbers.
    """
    target = LabelFolder(folder, classes)
    splits: set[str] = set()
    marked = added = 0
    for photo in target.take(photos, all_known=True):
        splits.add(photo.split or "")
        name = PurePosixPath("labels", photo.split or "", photo.name).with_suffix(".txt")
        masks = {classes.index(each): mask for each, mask in photo.masks.items() if mask is not None}
        lines = [line for number, mask in masks.items() for line in _lines(number, mask)]
        target.add(str(name)).write_text("".join(lines), encoding="ascii")
        marked += sum(int(mask.sum()) for mask in masks.values())
        added += sum(_border_size(mask) for mask in masks.values())
    target.add("data.yaml").write_text(_data_yaml(splits, classes), encoding="utf-8")
    if added:
        text = (
            "readers that fill polygons with OpenCV, such as Ultralytics, also mark the pixels right of "
            f"and below each region: {added} px more than the {marked} marked px; drywallqa reads "
            "the labels exactly"
        )
        target.note(problems.INEXACT, text)
    return target.result()


def _lines(number: int, mask: NDArray[np.bool_]) -> Iterator[str]:
    sides = np.array(mask.shape[::-1])
    one = 10**_DECIMALS
    for region in trace_regions(mask):
        # Rounded up, because some readers scale to pixels and drop the fraction.
        ring = keyhole(region)
        shares = np.where(ring > 0, np.minimum(ring * one // sides + 1, one), 0) / one
        yield f"{number} {' '.join(f'{share:.{_DECIMALS}f}' for share in shares.ravel().tolist())}\n"


def _border_size(mask: NDArray[np.bool_]) -> int:
    """Count the unmarked pixels of a mask [H,W] whose left, upper or upper left neighbour is marked."""
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[1:] |= grown[:-1].copy()
    return int(grown.sum()) - int(mask.sum())


def _data_yaml(splits: set[str], classes: Sequence[str]) -> str:
    import yaml

    content = {split: f"{IMAGES}/{split}" for split in sorted(splits)}
    names = dict(enumerate(classes))
    return str(yaml.safe_dump(content | {"names": names}, allow_unicode=True, sort_keys=False))
