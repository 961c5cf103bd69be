"""What a mask threshold of its own for each photo gains, predicted from how the photo looks as a whole.

    python tools/photo_thresholds.py [--data data/lines] [--concept crack] [--set cracks] [BUNDLE ...]

How wide a label is drawn differs from photo to photo, and no one threshold fits. A ridge regression from
ImageNet features of the whole photo to its best threshold is fitted on train photos and tried on val. Prints,
for each bundle, the mean IoU over val photographs at one threshold, at the predicted ones and at the best of
each photo. Offset and weight of the prediction are chosen on val, so that its gain is an upper bound.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

import drywallqa
from drywallqa.datasets import dataset
from drywallqa.datasets.dataset import Dataset
from drywallqa.metrics import BINS, Histogram, mean_by_group
from drywallqa.models.efficientnet_lite import EfficientNetLite, load_imagenet
from drywallqa.window import Window

Array = NDArray[np.float64]
LEVELS = (np.arange(BINS) + 0.5) / BINS
LOGITS = np.log(LEVELS / (1 - LEVELS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", help="by default the one that ships")
    parser.add_argument("--data", default="data/lines")
    parser.add_argument("--concept", default="crack")
    parser.add_argument("--set", default="cracks")
    asked = parser.parse_args()
    data = dataset.load(asked.data)
    train, val = (_shown(data.part(split), asked.concept, asked.set) for split in ("train", "val"))
    # one copy of each photograph is enough to learn from
    train = train.with_samples({s.source_photo: s for s in reversed(train.samples)}.values())
    parts = (train, val)
    seen, unseen = (_features(part) for part in parts)
    mean, spread = seen.mean(0), seen.std(0) + 1e-6
    seen, unseen = (seen - mean) / spread, (unseen - mean) / spread
    groups = [sample.source_photo for sample in parts[1]]
    for bundle in asked.bundles or [None]:
        name = bundle or "the bundled model"
        known, curves = (_curves(part, asked.concept, bundle) for part in parts)
        best = LOGITS[known.argmax(1)]
        predicted = unseen @ _ridge(seen, best - best.mean())
        agreement = np.corrcoef(predicted, LOGITS[curves.argmax(1)])[0, 1]
        tried = [
            mean_by_group(curves[np.arange(len(curves)), _bins(offset + weight * predicted)].tolist(), groups)
            for offset in np.arange(-3, 3, 0.1)
            for weight in (0.25, 0.5, 0.75, 1.0)
        ]
        one = max(mean_by_group(column, groups) for column in curves.T.tolist())
        print(
            f"{name}: IoU {one:.4f} at one threshold, {max(tried):.4f} at predicted ones "
            f"(correlation with the best {agreement:.2f}), "
            f"{mean_by_group(curves.max(1).tolist(), groups):.4f} at the best of each"
        )


def _shown(part: Dataset, concept: str, set_name: str) -> Dataset:
    """The photos of a set that show the concept."""
    return part.with_samples(s for s in part if s.labels.get(concept) and s.set_name == set_name)


def _features(part: Dataset) -> Array:
    """Mean and spread of ImageNet features over each whole photo [N,F]."""
    encoder = EfficientNetLite("lite2").eval()
    load_imagenet(encoder, "lite2")
    rows = []
    with torch.no_grad():
        for sample in part:
            canvas = torch.from_numpy(Window(288).fit(part.read_photo(sample))[0][None])
            maps = encoder(canvas)[1:]
            pooled = [part for m in maps for part in (m.mean((2, 3)), m.std((2, 3)))]
            rows.append(torch.cat(pooled, 1)[0].numpy())
    return np.array(rows, np.float64)


def _curves(part: Dataset, concept: str, bundle: str | None) -> Array:
    """IoU of each photo over mask thresholds [N,BINS]."""
    segmenter = drywallqa.load(bundle, threads=1)
    rows = []
    for sample in part:
        answer = segmenter.segment(part.read_photo(sample), concept)[0]
        assert answer.probability is not None  # kept unless a caller asks otherwise
        curve = Histogram.of(answer.probability, part.read_mask(sample, concept)).iou_curve()
        rows.append(np.nan_to_num(curve)[:BINS])
    return np.array(rows, np.float64)


def _ridge(inputs: Array, wanted: Array, penalty: float = 3000.0) -> Array:
    found = np.linalg.solve(inputs.T @ inputs + penalty * np.eye(inputs.shape[1]), inputs.T @ wanted)
    return np.asarray(found, np.float64)


def _bins(logits: Array) -> NDArray[np.intp]:
    return np.clip((BINS / (1 + np.exp(-logits))).astype(np.intp), 0, BINS - 1)


if __name__ == "__main__":
    main()
