"""Audit an export or a data set for leaks, duplicate photos and faulty annotations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.bundle.bundle import load_bundle
from drywallqa.checks.data_checks import (
    PARTS,
    check_boxes,
    check_copies,
    check_problems,
    check_repeats,
    check_sizes,
    check_split,
)
from drywallqa.checks.findings import FaultFinding
from drywallqa.checks.mask_values import check_mask_files
from drywallqa.curation import inventory as inventories
from drywallqa.curation.inventory import AuditedPhoto, Inventory, Progress, Remark
from drywallqa.curation.near_duplicates import NearDuplicate, find_pairs
from drywallqa.curation.twice_labelled import (
    LabelAgreement,
    LabelContradiction,
    agreements,
    contradictions,
)
from drywallqa.datasets import dataset
from drywallqa.errors import DataError
from drywallqa.formats import exports
from drywallqa.formats.annotations import ReadOptions

WAYS = ("both", "source", "hash")


@dataclass(frozen=True)
class Leak:
    """Photos of one split whose source photo is also in another split."""

    split: str
    other: str
    photos: tuple[str, ...]
    of: int
    photographs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the leak as JSON data."""
        return {
            "split": self.split,
            "other": self.other,
            "photos": len(self.photos),
            "of": self.of,
            "photographs": list(self.photographs),
            "names": list(self.photos),
        }


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        inventory: The audited photos and annotations.
        leaks: Source photos that are in two splits.
        near_duplicates: Pairs of source photos that are copies of each other but have different names.
        agreements: For each concept, the agreement of labels between photos that occur under two names. Empty
            for an export that was not imported.
        contradictions: Pairs of copies of one photo whose labels contradict each other. Empty for an export.
    """

    inventory: Inventory
    leaks: Sequence[Leak]
    near_duplicates: Sequence[NearDuplicate]
    agreements: Sequence[LabelAgreement] = ()
    contradictions: Sequence[LabelContradiction] = ()

    @property
    def photographs(self) -> int:
        """The number of different source photos."""
        return len({photo.photograph for photo in self.inventory.photos})

    @property
    def across(self) -> list[NearDuplicate]:
        """Near-duplicates in different splits."""
        return [pair for pair in self.near_duplicates if pair.across]

    @property
    def within(self) -> list[NearDuplicate]:
        """Near-duplicates in the same split, or without a split."""
        return [pair for pair in self.near_duplicates if not pair.across]

    @property
    def duplicate_names(self) -> list[tuple[str, ...]]:
        """Photos of one set whose names differ only in folder or suffix, so that their mask names collide."""
        names: dict[tuple[str, str], list[str]] = defaultdict(list)
        for photo in self.inventory.photos:
            names[photo.set_name, Path(photo.name).stem.lower()].append(photo.name)
        return [tuple(sorted(found)) for found in names.values() if len(found) > 1]

    def is_finding(self, remark: Remark) -> bool:
        """Return whether a remark needs attention.

        Annotations that fill the frame need attention. A box needs attention if at most half of the
        annotations in its class are boxes.
        """
        boxes, annotations = self.inventory.boxes, self.inventory.annotations
        customary = 2 * boxes[remark.group] > annotations[remark.group]
        return remark.kind == inventories.FRAME_FILLING or (
            remark.kind == inventories.BOX_LIKE and not customary
        )

    @property
    def findings(self) -> tuple[Remark, ...]:
        """The remarks that need attention."""
        return tuple(remark for remark in self.inventory.remarks if self.is_finding(remark))

    @property
    def found_something(self) -> bool:
        """Whether the audit found a problem."""
        copies = self.leaks or self.near_duplicates or self.duplicate_names or self.contradictions
        return bool(copies or self.inventory.problems or self.findings or self.likely_causes)

    @cached_property
    def likely_causes(self) -> list[FaultFinding]:
        """The likely causes of the problems, the most likely cause first."""
        sizes: dict[str, list[int]] = defaultdict(list)
        for photo in self.inventory.photos:
            sizes[photo.split or "none"].append(photo.side)
        by_part = {part: [p.photograph for p in self.inventory.photos if p.split == part] for part in PARTS}
        lines = [name for name, settings in load_bundle().concepts.items() if settings.native]
        copies = check_copies([(pair.first.name, pair.second.name) for pair in self.across])
        found = [
            *(check_split(by_part) if self.leaks else copies),
            *check_repeats(len(self.within), self.photographs),
            *check_problems([(p.kind, str(p)) for p in self.inventory.problems], len(self.inventory.photos)),
            *check_mask_files(self.inventory.mask_files),
            *check_boxes(self.inventory.boxes, self.inventory.annotations, lines),
            *check_sizes(sizes),
        ]
        copied = {"photos-repeated", "split-leak"} & {each.name for each in found}
        # Copies of a photo have the same mask, so repeated labels are not a separate problem.
        kept = [each for each in found if not (copied and each.name == "labels-repeated")]
        return sorted(kept, key=lambda each: -each.weight)

    def to_json(self) -> dict[str, Any]:
        """Return the complete report as JSON data."""
        remarks: dict[str, list[dict[str, str]]] = defaultdict(list)
        for remark in self.inventory.remarks:
            remarks[remark.kind].append({"photo": remark.name, "where": remark.where, "class": remark.group})
        return {
            "title": self.inventory.title,
            "photos": len(self.inventory.photos),
            "photographs": self.photographs,
            "splits": dict(Counter(photo.split or "none" for photo in self.inventory.photos)),
            "annotations": dict(self.inventory.annotations),
            "boxes": dict(self.inventory.boxes),
            "ignored_pixels": dict(+self.inventory.ignored),
            "leaks": [leak.to_json() for leak in self.leaks],
            "near_duplicates": [pair.to_json() for pair in self.near_duplicates],
            "duplicate_names": [list(names) for names in self.duplicate_names],
            "labelled_twice": [asdict(each) for each in self.agreements],
            "contradictions": [asdict(each) for each in self.contradictions],
            "problems": [problem.to_json() for problem in self.inventory.problems],
            "remarks": dict(remarks),
            "findings": [each.to_json() for each in self.likely_causes],
            "found_something": self.found_something,
        }


@contextmanager
def audit_source(
    source: str | Path,
    *,
    layout: str = "auto",
    by: str = "both",
    read: ReadOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[AuditReport]:
    """Audit a data set folder or an export. Its photos can be read only inside the `with` block.

    Args:
        source: The folder of an imported data set, or an export (folder or zip file).
        layout: Layout of the export, one of `exports.LAYOUTS`.
        by: How to find copies of a photo. "source" compares file names, "hash" compares perceptual hashes,
            and "both" compares file names and hashes.
        read: Options for information that the export's files do not contain.
        progress: Called with the number of finished photos and the total.

    Yields:
        The report of the audit.

    Raises:
        DataError: The source is damaged, it is neither a data set nor an export, or `by` is unknown.
    """
    if by not in WAYS:
        raise DataError(f"--by {by} is unknown; use one of {', '.join(WAYS)}")
    path = Path(source)
    if (path / "dataset.json").is_file():
        known = dataset.load_dataset(path)
        inventory = inventories.of_dataset(known, progress)
        leaks, pairs = _find_copies(inventory.photos, by)
        yield AuditReport(inventory, leaks, pairs, agreements(known, pairs), contradictions(known, pairs))
        return
    with exports.opened_export(path, layout, read) as export:
        inventory = inventories.of_export(path, export, progress)
        yield AuditReport(inventory, *_find_copies(inventory.photos, by))


def _find_copies(photos: Sequence[AuditedPhoto], by: str) -> tuple[list[Leak], list[NearDuplicate]]:
    leaks = [] if by == "hash" else _find_leaks(photos)
    return leaks, [] if by == "source" or not photos else _find_near_duplicates(photos)


def _find_leaks(photos: Sequence[AuditedPhoto]) -> list[Leak]:
    """Find the photos whose source photo is also in an earlier split (train, val, test)."""
    leaks = []
    parts = {split: [photo for photo in photos if photo.split == split] for split in PARTS}
    for later, split in enumerate(PARTS):
        for other in PARTS[:later]:
            known = {photo.photograph for photo in parts[other]}
            shared = [photo for photo in parts[split] if photo.photograph in known]
            if shared:
                names = tuple(photo.name for photo in shared)
                photographs = tuple(sorted({photo.photograph for photo in shared}))
                leaks.append(Leak(split, other, names, len(parts[split]), photographs))
    return leaks


def _find_near_duplicates(photos: Sequence[AuditedPhoto]) -> list[NearDuplicate]:
    """Find duplicates with different names. Sort pairs across splits first, then by agreement."""
    thumbnails = np.stack([photo.thumbnail for photo in photos])
    best: dict[tuple[str, ...], NearDuplicate] = {}
    for pair in find_pairs(thumbnails, [photo.photograph for photo in photos]):
        first, second = photos[pair.first], photos[pair.second]
        across = first.split != second.split and first.split in PARTS and second.split in PARTS
        key = tuple(sorted((first.photograph, second.photograph)))
        if key not in best or (across and not best[key].across):
            best[key] = NearDuplicate(first, second, pair, across)
    return sorted(best.values(), key=lambda found: (not found.across, -found.pair.agreement))
