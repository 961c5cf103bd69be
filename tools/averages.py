"""What averaging the answers of several bundles gains on the validation part.

    python tools/averages.py [--data data/processed] [--concept crack] BUNDLE BUNDLE ...

Prints the mean IoU over photographs, at the best threshold, of each bundle alone and of the mean probability
of every pair and of all.
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

import drywallqa
from drywallqa.datasets import dataset
from drywallqa.metrics import Histogram


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--data", default="data/processed")
    parser.add_argument("--concept", default="crack")
    asked = parser.parse_args()
    segmenters = [drywallqa.load(bundle, threads=1) for bundle in asked.bundles]
    members = range(len(segmenters))
    groups = [group for size in {1, 2, len(segmenters)} for group in combinations(members, size)]
    curves: dict[tuple[int, ...], dict[str, list[NDArray[np.float64]]]] = {group: {} for group in groups}
    part = dataset.load(asked.data).part("val")
    for sample in part:
        if not sample.labels.get(asked.concept):
            continue
        photo, truth = part.read_photo(sample), part.read_mask(sample, asked.concept)
        answers = [s.segment(photo, asked.concept)[0].probability for s in segmenters]
        for group in groups:
            mean = np.mean([answers[member] for member in group], axis=0)
            own = curves[group].setdefault(sample.source_photo, [])
            own.append(np.nan_to_num(Histogram.of(mean, truth).iou_curve()))
    for group in groups:
        curve = np.mean([np.mean(rows, axis=0) for rows in curves[group].values()], axis=0)
        names = " and ".join(asked.bundles[member] for member in group)
        print(f"{names}: IoU {curve.max():.4f} at {curve.argmax() / len(curve):.2f}")


if __name__ == "__main__":
    main()
