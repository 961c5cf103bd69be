"""Measure full-size CLIPSeg with random weights: five prompts on a photo, and training from cached features.

    python tools/bench_models.py [--pairs 8]

Both measurements are compared with plain transformers in the same run. The second table extrapolates the
workload of the original report (315 photos, 805 pairs, 256×256 px, batches of 2) from a sample of the pairs.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

from drywallqa.models import registry
from drywallqa.models.contract import TrainedLayers
from drywallqa.sampling.feature_cache import CachedEncoder, FeatureCache

PHOTOS, PAIRS, SIDE, BATCH, EPOCHS = 315, 805, 256, 2, 10
PROMPTS = ["segment crack", "segment wall crack", "segment taping area", "segment joint/tape", "drywall seam"]


def five_prompts(model) -> None:
    """Compare one encoding of a photo of 352 px for five prompts with five calls of plain transformers."""
    model.eval()
    image, ids = torch.randn(1, 3, 352, 352), model.tokenize(PROMPTS)
    with torch.inference_mode():
        plain_times, own_times = [], []
        for _ in range(3):
            start = time.perf_counter()
            plain = [model.network(input_ids=ids[i : i + 1], pixel_values=image).logits for i in range(5)]
            plain_times.append(time.perf_counter() - start)
            start = time.perf_counter()
            logits, _ = model.decode(model.encode_image(image), model.encode_prompts(PROMPTS))
            own_times.append(time.perf_counter() - start)
    # transformers drops the batch dimension if the batch has one photo
    expected = torch.stack([each.reshape(352, 352) for each in plain])
    difference = float((logits[0] - expected).abs().max())
    plain_time, own_time = min(plain_times), min(own_times)
    print(f"five prompts at 352 px: plain {plain_time:.2f} s, one encoding {own_time:.2f} s, "
          f"{plain_time / own_time:.1f} times as fast; logits differ by {difference:.1e}")  # fmt: skip


def cache(model, pairs: int) -> None:
    """Measure the time of a pair in the plain loop, of an encoding, and of a pair from the cache."""
    model.train()
    model.freeze(TrainedLayers())
    ids = model.tokenize(PROMPTS)
    with torch.no_grad():
        texts = model.encode_prompts(PROMPTS)
    images, truth = torch.randn(pairs, 3, SIDE, SIDE), torch.rand(BATCH, SIDE, SIDE).round()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4, fused=True)

    def learn(logits) -> None:
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(logits, truth).backward()
        optimizer.step()

    start = time.perf_counter()
    for index in range(0, pairs, BATCH):
        learn(model.network(input_ids=ids[:BATCH], pixel_values=images[index : index + BATCH]).logits)
    plain = (time.perf_counter() - start) / pairs
    with tempfile.TemporaryDirectory() as folder:
        encoder = CachedEncoder(model, FeatureCache(Path(folder)))
        start = time.perf_counter()
        for index in range(pairs):
            encoder.encode(b"%d" % index, 0, SIDE, lambda index=index: images[index])
        encode = (time.perf_counter() - start) / pairs
        start = time.perf_counter()
        for index in range(0, pairs, BATCH):
            rows = [
                encoder.encode(b"%d" % i, 0, SIDE, lambda i=i: images[i]) for i in range(index, index + BATCH)
            ]
            features = tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
            learn(model.decode(features, texts[:BATCH, None])[0][:, 0])
        cached = (time.perf_counter() - start) / pairs
    print(
        f"time per pair: plain {plain:.3f} s, from the cache {cached:.3f} s; encoding a photo: {encode:.3f} s"
    )
    print("  K   first epoch   later epoch   times   ten epochs   times")
    for views in (1, 4, 10):
        plain_epoch, later = PAIRS * plain, PAIRS * cached
        # Every pair draws a view of its photo. A view is encoded when it is drawn for the first time.
        first = later + encoded(views, 1) * encode
        ten = EPOCHS * later + encoded(views, EPOCHS) * encode
        print(f"{views:3d} {first:11.0f} s {later:11.0f} s {plain_epoch / later:7.1f} {ten:10.0f} s "
              f"{EPOCHS * plain_epoch / ten:7.1f}")  # fmt: skip
    print(f"  (plain: {PAIRS * plain:.0f} s per epoch, {EPOCHS * PAIRS * plain:.0f} s for ten epochs)")


def encoded(views: int, epochs: int) -> float:
    """Return the expected number of views, over all photos, that are drawn at least once."""
    return PHOTOS * views * (1 - (1 - 1 / views) ** (epochs * PAIRS / PHOTOS))


def main() -> None:
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=64, help="number of measured pairs, even")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = registry.create_model("clipseg")
    count = sum(p.numel() for p in model.parameters())
    print(
        f"CLIPSeg, {count:,} parameters, random weights, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {platform.machine()}"
    )
    five_prompts(model)
    cache(model, arguments.pairs)


if __name__ == "__main__":
    main()
