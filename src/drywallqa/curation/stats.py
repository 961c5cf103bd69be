"""Count the photos in each set and split of a data set, and measure the masks of each concept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.curation.inventory import describe_mask
from drywallqa.datasets.dataset import Dataset
from drywallqa.imaging.morphology import bounding_boxes, mean_width

SIDE = 640
"""Widths and boxes are scaled as if the longer side of every photo had this length in px."""

_THINNED = 200  # maximum number of masks per concept whose width is measured, because skeletonising is slow
_QUANTILES = {"minimum": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "maximum": 1.0}


@dataclass
class ConceptStats:
    """Number of photos in which a concept is shown, absent or unlabelled, and the sizes of its masks."""

    shown: int = 0
    absent: int = 0
    unlabelled: int = 0
    shares: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    boxes: list[tuple[float, float]] = field(default_factory=list)

    def add_mask(self, mask: NDArray[np.bool_], *, with_width: bool) -> None:
        """Measure a mask [H,W]. Measure its line width only if `with_width` is set."""
        self.shown += 1
        self.shares.append(float(mask.mean()))
        scale = SIDE / max(mask.shape)
        self.boxes += [
            (scale * (right - left), scale * (bottom - top))
            for left, top, right, bottom in bounding_boxes(mask)
        ]
        if with_width and mask.any() and not describe_mask(mask)[1]:  # a box has no line width
            if scale != 1:
                height, width = (max(1, round(side * scale)) for side in mask.shape)
                image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
                mask = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)) > 127
            self.widths.append(mean_width(mask))

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the quartiles, extremes and mean of each measurement, as JSON data."""
        return {
            "shown": self.shown,
            "absent": self.absent,
            "unlabelled": self.unlabelled,
            "foreground_share": _summary(self.shares),
            "width_px": _summary(self.widths),
            "pieces": len(self.boxes),
            "piece_longer_side_px": _summary([max(box) for box in self.boxes]),
            "piece_shorter_side_px": _summary([min(box) for box in self.boxes]),
        }


def _summary(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    quantiles = np.quantile(np.array(values, np.float64), list(_QUANTILES.values()))
    summary = {name: round(float(value), 4) for name, value in zip(_QUANTILES, quantiles, strict=True)}
    return summary | {"mean": round(float(np.mean(values)), 4)}


def measure_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Measure a data set and return the results as JSON data.

    Args:
        dataset: The data set.
        progress: Called with the number of finished photos and the total.

    Raises:
        DataError: A mask and its photo differ in size.
    """
    concepts = {name: ConceptStats() for name in dataset.concepts}
    thinned: dict[str, set[int]] = {}
    for name in concepts:
        shown = [number for number, sample in enumerate(dataset) if sample.labels.get(name)]
        places = np.linspace(0, len(shown) - 1, min(_THINNED, len(shown))).round().astype(int)
        thinned[name] = {shown[place] for place in places}
    for number, sample in enumerate(dataset):
        for name, stats in concepts.items():
            if name not in sample.labels:
                stats.unlabelled += 1
            elif sample.labels[name] is None:
                stats.absent += 1
            else:
                stats.add_mask(dataset.read_mask(sample, name), with_width=number in thinned[name])
        if progress:
            progress(number + 1, len(dataset))
    photos = Counter((sample.set_name, sample.split or "none") for sample in dataset)
    copies = {(sample.set_name, sample.split or "none", sample.source_photo) for sample in dataset}
    photographs = Counter((set_name, split) for set_name, split, _ in copies)
    parts = [
        {"set": key[0], "split": key[1], "photos": photos[key], "photographs": photographs[key]}
        for key in sorted(photos)
    ]
    return {
        "title": dataset.folder.resolve().name,
        "photos": len(dataset),
        "photographs": len({sample.photograph for sample in dataset}),
        "parts": parts,
        "concepts": {name: stats.to_json() for name, stats in concepts.items()},
        "reference_side_px": SIDE,
    }


def stats_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Format the results of `measure_dataset` as the lines of a text report."""
    yield f"{figures['title']}: {figures['photos']} photos, made from {figures['photographs']} source photos"
    for part in figures["parts"]:
        counts = f"{part['photos']} photos, made from {part['photographs']} source photos"
        yield f"  {part['set']}, {part['split']}: {counts}"
    for concept, found in figures["concepts"].items():
        counts = f"shown {found['shown']}, absent {found['absent']}, not labelled {found['unlabelled']}"
        yield f"{concept}: {counts}"
        for key, words, unit, factor in (
            ("foreground_share", "share of the photo's area", "%", 100.0),
            ("width_px", f"width (area / skeleton length, measured on at most {_THINNED} masks)", "px", 1.0),
            ("piece_longer_side_px", f"longer side of the {found['pieces']} components", "px", 1.0),
            ("piece_shorter_side_px", "shorter side of the components", "px", 1.0),
        ):
            if summary := found[key]:
                low, middle, high, top = (factor * summary[name] for name in list(_QUANTILES)[1:])
                yield (
                    f"  {words}: median {middle:.1f}, middle half {low:.1f} to {high:.1f}, "
                    f"at most {top:.1f} {unit}"
                )
    yield f"px values refer to photos scaled to a longer side of {figures['reference_side_px']} px"
