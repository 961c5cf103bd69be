"""Compare large photos in tiles with the same photos scaled down: accuracy, tile borders, memory and time.

    python tools/bench_tiles.py [--data data/benchmark] [--split val] [--bundle BUNDLE] [--json FILE]

The script has four measurements:

- forced: small photos of the benchmark are cut into tiles anyway. This measures the share of the crack IoU
  that remains, and the second differences of the probability at tile borders and elsewhere.
- mosaics: crack photos and photos of boards are placed side by side at full resolution. This compares the
  recall of cracks in tiles with the recall on scaled-down mosaics.
- walls: rendered walls of 12 megapixels have ground-truth cracks that are exact to the pixel.
- cost: this measures the time and memory of rendered phone walls of 12 megapixels with two prompts, with and
  without cracks, and the memory of an image of 100 megapixels.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drywallqa import load
from drywallqa.backend import Backend, Features, Float
from drywallqa.datasets import dataset
from drywallqa.datasets.mosaics import mosaic, one_per_source_photo
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.tiles import TileGrid
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.metrics import Counts
from drywallqa.synthetic.phone_walls import render_phone_wall
from drywallqa.synthetic.walls import CRACK, WallOptions, render_wall

PROMPTS = ["segment crack", "segment taping area"]
TWELVE, HUNDRED = (3024, 4032), (8660, 11547)
CELLS = (4, 6)  # rows and columns of a mosaic; photos of 640 px give 2560×3840 px
BATCH = 2


@dataclass
class Tally:
    """Pixel counts and false alarms at one scale, over photos with and without cracks."""

    name: str
    counts: Counts = field(default_factory=lambda: Counts(0, 0, 0, 0))
    ious: list[float] = field(default_factory=list)
    alarms: int = 0
    absent: int = 0

    def add(self, mask, truth) -> None:
        """Add the mask of one photo and its ground truth."""
        counts = Counts.of(mask, truth)
        if truth.any():
            self.counts += counts
            self.ious.append(counts.iou)
        else:
            self.absent += 1
            self.alarms += counts.false_alarm

    def row(self) -> dict:
        """Return the results as JSON data."""
        return {
            "view": self.name,
            "photos": len(self.ious),
            "recall": self.counts.recall,
            "precision": self.counts.precision,
            "pooled_iou": self.counts.iou,
            "mean_iou": float(np.mean(self.ious)) if self.ious else float("nan"),
            "false_alarms": f"{self.alarms} of {self.absent}",
        }


def outlines(scale: str = "auto") -> SegmentOptions:
    """Return options for outlines, which are compared with generous labels."""
    return SegmentOptions(scale=scale, mask="outline")


def forced(segmenter: Segmenter, data, most: int) -> dict:
    """Cut photos into tiles that are hardly larger than the window, and compare them with whole photos."""
    whole, tiled = Tally("fit"), Tally("tiles at native pixels")
    bends: dict[str, list[float]] = {"border": [], "elsewhere": []}
    for sample in one_per_source_photo(data, "crack", most):
        photo, truth = data.read_photo(sample), data.read_mask(sample, "crack")
        if not truth.any():
            continue
        whole.add(segmenter.segment(photo, PROMPTS[0], options=outlines("fit"))[0].mask, truth)
        (answer,) = segmenter.segment(photo, PROMPTS[0], options=outlines("native"))
        tiled.add(answer.mask, truth)
        grid = TileGrid.over(*photo.shape[:2], 1.0, segmenter.bundle.window)
        for name, values in bend(answer.probability, grid).items():
            bends[name].append(float(values.mean()))
    kept = tiled.row()["mean_iou"] / whole.row()["mean_iou"]
    return {
        "rows": [whole.row(), tiled.row()],
        "share_of_iou_kept": kept,
        "bend_at_borders_over_elsewhere": float(np.mean(bends["border"]) / np.mean(bends["elsewhere"])),
    }


def bend(probability, grid: TileGrid) -> dict:
    """Return the second differences of a probability map at tile borders and elsewhere."""
    found: dict[str, list] = {"border": [], "elsewhere": []}
    for axis, tiles in ((0, grid.rows), (1, grid.columns)):
        second = np.abs(np.diff(probability, n=2, axis=axis))
        edges = {edge for start in tiles.starts for edge in (start, start + tiles.tile)}
        near = np.zeros(second.shape[axis], bool)
        for edge in edges:
            if 4 < edge < tiles.length - 4:
                near[edge - 3 : edge + 2] = True
        found["border"].append(np.compress(near, second, axis=axis).ravel())
        found["elsewhere"].append(np.compress(~near, second, axis=axis).ravel())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def mosaics(segmenter: Segmenter, data, count: int, seed: int = 0) -> dict:
    """Compare mosaics. A quarter of them have no cracks; in the others, two thirds of the photos do."""
    generator = np.random.default_rng(seed)
    cracks, boards = one_per_source_photo(data, "crack"), one_per_source_photo(data, "taping area")
    tallies = [Tally("fit"), Tally("native")]
    for number in range(count + count // 3):
        share = 2 / 3 if number < count else 0.0
        photo, truth = mosaic(data, drawn(cracks, boards, share, generator), CELLS[1])
        for tally in tallies:
            mask = segmenter.segment(photo, PROMPTS[0], options=outlines(tally.name))[0].mask
            tally.add(mask, truth)
    return {"cells": "×".join(map(str, CELLS[::-1])), "rows": [tally.row() for tally in tallies]}


def drawn(cracks: list, boards: list, share: float, generator) -> list:
    """Draw the photos of one mosaic. About the given share of the photos shows cracks."""
    samples = []
    for _ in range(CELLS[0] * CELLS[1]):
        pool = cracks if generator.random() < share else boards
        samples.append(pool[int(generator.integers(len(pool)))])
    return samples


def walls(segmenter: Segmenter, count: int) -> dict:
    """Compare rendered walls of 12 megapixels, half with cracks of 2 to 8 px and half without cracks."""
    tallies = [Tally("fit"), Tally("native")]
    for number in range(2 * count):
        width = 0.3 + 1.0 * (number % count) / max(
            1, count - 1
        )  # px at a photo size of 640 px; 6.3 times as wide here
        kind = "crack" if number < count else "neither"
        surface = ("plaster", "paint", "grey board")[number % 3]
        options = WallOptions(surface, objects=(), crack_width=width)
        wall = render_wall(number, TWELVE, kind, options)
        for tally in tallies:
            mask = segmenter.segment(wall.photo, PROMPTS[0], options=outlines(tally.name))[0].mask
            tally.add(mask, wall.masks[CRACK])
    return {"truth": "the crack's own pixels", "rows": [tally.row() for tally in tallies]}


MEMORY = """
import resource, sys, numpy as np
from pathlib import Path
import drywallqa
bundle = None if sys.argv[1] == "default" else sys.argv[1]
segmenter = drywallqa.load(bundle)
options = drywallqa.SegmentOptions(mask="outline")
segmenter.segment(np.zeros((64, 64, 3), np.uint8), ["segment crack", "segment taping area"])
photo = np.load(sys.argv[2])
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
prompts = ["segment crack", "segment taping area"]
segmenter.segment(photo, prompts, keep_probability=False, options=options)
# peak memory of this process only; ru_maxrss also counts the memory of its parent
print(before, int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**10)
"""


def memory(bundle: str, photo: np.ndarray) -> float:
    """Return the peak memory in MB without photo and loaded model, measured in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.npy"
        np.save(path, photo)
        command = [sys.executable, "-c", MEMORY, bundle, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return after - before


class Counting:
    """A backend that counts the images that it encodes."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.encoded = backend, 0
        self.encode_prompts, self.decode = backend.encode_prompts, backend.decode

    def encode_image(self, images: Float) -> Features:
        """Encode the images and count them."""
        self.encoded += len(images)
        return self.backend.encode_image(images)


def overhead(segmenter: Segmenter, photo: np.ndarray) -> dict:
    """Compare the time of a photo of 12 megapixels and two prompts with the time of its model runs."""
    bundle, backend = segmenter.bundle, segmenter.open()
    counting = Counting(backend)
    watched = Segmenter(WrappedModel.around(bundle, counting))
    watched.segment(photo, PROMPTS, keep_probability=False, options=outlines())
    embeddings = backend.encode_prompts(PROMPTS)
    tiles = TileGrid.over(*TWELVE, 1.0, bundle.window).cut(photo, 0, [0] * BATCH)
    one = backend.encode_image(tiles[:1])
    whole, bare = [], []
    for _ in range(3):
        start = time.perf_counter()
        segmenter.segment(photo, PROMPTS, keep_probability=False, options=outlines())
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range((counting.encoded + 1) // BATCH):
            backend.encode_image(tiles)
            for _ in range(BATCH):
                backend.decode(one, embeddings)
        bare.append(time.perf_counter() - start)
    return {
        "views": counting.encoded,
        "seconds": float(np.median(whole)),
        "seconds_of_views_alone": float(np.median(bare)),
        "ratio": float(np.median(whole) / np.median(bare)),
    }


def cost(segmenter: Segmenter, bundle: str) -> dict:
    """Measure time and memory of two rendered phone walls, with and without cracks and joints."""
    cracked, clean = (
        render_phone_wall([8_100_000, number], TWELVE, kind).photo
        for number, kind in enumerate(("both", "neither"))
    )
    hundred = np.tile(cracked, (3, 3, 1))[: HUNDRED[0], : HUNDRED[1]]
    rises = {f"{p.shape[0] * p.shape[1] / 1e6:.0f} MP": memory(bundle, p) for p in (cracked, hundred)}
    return {
        "with cracks and joints": overhead(segmenter, cracked),
        "without": overhead(segmenter, clean),
        "peak_mb_above_photo_and_model": rises,
    }


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/benchmark"))
    parser.add_argument("--split", default="val")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument(
        "--photos", type=int, default=60, help="maximum number of photos for the measurement forced"
    )
    parser.add_argument("--mosaics", type=int, default=30)
    parser.add_argument("--walls", type=int, default=6)
    parser.add_argument("--only", nargs="*", default=["forced", "mosaics", "walls", "cost"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    segmenter, found = load(given.bundle), {}
    if (given.data / "manifest.jsonl").is_file():
        data = dataset.load_dataset(given.data).part(given.split)
        if "forced" in given.only:
            show(found, "forced", forced(segmenter, data, given.photos))
        if "mosaics" in given.only:
            show(found, "mosaics", mosaics(segmenter, data, given.mosaics))
    else:
        print(
            f"forced, mosaics: skipped, {given.data} is not a data set; create it with make benchmark-quality"
        )
    if "walls" in given.only:
        show(found, "walls", walls(segmenter, given.walls))
    if "cost" in given.only:
        show(found, "cost", cost(segmenter, str(given.bundle or "default")))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def show(found: dict, name: str, result: dict) -> None:
    """Add a result to `found` and print it."""
    found[name] = result
    print(f"{name}:")
    for row in result.pop("rows", []):
        print("  " + ", ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
                               for key, value in row.items()))  # fmt: skip
        result.setdefault("views", []).append(row)
    for key, value in result.items():
        if key != "views":
            print(f"  {key}: {value:.3f}" if isinstance(value, float) else f"  {key}: {value}", flush=True)


if __name__ == "__main__":
    main()
