"""Measure how long `inspect` takes to segment a photo and to measure its findings, in one run.

Without photos, the script renders walls of 12 megapixels with about 50 cracks. It prints the processor time
of both parts, their ratio, the number of findings and the largest memory of the process. With
--true-outlines, the cracks' true outlines, three times as wide as the cracks, are measured beside it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import drywallqa
from drywallqa.imaging.morphology import dilate
from drywallqa.inspection.finding_search import search_findings
from drywallqa.synthetic.known_cracks import KNOWN_WIDTHS, SIDE, render_known_wall

WIDTH, HEIGHT = 4000, 3000


def render_large_wall(seed: int) -> tuple[Image.Image, NDArray[np.bool_]]:
    """Render 4000×3000 px with four cracks in each of 13 tiles of one surface; other tiles have no crack.

    Returns:
        The photo, and outlines [H,W] that are three times as wide as the cracks.
    """
    generator = np.random.default_rng(seed)
    columns, rows = -(-WIDTH // SIDE), -(-HEIGHT // SIDE)
    image = Image.new("RGB", (WIDTH, HEIGHT), (190, 188, 182))
    outline = np.zeros((rows * SIDE, columns * SIDE), np.bool_)
    cells = [(x * SIDE, y * SIDE) for y in range(rows) for x in range(columns)]
    for place in generator.permutation(len(cells))[:13].tolist():
        widths = generator.choice([width for width in KNOWN_WIDTHS if width >= 2], 4)
        wall = render_known_wall((seed, place), widths.tolist(), ("paint",))
        x, y = cells[place]
        image.paste(Image.fromarray(wall.photo), (x, y))
        for crack in wall.cracks:
            outline[y : y + SIDE, x : x + SIDE] |= dilate(crack.mask, round(max(crack.width, 2)))
    return image, outline[:HEIGHT, :WIDTH]


def measure_true_outlines(count: int, segmenter: drywallqa.Segmenter) -> None:
    """Print the processor times of segmenting rendered walls and of measuring their true outlines."""
    segmenting, measuring, findings = 0.0, 0.0, 0
    for seed in range(count):
        image, outline = render_large_wall(seed)
        photo, start = np.asarray(image), time.process_time()
        segmenter.segment(photo, "segment crack", options=drywallqa.SegmentOptions(mask="outline"))
        middle = time.process_time()
        findings += len(search_findings(photo, outline, None, "crack", joints=False).found)
        segmenting += middle - start
        measuring += time.process_time() - middle
    print(f"{count} photos, {findings} findings in true outlines")
    print(f"segmenting: {segmenting:.1f} s, measuring: {measuring:.1f} s of processor time")
    print(f"measuring / segmenting: {measuring / segmenting:.2f}")


def main() -> None:
    """Measure the photos of the command line, or rendered walls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--rendered", type=int, default=3, help="number of rendered walls")
    parser.add_argument("--true-outlines", action="store_true", help="measure true outlines instead")
    arguments = parser.parse_args()
    if arguments.true_outlines:
        measure_true_outlines(arguments.rendered, drywallqa.load())
        return
    with tempfile.TemporaryDirectory() as place:
        photos = arguments.photos
        if not photos:
            photos = [Path(place) / "walls" / f"{seed}.jpg" for seed in range(arguments.rendered)]
            photos[0].parent.mkdir()
            for seed, path in enumerate(photos):
                render_large_wall(seed)[0].save(path, quality=92)
        start_wall, start = time.perf_counter(), time.process_time()
        segmenter = drywallqa.load()
        print(f"loading the model: {time.process_time() - start:.1f} s of processor time")
        seen: list[float] = []

        def segmented(outcome: object) -> None:
            seen.append(time.process_time())

        start = time.process_time()
        summary = drywallqa.inspect(photos, Path(place) / "out", segmenter=segmenter, on_outcome=segmented)
        both, everything = seen[-1] - start, time.process_time() - start
        measuring = summary.measuring_seconds
        count = sum(len(finding.observations) for finding in summary.ledger.findings)
        print(f"{len(photos)} photos, {count} findings")
        print(f"segmenting: {both - measuring:.1f} s, measuring: {measuring:.1f} s of processor time")
        print(f"measuring / segmenting: {measuring / (both - measuring):.2f}")
        print(f"linking, pictures and report: {everything - both:.1f} s of processor time")
        print(f"all: {time.perf_counter() - start_wall:.1f} s")
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
