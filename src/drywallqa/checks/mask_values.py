"""Checks of the pixel values in mask files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.imaging.photos import open_picture

NOISY = 0.03
"""Ratio of stray pixels and holes to the mask's area above which a mask is noisy. Drawn masks have none."""
INVERTED = 0.7
"""Share of the photo above which a mask may be inverted."""


@dataclass(frozen=True)
class MaskFacts:
    """Properties of one mask file.

    Attributes:
        name: The file's name.
        photograph: The source photo of the mask.
        high: Largest pixel value.
        grey: Share of pixels that are neither 0 nor 255.
        share: Share of pixels above 127, which count as foreground.
        stray: Number of lone foreground pixels and one-pixel holes, relative to the foreground area.
        frame: Share of the pixels on the photo's border that are foreground.
        digest: SHA-256 of the pixels; "" for an empty or rectangular mask, because two such masks may be
            equal by chance.
    """

    name: str
    photograph: str
    high: int
    grey: float
    share: float
    stray: float
    frame: float
    digest: str


def describe_mask_file(name: str, photograph: str, values: NDArray[np.uint8]) -> MaskFacts:
    """Derive the properties of a mask file from its pixel values [H,W]."""
    mask = values > 127
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    area = int(mask.sum())
    rectangle = area == int(mask.any(axis=1).sum()) * int(mask.any(axis=0).sum())
    return MaskFacts(
        name,
        photograph,
        int(values.max()),
        float(((values != 0) & (values != 255)).mean()),
        area / mask.size,
        _count_stray(mask) / max(area, 1),
        float(edge.mean()),
        "" if rectangle else hashlib.sha256(np.packbits(mask).tobytes()).hexdigest(),
    )


def read_facts(path: Path, name: str, photograph: str) -> MaskFacts:
    """Read a mask file and return its properties."""
    with open_picture(path) as image:
        return describe_mask_file(name, photograph, np.asarray(image.convert("L")))


def _count_stray(mask: NDArray[np.bool_]) -> int:
    """Count marked pixels with at most one marked neighbour, and other pixels with at least seven."""
    padded = np.pad(mask.astype(np.int8), 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - mask
    return int(np.count_nonzero(mask & (around <= 1)) + np.count_nonzero(~mask & (around >= 7)))


def check_mask_files(facts: Sequence[MaskFacts]) -> Iterator[FaultFinding]:
    """Check all mask files of a data set, or a sample of these files."""
    count = len(facts)
    dim = [f for f in facts if 0 < f.high <= 127]
    grey = [f for f in facts if f.grey > 0.002]
    if dim:
        text = f"have values up to {max(f.high for f in dim)} instead of 255, so they count as empty"
        yield _finding("masks-range", dim, count, text, 0.85, 0.1)
    elif len(grey) >= max(2, 0.05 * count):
        yield _finding("masks-range", grey, count, "have values between 0 and 255", 0.6, 0.0)
    blank = [f for f in facts if f.high == 0]
    if blank:
        fault = "masks-empty" if len(blank) == count else "labels-missing"
        yield _finding(fault, blank, count, "mark no pixel", 0.6, 0.35)
    filled = [f for f in facts if f.share >= INVERTED and f.frame >= 0.7]
    whole = [f for f in filled if f.share > 0.98]
    if len(whole) >= max(2, 0.1 * count) and len(whole) > 0.5 * len(filled):
        yield _finding("masks-full", whole, count, "fill the photo", 0.7, 0.25)
    elif len(filled) >= max(2, 0.04 * count):
        text = "mark nearly the whole photo, including its border, and leave out an area inside"
        yield _finding("labels-inverted", filled, count, text, 0.7, 0.25)
    noisy = [f for f in facts if f.stray > NOISY]
    if len(noisy) >= max(2, 0.05 * count):
        text = f"have many stray pixels and holes ({np.median([f.stray for f in noisy]):.0%} of the area)"
        yield _finding("labels-noisy", noisy, count, text, 0.75, 0.2)
    same: dict[str, set[str]] = defaultdict(set)
    for each in facts:
        if each.digest and each.share < INVERTED:
            same[each.digest].add(each.photograph)
    repeated = [f for f in facts if len(same.get(f.digest, ())) > 1]
    if len(repeated) >= max(3, 0.05 * count):
        yield _finding("labels-repeated", repeated, count, "equal the mask of another photo", 0.75, 0.2)


def _finding(
    fault: str, some: Sequence[MaskFacts], count: int, text: str, least: float, more: float
) -> FaultFinding:
    """Create a finding about some of the `count` files, with weight `least` + `more` × their share."""
    evidence = f"{len(some)} of {count} mask files {text} ({name_some([f.name for f in some], 2)})"
    return finding_of(fault, evidence, least + more * len(some) / count)
