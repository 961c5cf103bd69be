"""Compare the time before the first photo is encoded with the time of the imports that this work needs.

The script prints the time from the start of a process to its first encoding, and the time of
`python -c "import onnxruntime, numpy, PIL.Image"`. Both commands alternate, so that other work on the machine
affects both equally.
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

# Ends the process at the moment when the first photo would be encoded. The encoder is replaced after the
# model is loaded, so that the imports happen in the same order as in a normal run.
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
    """Times in seconds of the bare imports, and from start to first encoding, for each repeat."""

    bare: list[float]
    first: list[float]

    @property
    def ratio(self) -> float:
        """The median time to the first encoding, divided by the median time of the bare imports."""
        return statistics.median(self.first) / statistics.median(self.bare)

    def describe(self) -> str:
        """Describe the times in three lines of text."""
        rows = (("bare import", self.bare), ("start to first encoding", self.first))
        told = [
            f"{name}: median {statistics.median(times):.3f} s, minimum {min(times):.3f} s, {len(times)} runs"
            for name, times in rows
        ]
        return "\n".join([*told, f"ratio of medians: {self.ratio:.2f}"])


def measure(repeats: int = 9, python: str = sys.executable) -> StartUp:
    """Measure both times alternately, after an unmeasured run that fills the disk's cache.

    Raises:
        RuntimeError: A run ended before it encoded a photo.
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
    # This variable would stop Python from storing compiled modules, which slows down every start.
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
