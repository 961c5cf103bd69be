"""Checks of a data set's parts: empty ones, and photographs that lie in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from drywallqa.checks.data_checks import PARTS, check_sizes, check_split
from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.datasets.dataset import Dataset
from drywallqa.diagnosis.probe import ProbePhoto
from drywallqa.errors import DrywallQAError
from drywallqa.evaluation import leaks
from drywallqa.imaging import perceptual_hash

MOST_HASHED = 600
"""Training photos up to which all of them are compared with the others; `data audit` has no such limit."""


def check_parts(dataset: Dataset) -> list[FaultFinding]:
    """Check that a part has photos, that they are of one size, and that no photograph's name is in two."""
    parts = {name: list(dataset.part(name)) for name in PARTS}
    found = []
    if not any(parts.values()):
        text = f"none of {len(dataset)} photos is in train, val or test"
        found.append(finding_of("split-empty", text, 0.9))
    photographs = {name: [sample.photograph for sample in members] for name, members in parts.items()}
    sizes = {name: [max(s.height, s.width) for s in members] for name, members in parts.items()}
    return [*found, *check_split(photographs), *check_sizes(sizes)]


def check_pictures(
    dataset: Dataset, photos: Sequence[ProbePhoto], training_hashes: Sequence[int]
) -> list[FaultFinding]:
    """Check by their pixels that photos of val and test were not trained on and do not lie in train.

    Args:
        dataset: All photos.
        photos: Those that were read.
        training_hashes: Of the photos that the model was trained on.
    """
    held_out = [p for p in photos if p.sample.split in ("val", "test")]
    thumbnails = {p.sample.photo: perceptual_hash.thumbnail(p.photo) for p in held_out}
    train, hashes = dataset.part("train"), []
    for sample in train if thumbnails and len(train) <= MOST_HASHED else ():
        with suppress(DrywallQAError):  # broken photos are a finding of their own
            hashes.append(perceptual_hash.perceptual_hash(dataset.read_photo(sample)))
    found = []
    for fault, weight, known, text in (
        ("trained-on-test", 0.95, training_hashes, "show what the model was trained on"),
        ("split-leak", 0.955, hashes, "look like photos of train"),
    ):
        same = sorted(leaks.find_training_leaks(thumbnails, known))
        if same:
            count = f"{len(same)} of {len(thumbnails)} val and test photos {text}"
            found.append(finding_of(fault, f"{count} ({name_some(same, 3)})", weight))
    return found
