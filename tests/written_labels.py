"""Photos with masks for writers, and the labels that the importer reads from a written export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.photo_labels import PhotoLabels, label_photo, unite_entries
from drywallqa.formats.annotations import MaskedPhoto
from drywallqa.formats.exports import read_export

Mask = NDArray[np.bool_]


def masked_photo(folder: Path, name: str, masks: dict[str, Mask | None], **settings: object) -> MaskedPhoto:
    """Write a grey photo of the size of the first mask, or 8×8 px, and describe it with its masks."""
    size = next((mask.shape for mask in masks.values() if mask is not None), (8, 8))
    path = folder / "photos" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, 128, np.uint8)).save(path)
    return MaskedPhoto(name, path, *size, masks, **settings)


def read_back(folder: Path, layout: str) -> dict[str, PhotoLabels]:
    """Read an export as the importer does: the name of each photo, and its labels."""
    export = read_export(folder, layout)
    assert [problem for problem in export.problems if problem.is_loss] == []
    photos, found = unite_entries(export)
    assert found == []
    result = {}
    for photo in photos:
        with Image.open(photo.path) as image:
            result[photo.name] = label_photo(photo, image.height, image.width)
    return result


def large_mask(height: int = 3000, width: int = 4000) -> Mask:
    """A mask of 12 megapixels: branching cracks with rough edges, a frame, rings, and scattered pixels."""
    generator = np.random.default_rng(5)
    mask = np.zeros((height, width), bool)
    rows = np.clip(np.cumsum(generator.integers(-2, 3, (4, width)), axis=1), -height // 3, height // 3)
    for start, path in zip((height // 3, height // 2, height // 2, 2 * height // 3), rows, strict=True):
        for offset in range(int(generator.integers(1, 9))):
            mask[np.clip(start + path + offset, 0, height - 1), np.arange(width)] = True
    mask[::370, ::410] ^= True
    mask[:, 0] = mask[-1] = True
    y, x = np.ogrid[:height, :width]
    mask |= ((y - height / 2) ** 2 + (x - width / 2) ** 2).astype(int) // 60_000 % 5 == 4
    return mask


def small_masks() -> dict[str, Mask]:
    """Masks of 40×50 px that break tracers and encodings, by name; one is empty."""
    y, x = np.indices((40, 50))
    edge = np.minimum.reduce([x, y, 49 - x, 39 - y])
    return {
        "empty": x < 0,
        "full": x >= 0,
        "pixel": (x == 7) & (y == 9),
        "corner": (x == 49) & (y == 39),
        "hole": (edge >= 3) & ~((x > 10) & (x < 20) & (y > 8) & (y < 30)),
        "holes in holes": edge % 4 < 2,
        "lines": (x % 9 == 0) | (y == 20),
        "diagonals": (x + y) % 7 == 0,
        "checks": (x + y) % 2 == 0,
        "border": edge == 0,
        "noise": np.random.default_rng(1).random((40, 50)) < 0.5,
    }
