"""What holds the masks of the bundled model back: the level or the width that a photo's label has.

For each concept on the val part: the mean IoU over photographs at the bundle's threshold; at the threshold
that would have suited each photo best; with the mask widened or narrowed as would have suited it best; and at
the threshold that maximises the expected IoU of the photo's own probabilities, which needs no label. The
second and third look at the truth, and say what knowing it would be worth.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

import drywallqa
from drywallqa.datasets import dataset
from drywallqa.metrics import Counts, Histogram, bootstrap_interval, mean_by_group, widen

WIDER, NARROWER = 15, 7  # px tried


def expected_best(probability: NDArray[np.float32]) -> float:
    """Threshold that maximises the expected IoU where probabilities are taken at their word."""
    ordered = np.sort(probability.ravel())[::-1].astype(np.float64)
    inside = np.cumsum(ordered)
    union = np.arange(1, len(ordered) + 1) + inside[-1] - inside
    return float(ordered[(inside / union).argmax()])


def best_width(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """The best IoU over all widths tried."""
    wider = [widen(mask, by) for by in range(1, WIDER + 1)]
    narrower = [~widen(~mask, by) for by in range(1, NARROWER + 1)]
    return max(Counts.of(each, truth).iou for each in (mask, *wider, *narrower))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/processed")
    known = dataset.load(parser.parse_args().data).part("val")
    segmenter = drywallqa.load()
    for concept in segmenter.bundle.concepts:
        rows, photographs = [], []
        for sample in known:
            if not sample.labels.get(concept) or sample.set_name.startswith("rendered"):
                continue
            truth = known.read_mask(sample, concept)
            (answer,) = segmenter.segment(known.read_photo(sample), f"segment {concept}", scale="fit")
            assert answer.probability is not None
            curve = Histogram.of(answer.probability, truth).iou_curve()
            expected = answer.probability >= expected_best(answer.probability)
            expected &= bool(answer.mask.any())  # presence decides as it ships
            rows.append(
                (
                    Counts.of(answer.mask, truth).iou,
                    float(np.nanmax(curve)),
                    best_width(answer.mask, truth),
                    Counts.of(expected, truth).iou,
                )
            )
            photographs.append(sample.source_photo)
        names = ("as it ships", "best threshold of each photo", "best width of each photo", "expected IoU")
        print(f"{concept}, {len(rows)} photos of {len(set(photographs))} photographs")
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            gained = [value - row[0] for value, row in zip(values, rows, strict=True)]
            low, high = bootstrap_interval(gained, photographs)
            print(
                f"  {name}: IoU {mean_by_group(values, photographs):.3f}, gained "
                f"{mean_by_group(gained, photographs):+.3f} ({low:+.3f} to {high:+.3f})"
            )


if __name__ == "__main__":
    main()
