"""What is in a data set: photos, photographs, parts, and what the masks of each concept are like."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.curation.inventory import describe_mask
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.imaging.morphology import bounding_boxes, mean_width

REFERENCE_SIDE = 640
"""Widths and boxes are given at this longer side of the photo, in px."""

WIDTH_SAMPLE = 200
"""Widths are taken from at most this many masks a concept, spread evenly; thinning is slow."""

Progress = Callable[[int, int], None]


@dataclass
class ConceptStats:
    """One concept: how many photos show it, lack it, or are not labelled for it, and its masks' figures."""

    shown: int = 0
    absent: int = 0
    unlabelled: int = 0
    shares: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    boxes: list[tuple[float, float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Describe the concept as plain data; figures as minimum, quartiles and maximum."""
        longer = [max(box) for box in self.boxes]
        shorter = [min(box) for box in self.boxes]
        return {
            "shown": self.shown,
            "absent": self.absent,
            "unlabelled": self.unlabelled,
            "foreground_share": _summary(self.shares),
            "width_px": _summary(self.widths),
            "pieces": len(self.boxes),
            "piece_longer_side_px": _summary(longer),
            "piece_shorter_side_px": _summary(shorter),
        }


@dataclass(frozen=True)
class DatasetStats:
    """The figures of a data set; `parts` counts photos and photographs by (set, split)."""

    title: str
    photos: int
    photographs: int
    parts: dict[tuple[str, str], tuple[int, int]]
    concepts: dict[str, ConceptStats]

    def to_json(self) -> dict[str, Any]:
        """Describe the figures as plain data."""
        return {
            "title": self.title,
            "photos": self.photos,
            "photographs": self.photographs,
            "parts": [
                {"set": name, "split": split, "photos": photos, "photographs": photographs}
                for (name, split), (photos, photographs) in self.parts.items()
            ],
            "concepts": {name: stats.to_json() for name, stats in self.concepts.items()},
            "reference_side_px": REFERENCE_SIDE,
        }


def _summary(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    names = ("minimum", "quarter", "median", "three_quarters", "maximum")
    quantiles = np.quantile(np.array(values, np.float64), [0, 0.25, 0.5, 0.75, 1])
    summary = {name: round(float(value), 4) for name, value in zip(names, quantiles, strict=True)}
    return summary | {"mean": round(float(np.mean(values)), 4)}


def measure_dataset(dataset: Dataset, progress: Progress | None = None) -> DatasetStats:
    """Measure a data set.

    Args:
        dataset: The data set.
        progress: Called with photos done and photos in all.

    Raises:
        DataError: A mask does not fit its photo.
    """
    concepts: dict[str, ConceptStats] = {name: ConceptStats() for name in dataset.concepts}
    thinned = {name: _thinned(dataset, name) for name in concepts}
    for number, sample in enumerate(dataset, 1):
        for name, stats in concepts.items():
            if name not in sample.labels:
                stats.unlabelled += 1
            elif sample.labels[name] is None:
                stats.absent += 1
            else:
                _add_mask(stats, dataset.read_mask(sample, name), with_width=number - 1 in thinned[name])
        if progress:
            progress(number, len(dataset))
    photographs = {(sample.set_name, sample.source_photo) for sample in dataset}
    return DatasetStats(
        dataset.folder.resolve().name, len(dataset), len(photographs), _parts(dataset), concepts
    )


def _thinned(dataset: Dataset, concept: str) -> set[int]:
    """Choose the samples whose masks are thinned."""
    shown = [number for number, sample in enumerate(dataset) if sample.labels.get(concept)]
    if not shown:
        return set()
    places = np.linspace(0, len(shown) - 1, min(WIDTH_SAMPLE, len(shown))).round().astype(int)
    return {shown[place] for place in places}


def _add_mask(stats: ConceptStats, mask: NDArray[np.bool_], *, with_width: bool) -> None:
    stats.shown += 1
    stats.shares.append(float(mask.mean()))
    scale = REFERENCE_SIDE / max(mask.shape)
    stats.boxes += [
        (scale * (right - left), scale * (bottom - top)) for left, top, right, bottom in bounding_boxes(mask)
    ]
    if with_width and mask.any() and not describe_mask(mask)[1]:  # a rectangle has no width of a line
        stats.widths.append(mean_width(_at_reference(mask)))


def _at_reference(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if max(mask.shape) == REFERENCE_SIDE:
        return mask
    scale = REFERENCE_SIDE / max(mask.shape)
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)) > 127


def _parts(dataset: Dataset) -> dict[tuple[str, str], tuple[int, int]]:
    photos: Counter[tuple[str, str]] = Counter()
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in dataset:
        key = _part(sample)
        photos[key] += 1
        sources[key].add(sample.source_photo)
    return {key: (photos[key], len(sources[key])) for key in sorted(photos)}


def _part(sample: Sample) -> tuple[str, str]:
    return sample.set_name, sample.split or "none"


def stats_lines(stats: DatasetStats) -> Iterator[str]:
    """Write the figures line by line."""
    yield f"{stats.title}: {stats.photos} photos of {stats.photographs} photographs"
    for (name, split), (photos, photographs) in stats.parts.items():
        yield f"  {name}, {split}: {photos} photos of {photographs} photographs"
    for concept, found in stats.concepts.items():
        yield f"{concept}: shown {found.shown}, absent {found.absent}, not labelled {found.unlabelled}"
        figures = found.to_json()
        for key, words, unit, factor in (
            ("foreground_share", "share of the photo", "%", 100.0),
            ("width_px", f"width (area / skeleton, {len(found.widths)} masks)", "px", 1.0),
            ("piece_longer_side_px", f"longer side of its {len(found.boxes)} pieces", "px", 1.0),
            ("piece_shorter_side_px", "shorter side of its pieces", "px", 1.0),
        ):
            if figures[key]:
                yield f"  {words}: {_range(figures[key], factor)} {unit}"
    yield f"widths and pieces at a longer side of {REFERENCE_SIDE} px"


def _range(summary: dict[str, float], factor: float) -> str:
    low, middle, high = (summary[name] * factor for name in ("quarter", "median", "three_quarters"))
    return (
        f"median {middle:.1f}, middle half {low:.1f} to {high:.1f}, at most {summary['maximum'] * factor:.1f}"
    )
