"""What averaging a bundle's answers over flips and sizes of a photo gains on the validation part.

Prints, for each set of views, the mean IoU over photos that show the concept, at the best threshold. A view
is a window size in px, followed by h or v where the photo is flipped.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend, Float
from drywallqa.bundle.bundle import load_bundle
from drywallqa.datasets import dataset
from drywallqa.metrics import Histogram
from drywallqa.window import Window, sigmoid

VIEWS = ("448", "512", "576", "448+448h", "448+512", "352h+512", "352h+448+576v")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/processed"))
    parser.add_argument("--model", type=Path, default=None, help="a bundle; by default the one that ships")
    parser.add_argument("--concept", default="crack")
    parser.add_argument("--photos", type=int, default=66)
    parser.add_argument("--views", nargs="+", default=VIEWS)
    asked = parser.parse_args()
    bundle = load_bundle(asked.model)
    backend, known = bundle.open_backend(), dataset.load(asked.data)
    embedding = backend.encode_prompts([asked.concept])
    shown = [sample for sample in known.part("val") if sample.labels.get(asked.concept)]
    chosen = shown[:: max(1, len(shown) // asked.photos)]
    single = sorted({view for views in asked.views for view in views.split("+")})
    scores: dict[str, list[NDArray[np.float64]]] = {views: [] for views in asked.views}
    for sample in chosen:
        photo, truth = known.read_photo(sample), known.read_mask(sample, asked.concept)
        seen = {view: look(backend, bundle.window, photo, embedding, view) for view in single}
        for views in asked.views:
            mean = np.mean([seen[view] for view in views.split("+")], axis=0)
            scores[views].append(Histogram.of(mean, truth).iou_curve())
    for views, rows in scores.items():
        curve = np.mean(rows, axis=0)
        print(f"{views}: IoU {curve.max():.4f} at {curve.argmax() / len(curve):.2f}; {len(rows)} photos")


def look(
    backend: Backend, window: Window, photo: NDArray[np.uint8], embedding: Float, view: str
) -> NDArray[np.float32]:
    """Return the probabilities [H,W] of one view of a photo."""
    axes = tuple(axis for axis, letter in enumerate("vh") if letter in view)
    sized = dataclasses.replace(window, size=int(view.rstrip("hv")))
    canvas, placement = sized.fit(np.ascontiguousarray(np.flip(photo, axes)))
    logits, _ = backend.decode(backend.encode_image(canvas[None]), embedding)
    seen: NDArray[np.float32] = np.flip(sigmoid(placement.restore(logits[0, 0])), axes)
    return seen


if __name__ == "__main__":
    main()
