"""Seams as a concept of their own: weak labels, found inside the boxes of another concept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from drywallqa.datasets.concepts import folder_name
from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.errors import DataError
from drywallqa.imaging import mask_files
from drywallqa.imaging.contact_sheet import MARK, TILE, SheetCell, draw_contact_sheet, titled_section
from drywallqa.imaging.morphology import BoundingBox, bounding_boxes
from drywallqa.imaging.straight_lines import FoundSeam, find_seam
from drywallqa.synthetic.joints import line_mask
from drywallqa.synthetic.walls import SEAM_LINE, TAPING_AREA

PHRASINGS = ("segment seam line",)
_RECTANGLE = 0.97  # of its bounding box that a piece of a mask fills if it was drawn as a box


@dataclass
class SeamLabels:
    """What was found.

    Attributes:
        labelled: Photos that have lines now.
        absent: Photos without a joint, and so without a line.
        left: Photos in which a line was not sure, or a box was none; they stay unlabelled.
        seams: Sample and frame → what was found there, for a sheet; one copy a photograph.
    """

    labelled: int = 0
    absent: int = 0
    left: int = 0
    seams: list[tuple[Sample, BoundingBox, FoundSeam | None]] = field(default_factory=list)


def add_seam_lines(
    dataset: Dataset,
    *,
    boxes: str = TAPING_AREA,
    concept: str = SEAM_LINE,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Dataset, SeamLabels]:
    """Label the seams of every photo whose boxes all hold a sure one.

    Raises:
        DataError: The data set has no such boxes, or the concept is there already.
    """
    if boxes not in dataset.concepts:
        known = ", ".join(sorted(dataset.concepts)) or "none"
        raise DataError(f"{dataset.folder}: has no concept '{boxes}' (it has: {known})")
    if concept in dataset.concepts:
        raise DataError(f"{dataset.folder}: has a concept '{concept}' already; name another with --concept")
    tally, samples, seen = SeamLabels(), [], set[tuple[str, str]]()
    for number, sample in enumerate(dataset):
        samples.append(_labelled(dataset, sample, boxes, concept, tally, seen))
        if progress:
            progress(number + 1, len(dataset))
    named = {**dataset.concepts, concept: PHRASINGS}
    done = replace(dataset, samples=tuple(samples), concepts=named)
    save_dataset(done)
    return done, tally


def _labelled(
    dataset: Dataset, sample: Sample, boxes: str, concept: str, tally: SeamLabels, seen: set[tuple[str, str]]
) -> Sample:
    if boxes not in sample.labels:
        return sample
    if sample.labels[boxes] is None:
        tally.absent += 1
        return replace(sample, labels={**sample.labels, concept: None})
    mask = dataset.read_mask(sample, boxes)
    photo = dataset.read_photo(sample)
    found = [
        (frame, find_seam(photo, frame) if _is_box(mask, frame) else None) for frame in bounding_boxes(mask)
    ]
    if (sample.set_name, sample.source_photo) not in seen:
        seen.add((sample.set_name, sample.source_photo))
        tally.seams += [(sample, frame, seam) for frame, seam in found]
    lines = [seam.line for _, seam in found if seam is not None and seam.sure]
    if not lines or len(lines) < len(found):
        tally.left += 1
        return sample
    name = Path("masks") / folder_name(concept) / sample.set_name / f"{sample.image_id}.png"
    (dataset.folder / name).parent.mkdir(parents=True, exist_ok=True)
    mask_files.write_mask_file(dataset.folder / name, line_mask(lines, mask.shape))
    tally.labelled += 1
    return replace(sample, labels={**sample.labels, concept: name.as_posix()})


def _is_box(mask: NDArray[np.bool_], frame: BoundingBox) -> bool:
    left, top, right, bottom = frame
    return bool(mask[top:bottom, left:right].mean() >= _RECTANGLE)


def seam_sheet(dataset: Dataset, labels: SeamLabels) -> Image.Image:
    """Draw every box that was searched beside itself with the line that was found, one copy a photograph."""
    sure = [entry for entry in labels.seams if entry[2] is not None and entry[2].sure]
    other = [entry for entry in labels.seams if entry[2] is None or not entry[2].sure]
    kinds = (("Labelled", sure), ("Left alone", other))
    return draw_contact_sheet(
        [titled_section(name, entries, lambda entry: _cell(dataset, *entry)) for name, entries in kinds]
    )


def _cell(dataset: Dataset, sample: Sample, frame: BoundingBox, found: FoundSeam | None) -> SheetCell:
    told = f"{found.depth:.1f} darker, {found.share:.0%} of its length" if found else "no box, or too small"

    def tiles() -> list[Image.Image]:
        photo = Image.fromarray(dataset.read_photo(sample))
        lined = photo.copy()
        pen = ImageDraw.Draw(lined)
        pen.rectangle(frame, outline=(0, 160, 0))
        if found is not None:
            pen.line([found.line.start, found.line.end], fill=MARK)
        margin = max(photo.size) // 25
        left, top, right, bottom = frame
        width, height = photo.size
        box = (
            max(0, left - margin),
            max(0, top - margin),
            min(width, right + margin),
            min(height, bottom + margin),
        )
        return [
            ImageOps.pad(picture.crop(box), (TILE - 4, TILE), color="white") for picture in (photo, lined)
        ]

    return SheetCell((told, f"{sample.split or '-'} {sample.image_id}"), tiles)
