"""Measure the work before the first photo is encoded, against a bare import of what it cannot do without.

Prints the time from the start of a process to its first encoding, and that of
`python -c "import onnxruntime, numpy, PIL.Image"`, both in one run, turn by turn, so that what else the
machine does meets both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BARE = "import onnxruntime, numpy, PIL.Image"

# Ends the process at the very moment at which the first photo would be encoded. The change is made once the
# model is loaded, so that everything is imported when and as the product imports it.
UNTIL_FIRST_ENCODING = """
import os, sys
from drywallqa.background import BackgroundCall
wait = BackgroundCall.result

def result(self):
    made = wait(self)
    sys.modules["drywallqa.bundle.backends"].GraphBackend.encode_image = lambda self, images: os._exit(17)
    return made

BackgroundCall.result = result
from drywallqa.cli import main
sys.exit(main(["segment", sys.argv[1], "--prompt", "segment crack", "--out", sys.argv[2], "--no-index"]))
"""
REACHED = 17


@dataclass(frozen=True)
class StartUp:
    """Seconds of each repeat, bare import and start to first encoding."""

    bare: list[float]
    first: list[float]

    @property
    def ratio(self) -> float:
        """How many times the bare import's time the start takes, medians of both."""
        return statistics.median(self.first) / statistics.median(self.bare)

    def describe(self) -> str:
        """Say it in three lines."""
        rows = (("bare import", self.bare), ("start to first encoding", self.first))
        told = [
            f"{name}: median {statistics.median(times):.3f} s, least {min(times):.3f} s of {len(times)}"
            for name, times in rows
        ]
        return "\n".join([*told, f"ratio of medians: {self.ratio:.2f}"])


def measure(repeats: int = 9, python: str = sys.executable) -> StartUp:
    """Measure both, turn by turn; one turn beforehand warms the disk's cache.

    Raises:
        RuntimeError: A run ended before it came to encode a photo.
    """
    bare, first = [], []
    with tempfile.TemporaryDirectory() as folder:
        photo = _photo(Path(folder))
        for turn in range(repeats + 1):
            times = (
                _seconds([python, "-c", BARE], 0),
                _seconds(
                    [python, "-c", UNTIL_FIRST_ENCODING, str(photo), str(Path(folder) / f"out-{turn}")],
                    REACHED,
                ),
            )
            if turn:
                bare.append(times[0])
                first.append(times[1])
    return StartUp(bare, first)


def _photo(folder: Path) -> Path:
    from PIL import Image

    from drywallqa.synthetic.examples import EXAMPLES, render_example

    path = folder / "wall.jpg"
    Image.fromarray(render_example(EXAMPLES[0]).photo).save(path, quality=92)
    return path


def _seconds(command: list[str], expected: int) -> float:
    # Python keeps compiled modules unless it is told not to, and so does whoever starts the program twice
    surroundings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    elapsed = time.perf_counter() - started
    if done.returncode != expected:
        raise RuntimeError(f"ended with {done.returncode} before the first encoding: {done.stderr.strip()}")
    return elapsed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    print(measure(parser.parse_args().repeats).describe())
