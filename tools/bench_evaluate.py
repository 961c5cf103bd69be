"""Compare the time of evaluating photos with the time of segmenting the same photos with the same prompt.

Both commands are timed from the start of the process to its end. They alternate, so that other work on the
machine affects both equally. The script needs the data set that `make benchmark-quality` creates.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from drywallqa.datasets import dataset as datasets

PROMPT = "segment crack"
SET = "cracks"


def timed(arguments: list[str]) -> float:
    """Run a command and return its time in seconds.

    Raises:
        RuntimeError: The command failed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "drywallqa", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"drywallqa {arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return time.perf_counter() - start


def measure(data: Path, split: str, repeats: int) -> tuple[int, list[float], list[float]]:
    """Return the number of photos, and the times of segmenting and of evaluating them in seconds."""
    known = datasets.load_dataset(data)
    photos = [str(known.photo_path(s)) for s in known.part(split) if s.set_name == SET]
    if not photos:
        raise SystemExit(f"{data}: the split '{split}' has no photo of the set '{SET}'")
    segmenting, evaluating = [], []
    evaluate = ["evaluate", "--data", str(data), "--split", split, "--set", SET, "--prompt", PROMPT, "-q"]
    with tempfile.TemporaryDirectory() as place:
        for turn in range(repeats):
            out = str(Path(place) / str(turn))
            segmenting.append(timed(["segment", *photos, "--prompt", PROMPT, "--out", out, "-q"]))
            evaluating.append(timed(evaluate))
    return len(photos), segmenting, evaluating


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/benchmark"), help="an imported data set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if not (given.data / "dataset.json").is_file():
        print(
            f"{given.data}: no data set found, so nothing was measured; create it with make benchmark-quality"
        )
        return
    photos, segmenting, evaluating = measure(given.data, given.split, given.repeats)
    for name, seconds in (("segmenting", segmenting), ("evaluating", evaluating)):
        told = ", ".join(f"{each:.1f}" for each in seconds)
        print(f"{name} {photos} photos: median {statistics.median(seconds):.1f} s (all runs: {told})")
    ratio = statistics.median(evaluating) / statistics.median(segmenting)
    print(f"evaluating takes {ratio:.2f} times as long as segmenting (goal: at most 2)")


if __name__ == "__main__":
    main()
