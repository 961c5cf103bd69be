"""Checks of mask files as they lie on disk, before anybody turns them into truth. They need numpy alone."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.imaging.photos import open_picture

NOISY = 0.03
"""Stray pixels and holes, relative to the mask's area, from which a mask is noise; drawn ones have none."""
INVERTED = 0.7
"""Share of the photo above which a mask is suspected to be inverted."""


@dataclass(frozen=True)
class MaskFacts:
    """What one mask file is like.

    Attributes:
        name: The file.
        photograph: The photograph that it belongs to.
        low: Smallest value.
        high: Largest value.
        grey: Share of pixels that are neither 0 nor 255.
        share: Share of pixels above 127, which count as foreground.
        stray: Lone foreground pixels and one-pixel holes, over the foreground.
        frame: Share of the photo's outermost pixels that are foreground.
        digest: Of its pixels; empty where they are none or one rectangle, which may recur by chance.
    """

    name: str
    photograph: str
    low: int
    high: int
    grey: float
    share: float
    stray: float
    frame: float
    digest: str


def describe_mask_file(name: str, photograph: str, values: NDArray[np.uint8]) -> MaskFacts:
    """Describe a mask file's values [H,W]."""
    mask = values > 127
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    area = int(mask.sum())
    return MaskFacts(
        name,
        photograph,
        int(values.min()),
        int(values.max()),
        float(((values != 0) & (values != 255)).mean()),
        area / mask.size,
        _stray(mask) / max(area, 1),
        float(edge.mean()),
        "" if _is_plain(mask) else hashlib.sha256(np.packbits(mask).tobytes()).hexdigest(),
    )


def _is_plain(mask: NDArray[np.bool_]) -> bool:
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    return int(mask.sum()) == int(rows.sum()) * int(columns.sum())


def read_facts(path: Path, name: str, photograph: str) -> MaskFacts:
    """Describe a mask file that can be read."""
    with open_picture(path) as image:
        return describe_mask_file(name, photograph, np.asarray(image.convert("L")))


def _stray(mask: NDArray[np.bool_]) -> int:
    """Count foreground pixels with at most one neighbour, and background ones with at least seven."""
    padded = np.pad(mask.astype(np.int8), 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - mask
    return int(np.count_nonzero(mask & (around <= 1)) + np.count_nonzero(~mask & (around >= 7)))


def check_mask_files(facts: Sequence[MaskFacts]) -> list[FaultFinding]:
    """Check the mask files of a data set, or of a sample of it."""
    if not facts:
        return []
    return [*_values(facts), *_areas(facts), *_noise(facts), *_repeated(facts)]


def _values(facts: Sequence[MaskFacts]) -> list[FaultFinding]:
    dim = [f for f in facts if 0 < f.high <= 127]
    grey = [f for f in facts if f.grey > 0.002 and f not in dim]
    found = []
    if dim:
        top = max(f.high for f in dim)
        what = f"{len(dim)} of {len(facts)} mask files hold values up to {top} where 255 means foreground, "
        found.append(
            finding_of(
                "masks-range",
                f"{what}so that they read as empty ({_names(dim)})",
                0.85 + 0.1 * len(dim) / len(facts),
            )
        )
    if len(grey) >= max(2, 0.05 * len(facts)):
        what = f"{len(grey)} of {len(facts)} mask files hold values between 0 and 255 ({_names(grey)})"
        found.append(finding_of("masks-range", what, 0.6))
    return found[:1]


def _areas(facts: Sequence[MaskFacts]) -> list[FaultFinding]:
    blank = [f for f in facts if f.high == 0]
    filled = [f for f in facts if f.share >= INVERTED and f.frame >= 0.7]
    whole = [f for f in filled if f.share > 0.98]
    found = []
    if len(blank) == len(facts):
        found.append(finding_of("masks-empty", f"all {len(facts)} mask files looked at are empty", 0.95))
    elif blank:
        what = f"{len(blank)} of {len(facts)} mask files mark not one pixel ({_names(blank)})"
        found.append(finding_of("labels-missing", what, 0.6 + 0.35 * len(blank) / len(facts)))
    if len(whole) >= max(2, 0.1 * len(facts)) and len(whole) > 0.5 * len(filled):
        what = f"{len(whole)} of {len(facts)} mask files fill the photo ({_names(whole)})"
        found.append(finding_of("masks-full", what, 0.7 + 0.25 * len(whole) / len(facts)))
    elif len(filled) >= max(2, 0.04 * len(facts)):
        what = (
            f"{len(filled)} of {len(facts)} mask files mark nearly the whole photo, its edge included, and "
        )
        found.append(
            finding_of(
                "labels-inverted",
                f"{what}leave out a part inside ({_names(filled)})",
                0.7 + 0.25 * len(filled) / len(facts),
            )
        )
    return found


def _noise(facts: Sequence[MaskFacts]) -> list[FaultFinding]:
    noisy = [f for f in facts if f.stray > NOISY]
    if len(noisy) < max(2, 0.05 * len(facts)):
        return []
    usual = float(np.median([f.stray for f in noisy]))
    what = (
        f"{len(noisy)} of {len(facts)} mask files are full of lone pixels and holes ({usual:.0%} of the area"
    )
    return [finding_of("labels-noisy", f"{what}; {_names(noisy)})", 0.75 + 0.2 * len(noisy) / len(facts))]


def _repeated(facts: Sequence[MaskFacts]) -> list[FaultFinding]:
    same: dict[str, set[str]] = defaultdict(set)
    for each in facts:
        if each.digest and each.share < INVERTED:
            same[each.digest].add(each.photograph)
    repeated = [f for f in facts if len(same.get(f.digest, ())) > 1]
    if len(repeated) < max(3, 0.05 * len(facts)):
        return []
    what = f"{len(repeated)} of {len(facts)} mask files equal that of another photograph ({_names(repeated)})"
    return [finding_of("labels-repeated", what, 0.75 + 0.2 * len(repeated) / len(facts))]


def _names(facts: Sequence[MaskFacts]) -> str:
    return name_some([f.name for f in facts], 2)
