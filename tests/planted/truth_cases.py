"""Labels that are wrong in a way that a good model's masks show: for `diagnose` with the shipped bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from drywallqa.bundle.bundle import DEFAULT
from planted.case import Case, Severity, three
from planted.sets import (
    CRACK,
    TAPING,
    base,
    change_masks,
    copy_set,
    key,
    labelled,
    mask_path,
    pick,
    put,
    resize,
    write_mask,
)


def _diagnose(folder: Path) -> list[str]:
    return ["diagnose", str(DEFAULT), "--data", str(folder / "data")]


def _shifted(folder: Path, severity: Severity, share: float) -> list[str]:
    """Every mask moved down and right by a share of the photo's side; what leaves is lost."""

    def shift(mask: np.ndarray, _: int) -> np.ndarray:
        down, right = (round(side * share) for side in mask.shape)
        moved = np.zeros_like(mask)
        moved[down:, right:] = mask[: mask.shape[0] - down, : mask.shape[1] - right]
        return moved

    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, 1.0, shift)
    return _diagnose(folder)


def _mirrored(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, share, lambda mask, _: mask[:, ::-1])
    return _diagnose(folder)


def _swapped(folder: Path, severity: Severity, share: float) -> list[str]:
    """The class map is the wrong way round: cracks are filed as taping areas and the reverse."""
    data = copy_set(base(folder, severity), folder / "data")
    changed = {
        key(s): replace(s, labels={CRACK: s.labels[TAPING], TAPING: s.labels[CRACK]})
        for s in pick((s for s in data if any(s.labels.values())), share)
    }
    put(data, changed)
    return _diagnose(folder)


def _strangers(folder: Path, severity: Severity, share: float) -> list[str]:
    """Masks dealt out among the photos of a concept, as when lists are sorted in two ways."""
    data = copy_set(base(folder, severity), folder / "data")
    for concept in (CRACK, TAPING):
        chosen = pick(labelled(data, concept), share)
        truths = [data.read_mask(sample, concept) for sample in chosen]
        # inside a part, so that the parts stay what they are
        for sample, mask in zip(chosen, [*truths[1:], truths[0]], strict=True):
            write_mask(mask_path(data, sample, concept), resize(mask, sample.height, sample.width))
    return _diagnose(folder)


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Widen a mask by a number of pixels on every side."""
    wide = mask.astype(np.int32)
    for axis, length in enumerate(mask.shape):
        border = [(radius + 1, radius) if own == axis else (0, 0) for own in (0, 1)]
        sums = np.cumsum(np.pad(wide, border), axis=axis)
        ends = np.arange(length) + 2 * radius + 1
        inside = np.take(sums, ends, axis) - np.take(sums, np.arange(length), axis)
        wide = (inside > 0).astype(np.int32)
    return wide > 0


def _dilated(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, 1.0, lambda mask, _: dilate(mask, round(share * max(mask.shape))), (CRACK,))
    return _diagnose(folder)


def _declared_absent(folder: Path, severity: Severity, share: float) -> list[str]:
    """Photos that show a concept are filed as showing none: labellers missed them."""
    data = copy_set(base(folder, severity), folder / "data")
    changed = {}
    for concept in (CRACK, TAPING):
        for sample in pick(labelled(data, concept), share):
            known = changed.get(key(sample), sample)
            changed[key(sample)] = replace(known, labels={**known.labels, concept: None})
    # a part without any truth could not be judged at all
    for part in ("train", "val", "test"):
        for concept in (CRACK, TAPING):
            first = next(s for s in data.part(part) if s.labels.get(concept))
            changed.pop(key(first), None)
    put(data, changed)
    return _diagnose(folder)


CASES: tuple[Case, ...] = (
    *three(
        "shifted-masks",
        "data",
        "diagnose",
        _shifted,
        (0.03, 0.08, 0.2),
        "All masks are shifted against their photos, by the same step.",
        (r"shift", r"offset", r"displac", r"moved", r"misalign", r"not aligned"),
    ),
    *three(
        "mirrored-masks",
        "data",
        "diagnose",
        _mirrored,
        (0.4, 0.7, 1.0),
        "Masks are mirrored against their photos: photos were flipped and masks were not, or the reverse.",
        (r"mirror", r"flip"),
    ),
    *three(
        "wrong-class-map",
        "data",
        "diagnose",
        _swapped,
        (0.35, 0.7, 1.0),
        "The class map is wrong: truth of cracks is filed under taping area and the reverse.",
        (
            r"swap",
            r"class(es)?.{0,3}map",
            r"exchanged",
            r"mixed up",
            r"interchanged",
            r"the other concept",
            r"wrong (class|concept)",
        ),
    ),
    *three(
        "masks-of-other-photos",
        "data",
        "diagnose",
        _strangers,
        (0.35, 0.7, 1.0),
        "Masks belong to other photos of the data set: photos and masks were paired wrongly.",
        (
            r"other photos?",
            r"another photo",
            r"pair(ed|ing)",
            r"do(es)? not belong",
            r"shuffled",
            r"mismatched",
            r"wrong photo",
        ),
    ),
    *three(
        "dilated-masks",
        "data",
        "diagnose",
        _dilated,
        (0.03, 0.07, 0.15),
        "Masks of cracks are drawn far wider than what they outline.",
        (
            r"(too|far|much|times as|overly) (wide|loose|broad|generous|thick|large)",
            r"dilat",
            r"wider than",
            r"(loose|generous|wide) (labels?|masks?|outlines?)",
        ),
    ),
    *three(
        "declared-absent",
        "data",
        "diagnose",
        _declared_absent,
        (0.35, 0.6, 0.8),
        "Photos that show a concept are labelled as absent: labellers missed objects.",
        (
            r"unlabel",
            r"not labell?ed",
            r"miss(ed|ing) (label|object|annotation|truth)",
            r"labels? (is|are) missing",
            r"labell?ed (as )?absent",
            r"overlooked",
            r"incomplete",
            r"declared absent",
            r"forgotten",
        ),
    ),
)
