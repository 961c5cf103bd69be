"""The audit of an export or a data set: what makes figures lie, and what is wrong with annotations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.checks.dataset_parts import (
    check_boxes,
    check_copies,
    check_problems,
    check_repeats,
    check_sizes,
)
from drywallqa.checks.findings import FaultFinding
from drywallqa.checks.mask_values import check_mask_files
from drywallqa.curation import inventory as inventories
from drywallqa.curation.inventory import AuditedPhoto, Inventory, Progress, Remark
from drywallqa.curation.near_duplicates import NearDuplicate, find_pairs
from drywallqa.curation.twice_labelled import LabelAgreement, agreements
from drywallqa.datasets import dataset, exports
from drywallqa.datasets.problems import Problem
from drywallqa.errors import DataError

WAYS = ("both", "source", "hash")
SIDES = ("train", "val", "test")
"""The parts of a split that must not share a photograph."""


@dataclass(frozen=True)
class Leak:
    """Photos of one part whose photograph is in another part too."""

    split: str
    other: str
    photos: tuple[str, ...]
    of: int
    photographs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Describe the leak as plain data."""
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
    """All that an audit found.

    Attributes:
        inventory: What was looked at.
        leaks: Parts that share photographs.
        near_duplicates: Photographs under several names.
        duplicate_names: Photos whose masks would bear one name.
        agreements: How far labels of one picture under two names agree; of an imported data set only.
    """

    inventory: Inventory
    leaks: tuple[Leak, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    duplicate_names: tuple[tuple[str, ...], ...]
    agreements: tuple[LabelAgreement, ...] = ()

    def boxes_by_design(self, group: str) -> bool:
        """Say whether most annotations of a class are boxes, so that a box of it is no surprise."""
        return 2 * self.inventory.boxes[group] > self.inventory.annotations[group]

    def is_finding(self, remark: Remark) -> bool:
        """Say whether a remark needs a person's attention; a photo without annotations does not."""
        if remark.kind == inventories.NO_ANNOTATION:
            return False
        return remark.kind != inventories.BOX_LIKE or not self.boxes_by_design(remark.group)

    @property
    def findings(self) -> tuple[Remark, ...]:
        """Return the annotations that look wrong."""
        return tuple(remark for remark in self.inventory.remarks if self.is_finding(remark))

    @property
    def found_something(self) -> bool:
        """Say whether anything needs a person's attention."""
        problems: Sequence[Problem] = self.inventory.problems
        seen = self.leaks or self.near_duplicates or self.duplicate_names or problems or self.findings
        return bool(seen or self.likely_causes())

    def photographs(self) -> int:
        """Count the photographs behind the photos."""
        return len({photo.photograph for photo in self.inventory.photos})

    def likely_causes(self) -> list[FaultFinding]:
        """Return the likely causes behind all that was found, the surest first."""
        across = [pair for pair in self.near_duplicates if pair.across]
        sizes: dict[str, list[int]] = defaultdict(list)
        for photo in self.inventory.photos:
            if photo.side:
                sizes[photo.split or "none"].append(photo.side)
        leaks = [(f"{leak.split} in {leak.other}", len(leak.photos), leak.of) for leak in self.leaks]
        found = [
            *check_copies(leaks, [(pair.first.name, pair.second.name) for pair in across]),
            *check_repeats(len(self.near_duplicates) - len(across), self.photographs()),
            *check_problems([(p.kind, str(p)) for p in self.inventory.problems], len(self.inventory.photos)),
            *check_mask_files(self.inventory.mask_files),
            *check_boxes(self.inventory.boxes, self.inventory.annotations),
            *check_sizes(sizes),
        ]
        copied = {"photos-repeated", "split-leak"} & {each.name for each in found}
        # copies of a photo bring its masks along
        kept = [each for each in found if not (copied and each.name == "labels-repeated")]
        return sorted(kept, key=lambda each: -each.weight)

    def to_json(self) -> dict[str, Any]:
        """Describe the report as plain data, complete."""
        splits: Counter[str] = Counter(photo.split or "none" for photo in self.inventory.photos)
        remarks: dict[str, list[dict[str, str]]] = defaultdict(list)
        for remark in self.inventory.remarks:
            remarks[remark.kind].append({"photo": remark.name, "where": remark.where, "class": remark.group})
        return {
            "title": self.inventory.title,
            "photos": len(self.inventory.photos),
            "photographs": self.photographs(),
            "splits": dict(splits),
            "annotations": dict(self.inventory.annotations),
            "boxes": dict(self.inventory.boxes),
            "leaks": [leak.to_json() for leak in self.leaks],
            "near_duplicates": [pair.to_json() for pair in self.near_duplicates],
            "duplicate_names": [list(names) for names in self.duplicate_names],
            "labelled_twice": [each.to_json() for each in self.agreements],
            "problems": [problem.to_json() for problem in self.inventory.problems],
            "remarks": dict(remarks),
            "findings": [each.to_json() for each in self.likely_causes()],
            "found_something": self.found_something,
        }


@contextmanager
def audit_source(
    source: str | Path, *, layout: str = "auto", by: str = "both", progress: Progress | None = None
) -> Iterator[AuditReport]:
    """Audit a data set folder or an export; the photos stay readable as long as the context.

    Args:
        source: A folder that an import wrote, or an export (folder or zip).
        layout: The export's layout, see `exports.LAYOUTS`.
        by: Look for copies by their "source" names, by "hash", or "both".
        progress: Called with photos done and photos in all.

    Yields:
        The report.

    Raises:
        DataError: The source is neither, or damaged.
    """
    if by not in WAYS:
        raise DataError(f"--by {by} is not known; it is one of {', '.join(WAYS)}")
    path = Path(source)
    if (path / "dataset.json").is_file():
        known = dataset.load_dataset(path)
        found = audit_report(inventories.of_dataset(known, progress), by)
        yield replace(found, agreements=tuple(agreements(known, found.near_duplicates)))
        return
    with exports.opened_export(path, layout) as export:
        yield audit_report(inventories.of_export(path, export, progress), by)


def audit_report(inventory: Inventory, by: str = "both") -> AuditReport:
    """Draw the conclusions from an inventory."""
    leaks = find_split_leaks(inventory.photos) if by in {"both", "source"} else ()
    pairs = find_near_duplicates(inventory.photos) if by in {"both", "hash"} else ()
    return AuditReport(inventory, tuple(leaks), tuple(pairs), tuple(_duplicate_names(inventory.photos)))


def find_split_leaks(photos: Sequence[AuditedPhoto]) -> list[Leak]:
    """Find, for each two parts, the photos of the later part whose photograph is in the earlier one."""
    leaks = []
    by_split: dict[str, list[AuditedPhoto]] = defaultdict(list)
    for photo in photos:
        by_split[photo.split or ""].append(photo)
    for later, split in enumerate(SIDES):
        for other in SIDES[:later]:
            known = {photo.photograph for photo in by_split[other]}
            shared = [photo for photo in by_split[split] if photo.photograph in known]
            if shared:
                names = tuple(photo.name for photo in shared)
                photographs = tuple(sorted({photo.photograph for photo in shared}))
                leaks.append(Leak(split, other, names, len(by_split[split]), photographs))
    return leaks


def find_near_duplicates(photos: Sequence[AuditedPhoto]) -> list[NearDuplicate]:
    """Find photographs of different names that show the same, those across parts first, then the surest."""
    if not photos:
        return []
    thumbnails = np.stack([photo.thumbnail for photo in photos])
    best: dict[tuple[str, ...], NearDuplicate] = {}
    for pair in find_pairs(thumbnails, [photo.photograph for photo in photos]):
        first, second = photos[pair.first], photos[pair.second]
        across = first.split != second.split and first.split in SIDES and second.split in SIDES
        key = tuple(sorted((first.photograph, second.photograph)))
        found = best.get(key)
        if found is None or (across and not found.across):
            best[key] = NearDuplicate(first, second, pair, across)
    return sorted(best.values(), key=lambda found: (not found.across, -found.pair.agreement))


def _duplicate_names(photos: Sequence[AuditedPhoto]) -> list[tuple[str, ...]]:
    """Find photos of one set that differ in folder or suffix only; their masks would bear one name."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for photo in photos:
        names[photo.set_name, Path(photo.name).stem.lower()].append(photo.name)
    return [tuple(sorted(found)) for found in names.values() if len(found) > 1]
