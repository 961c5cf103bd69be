"""Measure how wide the tight labels of upright joints are, which is the default width of the taping band.

    python tools/measure_band.py DATA [CONCEPT]

DATA is a data set that `drywallqa data import` made. CONCEPT is "taping area" by default. A label counts as
the tight label of an upright or level joint if its box is at least six times as long as it is wide, and its
length at least 40 % of the photo's longer side. Copies of one photograph count once.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from drywallqa.datasets.dataset import load_dataset
from drywallqa.imaging.morphology import bounding_boxes

LEAST_RATIO = 6.0
LEAST_LENGTH = 0.4  # share of the photo's longer side


def widths_in(data: Path, concept: str) -> Iterator[tuple[str, float]]:
    """Yield the photograph and the width in px at 640 of each tight label."""
    dataset = load_dataset(data)
    for sample in dataset:
        if sample.labels.get(concept) is None:
            continue
        mask = dataset.read_mask(sample, concept)
        for left, top, right, bottom in bounding_boxes(mask):
            short, long = sorted((right - left, bottom - top))
            if long >= LEAST_RATIO * short and long >= LEAST_LENGTH * max(mask.shape):
                yield sample.photograph, short * 640 / max(mask.shape)


def main() -> None:
    """Print the median width, and the quartiles over photographs."""
    found = defaultdict(list)
    for photograph, width in widths_in(Path(sys.argv[1]), *(sys.argv[2:] or ["taping area"])):
        found[photograph].append(width)
    widths = [median(each) for each in found.values()]
    low, middle, high = quantiles(widths, n=4)
    print(
        f"{len(widths)} photographs with tight labels of joints: median width {middle:.0f} px at 640 "
        f"(quartiles {low:.0f} and {high:.0f})"
    )


if __name__ == "__main__":
    main()
