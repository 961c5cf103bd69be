"""Checks of a data set's parts: empty ones, broken photos, photographs on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from drywallqa.checks.dataset_parts import check_sizes
from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.diagnosis.probe import ProbePhoto
from drywallqa.errors import DrywallQAError
from drywallqa.evaluation import leaks
from drywallqa.imaging import perceptual_hash

MOST_HASHED = 600
"""Training photos up to which all of them are held against the others; beyond it `data audit` does."""


def check_parts(dataset: Dataset) -> list[FaultFinding]:
    """Check that no part is empty, and that no photograph lies in two, by its name."""
    parts = {name: list(dataset.part(name)) for name in ("train", "val", "test")}
    found = []
    if not any(parts.values()):
        what = f"none of {len(dataset)} photos is in train, val or test"
        found.append(finding_of("split-empty", what, 0.9))
    for later, other in (("val", "train"), ("test", "train"), ("test", "val")):
        known = {_photograph(sample) for sample in parts[other]}
        shared = [sample for sample in parts[later] if _photograph(sample) in known]
        if shared:
            names = name_some(dict.fromkeys(_photograph(sample) for sample in shared), 3)
            what = f"{len(shared)} of {len(parts[later])} {later} photos share their photograph "
            what += f"with {other} ({names})"
            found.append(finding_of("split-leak", what, 0.96))
    return [*found, *check_sizes({name: [_side(s) for s in members] for name, members in parts.items()})]


def _side(sample: Sample) -> int:
    return max(sample.height, sample.width)


def _photograph(sample: Sample) -> str:
    return sample.photograph


def check_broken(broken: Sequence[tuple[str, str]], sound: int) -> list[FaultFinding]:
    """Report photos that could not be used."""
    if not broken:
        return []
    what = f"{len(broken)} of {len(broken) + sound} photos cannot be used; the first: {broken[0][1]}"
    sizes = sum("the mask is" in reason or "the photo is" in reason for _, reason in broken)
    case = "masks-size" if 2 * sizes > len(broken) else "photos-broken"
    return [finding_of(case, what, 0.9 + 0.09 * len(broken) / (len(broken) + sound))]


def check_pictures(
    dataset: Dataset, exhibits: Sequence[ProbePhoto], training_hashes: Sequence[int]
) -> list[FaultFinding]:
    """Check by their look whether photos of val and test were trained on, or lie in train, too.

    Args:
        dataset: All photos.
        exhibits: Those that were read.
        training_hashes: Of the photos that the model was trained on.
    """
    thumbnails = {
        e.sample.photo: perceptual_hash.thumbnail(e.photo)
        for e in exhibits
        if e.sample.split in ("val", "test")
    }
    found = []
    known = leaks.find_training_leaks(thumbnails, training_hashes)
    if known:
        what = f"{len(known)} of {len(thumbnails)} val and test photos show what the model was trained on"
        found.append(finding_of("trained-on-test", f"{what} ({name_some(sorted(known), 3)})", 0.95))
    train = dataset.part("train")
    if not thumbnails or len(train) > MOST_HASHED:
        return found
    hashes = []
    for sample in train:
        with suppress(DrywallQAError):  # broken photos are reported by themselves
            hashes.append(perceptual_hash.perceptual_hash(dataset.read_photo(sample)))
    again = leaks.find_training_leaks(thumbnails, hashes)
    if again:
        what = f"{len(again)} of {len(thumbnails)} val and test photos look like photos of train"
        found.append(finding_of("split-leak", f"{what} ({name_some(sorted(again), 3)})", 0.955))
    return found
