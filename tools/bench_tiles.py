"""Large photos in tiles against the same photos scaled down: what is found, steps at borders, memory, time.

    python tools/bench_tiles.py [--data data/benchmark] [--split val] [--bundle BUNDLE] [--json FILE]

Four questions, each answered from one run:

- forced: photos of the benchmark cut into tiles all the same; how much of the crack IoU is kept, and whether
  probability bends more at the tiles' borders than elsewhere.
- mosaics: crack photos and boards laid side by side at their own pixels; recall of cracks tiled against
  scaled down, over all of them.
- walls: rendered walls of 12 megapixels, whose cracks are known to the pixel.
- cost: time and memory of rendered phone walls of 12 megapixels under two prompts, with and without cracks;
  the memory of 100 megapixels.
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
from drywallqa.datasets.mosaics import mosaic, one_a_photograph
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.tiles import TileGrid
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.metrics import Counts
from drywallqa.synthetic.phone_walls import render_phone_wall
from drywallqa.synthetic.walls import CRACK, WallOptions, render_wall

PROMPTS = ["segment crack", "segment taping area"]
TWELVE, HUNDRED = (3024, 4032), (8660, 11547)
CELLS = (4, 6)  # of a mosaic: 2560×3840 px from photos of 640
BATCH = 2


@dataclass
class Tally:
    """Counts under one way of looking, over photos with cracks and without."""

    name: str
    counts: Counts = field(default_factory=lambda: Counts(0, 0, 0, 0))
    ious: list[float] = field(default_factory=list)
    alarms: int = 0
    absent: int = 0

    def add(self, mask, truth) -> None:
        """Add one photo."""
        counts = Counts.of(mask, truth)
        if truth.any():
            self.counts += counts
            self.ious.append(counts.iou)
        else:
            self.absent += 1
            self.alarms += counts.false_alarm

    def row(self) -> dict:
        """Say it as plain data."""
        return {
            "view": self.name,
            "photos": len(self.ious),
            "recall": self.counts.recall,
            "precision": self.counts.precision,
            "pooled_iou": self.counts.iou,
            "mean_iou": float(np.mean(self.ious)) if self.ious else float("nan"),
            "false_alarms": f"{self.alarms} of {self.absent}",
        }


def forced(segmenter: Segmenter, data, most: int) -> dict:
    """Cut photos that fit into the window nearly whole."""
    whole, tiled = Tally("fit"), Tally("tiles at native pixels")
    bends: dict[str, list[float]] = {"border": [], "elsewhere": []}
    for sample in one_a_photograph(data, "crack", most):
        photo, truth = data.read_photo(sample), data.read_mask(sample, "crack")
        if not truth.any():
            continue
        whole.add(segmenter.segment(photo, PROMPTS[0], scale="fit")[0].mask, truth)
        (answer,) = segmenter.segment(photo, PROMPTS[0], scale="native")
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
    """Take second differences of a map across the lines on which tiles begin and end, and elsewhere."""
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
    """Lay photos side by side: two thirds show cracks, the others boards; every fourth has none."""
    generator = np.random.default_rng(seed)
    cracks, boards = one_a_photograph(data, "crack"), one_a_photograph(data, "taping area")
    tallies = [Tally("fit"), Tally("native")]
    for number in range(count + count // 3):
        share = 2 / 3 if number < count else 0.0
        photo, truth = mosaic(data, drawn(cracks, boards, share, generator), CELLS[1])
        for tally in tallies:
            mask = segmenter.segment(photo, PROMPTS[0], scale=tally.name, keep_probability=False)[0].mask
            tally.add(mask, truth)
    return {"cells": "×".join(map(str, CELLS[::-1])), "rows": [tally.row() for tally in tallies]}


def drawn(cracks: list, boards: list, share: float, generator) -> list:
    """Draw the photos of one mosaic, about so large a share of them with cracks."""
    samples = []
    for _ in range(CELLS[0] * CELLS[1]):
        pool = cracks if generator.random() < share else boards
        samples.append(pool[int(generator.integers(len(pool)))])
    return samples


def walls(segmenter: Segmenter, count: int) -> dict:
    """Render walls of 12 megapixels with cracks of 2 to 8 px, and as many without."""
    tallies = [Tally("fit"), Tally("native")]
    for number in range(2 * count):
        width = 0.3 + 1.0 * (number % count) / max(1, count - 1)  # px of a 640 px photo, 6.3 times that here
        kind = "crack" if number < count else "neither"
        surface = ("plaster", "paint", "grey board")[number % 3]
        options = WallOptions(surface, objects=(), crack_width=width)
        wall = render_wall(number, TWELVE, kind, options)
        for tally in tallies:
            mask = segmenter.segment(wall.photo, PROMPTS[0], scale=tally.name, keep_probability=False)[0].mask
            tally.add(mask, wall.masks[CRACK])
    return {"truth": "the crack's own pixels", "rows": [tally.row() for tally in tallies]}


MEMORY = """
import resource, sys, numpy as np
from pathlib import Path
import drywallqa
bundle = None if sys.argv[1] == "default" else sys.argv[1]
segmenter = drywallqa.load(bundle)
segmenter.segment(np.zeros((64, 64, 3), np.uint8), ["segment crack", "segment taping area"])
photo = np.load(sys.argv[2])
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
prompts = ["segment crack", "segment taping area"]
segmenter.segment(photo, prompts, keep_probability=False)
# the high-water mark of this program alone: ru_maxrss also counts what its parent held
print(before, int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**10)
"""


def memory(bundle: str, photo: np.ndarray) -> float:
    """Measure in a process of its own by how many MB the peak rises above photo and loaded model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.npy"
        np.save(path, photo)
        command = [sys.executable, "-c", MEMORY, bundle, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return after - before


class Counting:
    """A backend that counts the pictures it encodes."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.encoded = backend, 0
        self.encode_prompts, self.decode = backend.encode_prompts, backend.decode

    def encode_image(self, images: Float) -> Features:
        """Encode and count."""
        self.encoded += len(images)
        return self.backend.encode_image(images)


def overhead(segmenter: Segmenter, photo: np.ndarray) -> dict:
    """Time 12 megapixels under two prompts against the bare compute of its tiles, turn by turn."""
    bundle, backend = segmenter.bundle, segmenter.open()
    counting = Counting(backend)
    watched = Segmenter(WrappedModel.around(bundle, counting))
    watched.segment(photo, PROMPTS, keep_probability=False)
    embeddings = backend.encode_prompts(PROMPTS)
    tiles = TileGrid.over(*TWELVE, 1.0, bundle.window).cut(photo, 0, [0] * BATCH)
    one = backend.encode_image(tiles[:1])
    whole, bare = [], []
    for _ in range(3):
        start = time.perf_counter()
        segmenter.segment(photo, PROMPTS, keep_probability=False)
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
    """Measure time and memory of rendered phone walls, with cracks and joints and without."""
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
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/benchmark"))
    parser.add_argument("--split", default="val")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--photos", type=int, default=60, help="at most, of the forced tiling")
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
        print(f"forced, mosaics: skipped, {given.data} holds no data set (make benchmark-quality makes it)")
    if "walls" in given.only:
        show(found, "walls", walls(segmenter, given.walls))
    if "cost" in given.only:
        show(found, "cost", cost(segmenter, str(given.bundle or "default")))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def show(found: dict, name: str, result: dict) -> None:
    """Keep a result and print it."""
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
