"""Compare the time of segmenting a folder with the processor time of the model and of reading and writing.

    python tools/bench_folder.py [--photos DIR] [--count 300]

On the same photos with two prompts, the script measures the processor time of the model (from array to
masks), the processor time of reading photos and writing masks, and the wall time of segmenting the folder.
This wall time excludes loading the model. Its lower bound is the larger processor time divided by the number
of available cores. Without --photos, the photos are rendered walls.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

import drywallqa
from drywallqa.imaging import mask_files, photos
from drywallqa.inference.plan import RunOptions
from drywallqa.inference.queries import SegmentOptions
from drywallqa.processors import available_threads
from drywallqa.synthetic.walls import render_wall
from drywallqa.workflows.segment import segment_into

PROMPTS = ["segment crack", "segment taping area"]
OUTLINES = SegmentOptions(mask="outline")


def processor_time(work: Callable[[], object]) -> float:
    """Call `work` and return the processor time of all threads in seconds."""
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=None)
    parser.add_argument("--count", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        paths = (
            sorted(asked.photos.iterdir())[: asked.count]
            if asked.photos
            else render(Path(place), asked.count)
        )
        measure(paths, Path(place))


def render(place: Path, count: int) -> list[Path]:
    """Render up to forty walls of 640 px, and copy them under more names until there are `count` photos."""
    (place / "photos").mkdir()
    paths = [place / "photos" / f"{number:05d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number < 40:
            Image.fromarray(render_wall(number).photo).save(path, quality=92)
        else:
            path.write_bytes(paths[number % 40].read_bytes())
    return paths


def measure(paths: list[Path], place: Path) -> None:
    """Measure and print the processor times and the wall time."""
    segmenter = drywallqa.load()
    arrays = [photos.read_photo(path) for path in paths]
    answers = [
        segmenter.segment(array, PROMPTS, keep_probability=False, options=OUTLINES) for array in arrays
    ]

    def model() -> None:
        for array in arrays:
            segmenter.segment(array, PROMPTS, keep_probability=False, options=OUTLINES)

    def files() -> None:
        (place / "alone").mkdir()
        for path, found in zip(paths, answers, strict=True):
            photos.read_photo(path)
            for answer in found:
                mask_files.write_mask_file(
                    place / "alone" / mask_files.file_name(path.stem, answer.prompt), answer.mask
                )

    parts = {"model": processor_time(model), "reading and writing": processor_time(files)}
    begun = time.perf_counter()
    segment_into(segmenter, paths, PROMPTS, place / "results", RunOptions(OUTLINES, index=False))
    wall, cores = time.perf_counter() - begun, available_threads()
    for name, seconds in parts.items():
        print(f"{name}: {1e3 * seconds / len(paths):.1f} ms of processor time per photo")
    print(f"folder run: {1e3 * wall / len(paths):.1f} ms per photo, {len(paths)} photos, {cores} cores")
    print(
        f"ratio to the larger processor time divided by the cores: {wall / (max(parts.values()) / cores):.2f}"
    )


if __name__ == "__main__":
    main()
