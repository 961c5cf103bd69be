"""Find seams inside the boxes of one concept, and label them as a separate concept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from drywallqa.datasets.concepts import folder_name
from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.errors import DataError
from drywallqa.imaging import mask_files
from drywallqa.imaging.contact_sheet import MARK, TILE, SheetCell, draw_contact_sheet, titled_section
from drywallqa.imaging.morphology import BoundingBox, bounding_boxes
from drywallqa.imaging.straight_lines import FoundSeam, find_seam
from drywallqa.synthetic.joints import line_mask

PHRASINGS = ("segment seam line",)
_RECTANGLE = 0.97  # a component counts as a box if it fills at least this share of its bounding box


@dataclass(frozen=True)
class SearchedBox:
    """A searched box in a photo, with the seam found in it.

    The seam is None if the box is too small or not a rectangle.
    """

    sample: Sample
    box: BoundingBox
    seam: FoundSeam | None

    @property
    def sure(self) -> bool:
        """Whether the box has a seam that was found with high confidence."""
        return self.seam is not None and self.seam.sure


@dataclass(frozen=True)
class SeamLabels:
    """The result of a search for seams.

    Attributes:
        dataset: The data set with the new concept.
        labelled: Number of photos whose seam lines are now labelled.
        absent: Number of photos without a box. Their labels state that they show no seam line.
        left: Number of photos that stay unlabelled, because a seam is uncertain or a mask is not a box.
        searched: The searched boxes, from one copy of each source photo.
    """

    dataset: Dataset
    labelled: int
    absent: int
    left: int
    searched: list[SearchedBox]


def add_seam_lines(
    dataset: Dataset, *, boxes: str, concept: str, progress: Callable[[int, int], None] | None = None
) -> SeamLabels:
    """Search all boxes for seams, label the photos in which every seam is certain, and save the data set.

    Args:
        dataset: The data set.
        boxes: The concept whose boxes are searched.
        concept: Name of the new concept.
        progress: Called with the number of finished photos and the total.

    Raises:
        DataError: The data set lacks the concept `boxes`, or already has the new concept.
    """
    if boxes not in dataset.concepts:
        known = ", ".join(sorted(dataset.concepts)) or "none"
        raise DataError(f"{dataset.folder}: has no concept '{boxes}' (it has: {known})")
    if concept in dataset.concepts:
        raise DataError(f"{dataset.folder}: already has a concept '{concept}'; pass another --concept")
    samples: list[Sample] = []
    searched: dict[str, list[SearchedBox]] = {}
    labelled, absent, left = 0, 0, 0
    for number, sample in enumerate(dataset, 1):
        if boxes in sample.labels and sample.labels[boxes] is None:
            absent += 1
            sample = replace(sample, labels={**sample.labels, concept: None})
        elif boxes in sample.labels:
            found = _search(dataset, sample, boxes)
            searched.setdefault(sample.photograph, found)
            if found and all(each.sure for each in found):
                labelled += 1
                sample = _label(dataset, sample, concept, found)
            else:
                left += 1
        samples.append(sample)
        if progress:
            progress(number, len(dataset))
    done = replace(dataset, samples=tuple(samples), concepts={**dataset.concepts, concept: PHRASINGS})
    save_dataset(done)
    return SeamLabels(done, labelled, absent, left, [box for found in searched.values() for box in found])


def _search(dataset: Dataset, sample: Sample, boxes: str) -> list[SearchedBox]:
    mask, photo, found = dataset.read_mask(sample, boxes), dataset.read_photo(sample), []
    for box in bounding_boxes(mask):
        left, top, right, bottom = box
        filled = mask[top:bottom, left:right].mean() >= _RECTANGLE
        found.append(SearchedBox(sample, box, find_seam(photo, box) if filled else None))
    return found


def _label(dataset: Dataset, sample: Sample, concept: str, found: list[SearchedBox]) -> Sample:
    name = Path("masks") / folder_name(concept) / sample.set_name / f"{sample.image_id}.png"
    mask = line_mask([each.seam.line for each in found if each.seam], (sample.height, sample.width))
    mask_files.write_mask_file(dataset.folder / name, mask)
    return replace(sample, labels={**sample.labels, concept: name.as_posix()})


def seam_sheet(labels: SeamLabels) -> Image.Image:
    """Draw a contact sheet that shows each searched box with and without its line."""
    kinds = {"Labelled": True, "Not labelled": False}
    return draw_contact_sheet([
        titled_section(
            title, [each for each in labels.searched if each.sure == sure],
            lambda each: _cell(labels.dataset, each),
        )
        for title, sure in kinds.items()
    ])  # fmt: skip


def _cell(dataset: Dataset, searched: SearchedBox) -> SheetCell:
    seam, sample, (left, top, right, bottom) = searched.seam, searched.sample, searched.box
    text = f"{seam.depth:.1f} darker, {seam.share:.0%} of its length" if seam else "not a box, or too small"

    def tiles() -> list[Image.Image]:
        photo = Image.fromarray(dataset.read_photo(sample))
        lined = photo.copy()
        pen = ImageDraw.Draw(lined)
        pen.rectangle(searched.box, outline=(0, 160, 0))
        if seam is not None:
            pen.line([seam.line.start, seam.line.end], fill=MARK)
        width, height = photo.size
        margin = max(photo.size) // 25
        part = (
            max(0, left - margin), max(0, top - margin), min(width, right + margin),
            min(height, bottom + margin),
        )  # fmt: skip
        return [ImageOps.pad(each.crop(part), (TILE - 4, TILE), color="white") for each in (photo, lined)]

    return SheetCell((text, f"{sample.split or '-'} {sample.image_id}"), tiles)
