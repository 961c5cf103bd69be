"""Photographs on both sides of a split, and copies within one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from drywallqa.datasets.dataset import Dataset, Sample
from planted.case import Case, Severity, three
from planted.sets import (
    PhotoChange,
    base,
    copy_set,
    link,
    pick,
    put,
    resize,
    write_mask,
    write_photo,
)

_LEAK = (r"leak", r"both sides", r"test.{0,40}train", r"train.{0,40}test", r"across (the )?(splits?|parts)")
_COPIES = (
    *_LEAK,
    r"(near-?|exact )?duplicates?.{0,40}(parts|split)",
    r"same photo(graph)?s?.{0,40}(parts|split)",
)


def copies(
    dataset: Dataset, samples: list[Sample], part: str, change: PhotoChange | None, quality: int = 95,
    keep_source: bool = False,
) -> list[Sample]:  # fmt: skip
    """Write copies of samples under other names into a part; without a change they are the same bytes.

    Args:
        dataset: Where they lie.
        samples: What to copy.
        part: The part that the copies belong to.
        change: Applied to photo and masks alike.
        quality: Of the JPEG.
        keep_source: Whether the copies name the photograph that they come from.
    """
    made = []
    for number, sample in enumerate(samples):
        name = f"{sample.source_photo}.rf.{number:08x}" if keep_source else f"site-{part}-{number:04d}"
        photo = f"photos/{sample.set_name}/{name}.jpg"
        labels: dict[str, str | None] = dict(sample.labels)
        (dataset.folder / photo).parent.mkdir(parents=True, exist_ok=True)
        if change is None:
            link(str(dataset.photo_path(sample)), str(dataset.folder / photo))
            height, width = sample.height, sample.width
        else:
            changed = change(dataset.read_photo(sample))
            height, width = changed.shape[:2]
            write_photo(dataset.folder / photo, changed, quality)
            for concept in [c for c, path in labels.items() if path]:
                labels[concept] = f"masks/{concept}/{sample.set_name}/{name}.png"
                mask = change(dataset.read_mask(sample, concept))
                write_mask(dataset.folder / str(labels[concept]), mask)
        source = sample.source_photo if keep_source else name
        made.append(
            replace(
                sample,
                image_id=name,
                photo=photo,
                source_photo=source,
                split=part,
                labels=labels,
                height=height,
                width=width,
            )
        )
    return made


def _audit(folder: Path) -> list[str]:
    return ["data", "audit", str(folder / "data")]


def _bytes(folder: Path, severity: Severity, share: float) -> list[str]:
    data = copy_set(base(folder, severity), folder / "data")
    put(data, {}, copies(data, pick(data.part("test"), share), "train", None))
    return _audit(folder)


def _encoded(folder: Path, severity: Severity, value: tuple[float, int, float]) -> list[str]:
    share, quality, scale = value

    def smaller(picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        return resize(picture, round(height * scale), round(width * scale))

    data = copy_set(base(folder, severity), folder / "data")
    put(data, {}, copies(data, pick(data.part("test"), share), "train", smaller, quality))
    return _audit(folder)


def _mirrored(folder: Path, severity: Severity, value: tuple[float, int]) -> list[str]:
    share, turns = value
    data = copy_set(base(folder, severity), folder / "data")
    changed = copies(
        data, pick(data.part("test"), share), "train", lambda p: np.rot90(p[:, ::-1], turns), quality=88
    )
    put(data, {}, changed)
    return _audit(folder)


def _dealt_by_copy(folder: Path, severity: Severity, share: float) -> list[str]:
    """Augmented copies that name their photograph, dealt to train and test as if each stood alone."""

    def brighter(picture: np.ndarray) -> np.ndarray:
        if picture.dtype == bool:
            return picture
        return np.clip(picture.astype(np.float32) * 1.15 + 6, 0, 255).astype(np.uint8)

    data = copy_set(base(folder, severity), folder / "data")
    chosen = pick(data.part("test"), share)
    put(data, {}, copies(data, chosen, "train", brighter, keep_source=True))
    return _audit(folder)


def _repeated(folder: Path, severity: Severity, value: tuple[float, int]) -> list[str]:
    share, times = value
    data = copy_set(base(folder, severity), folder / "data")
    chosen = pick(data.part("train"), share)
    put(data, {}, copies(data, chosen * times, "train", None))
    return _audit(folder)


CASES: tuple[Case, ...] = (
    *three(
        "test-photos-in-train",
        "data",
        "audit",
        _bytes,
        (0.15, 0.4, 1.0),
        "Photos of the test part lie in train too, byte for byte, under other names.",
        _COPIES,
    ),
    *three(
        "test-photos-re-encoded-in-train",
        "data",
        "audit",
        _encoded,
        ((0.15, 85, 1.0), (0.4, 60, 0.75), (1.0, 35, 0.5)),
        "Photos of the test part lie in train too, saved anew and resized, under other names.",
        _COPIES,
    ),
    *three(
        "test-photos-mirrored-in-train",
        "data",
        "audit",
        _mirrored,
        ((0.15, 0), (0.4, 1), (1.0, 2)),
        "Photos of the test part lie in train too, mirrored or turned, under other names.",
        _COPIES,
    ),
    *three(
        "dealt-by-copy",
        "data",
        "audit",
        _dealt_by_copy,
        (0.15, 0.4, 1.0),
        "The split dealt augmented copies, not photographs: copies of one photograph are in train and test.",
        _COPIES,
    ),
    *three(
        "repeated-photos",
        "data",
        "audit",
        _repeated,
        ((0.25, 1), (0.5, 2), (1.0, 3)),
        "Photos are in the data set several times under different names, so they weigh more than others.",
        (r"duplicate", r"several times", r"repeated", r"same (photo|picture|image)", r"identical", r"copies"),
    ),
)
