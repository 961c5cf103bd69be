"""Labels and photos that are damaged in a way that the data alone shows: for `audit`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

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
    write_photo,
)


def _audit(folder: Path) -> list[str]:
    return ["data", "audit", str(folder / "data")]


def _truncated(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    for sample in pick(data, share):
        path = data.photo_path(sample)
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[: len(content) * 2 // 5])
    return _audit(folder)


def _empty(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, share, lambda mask, _: np.zeros_like(mask))
    return _audit(folder)


def _inverted(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, share, lambda mask, _: ~mask)
    return _audit(folder)


def _zero_and_one(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    for concept in (CRACK, TAPING):
        for sample in pick(labelled(data, concept), share):
            ones = data.read_mask(sample, concept).astype(np.uint8)
            path = mask_path(data, sample, concept)
            path.unlink()
            Image.fromarray(ones).save(path)
    return _audit(folder)


def _other_size(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, share, lambda m, _: resize(m, m.shape[0] // 2, m.shape[1] // 2))
    return _audit(folder)


def bounding_box(mask: np.ndarray, _: int = 0) -> np.ndarray:
    """Fill the upright box around everything marked."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.zeros_like(mask)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


def _boxes(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    change_masks(data, share, bounding_box, (CRACK,))
    return _audit(folder)


def _other_resolution(folder: Path, severity: Severity, divisor: float) -> list[str]:
    """Photos of val and test at a fraction of train's size, masks with them."""
    data = copy_set(base(folder, severity), folder / "data")
    changed = {}
    for sample in data.part("val", "test"):
        height, width = round(sample.height / divisor), round(sample.width / divisor)
        write_photo(data.photo_path(sample), resize(data.read_photo(sample), height, width))
        for concept in [c for c, path in sample.labels.items() if path]:
            mask = data.read_mask(sample, concept)
            write_mask(mask_path(data, sample, concept), resize(mask, height, width))
        changed[key(sample)] = replace(sample, height=height, width=width)
    put(data, changed)
    return _audit(folder)


CASES: tuple[Case, ...] = (
    *three(
        "truncated-photos",
        "data",
        "audit",
        _truncated,
        (0.05, 0.2, 0.6),
        "Photo files are cut short (a download or copy that broke off).",
        (
            r"truncat",
            r"cut (short|off)",
            r"unreadable",
            r"damaged",
            r"broken",
            r"cannot be read",
            r"incomplete",
        ),
    ),
    *three(
        "empty-masks",
        "data",
        "audit",
        _empty,
        (0.15, 0.5, 1.0),
        "Masks of photos that are labelled as showing a concept are empty.",
        (r"empty", r"no foreground", r"nothing (is )?marked", r"blank", r"all (black|background|zero)"),
    ),
    *three(
        "inverted-masks",
        "data",
        "audit",
        _inverted,
        (0.15, 0.5, 1.0),
        "Masks are inverted: background is marked, the concept is not.",
        (r"invert", r"negative of", r"swapped foreground", r"background (is )?marked"),
    ),
    *three(
        "masks-of-zero-and-one",
        "data",
        "audit",
        _zero_and_one,
        (0.25, 0.6, 1.0),
        "Mask files hold 0 and 1 where 0 and 255 are expected, so that they are read as empty.",
        (
            r"0 and 1\b",
            r"0[–-]1\b",
            r"\{0, ?1\}",
            r"value range",
            r"\b255\b",
            r"masks?.range",
            r"scaled? (to|by)",
        ),
    ),
    *three(
        "masks-of-another-size",
        "data",
        "audit",
        _other_size,
        (0.05, 0.3, 1.0),
        "Masks have another size than their photos.",
        (
            r"another size",
            r"different sizes?",
            r"sizes? differ",
            r"size (mismatch|of the mask)",
            r"same size",
            r"mask.{0,20}size",
            r"size.{0,30}mask",
        ),
    ),
    *three(
        "boxes-for-outlines",
        "data",
        "audit",
        _boxes,
        (0.35, 0.7, 1.0),
        "Cracks are labelled by upright boxes, not by their outlines.",
        (r"\bbox(es)?\b", r"rectang"),
    ),
    *three(
        "parts-of-different-resolution",
        "data",
        "audit",
        _other_resolution,
        (2.0, 4.0, 8.0),
        "Photos of val and test have a fraction of train's resolution: their objects are of another scale.",
        (
            r"resolution",
            r"\bscale",
            r"sizes? of (the )?photos?",
            r"photo sizes?",
            r"(smaller|larger) (photos|in)",
        ),
    ),
)
