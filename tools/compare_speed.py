"""Compare the speed and the start-up time of two commits in alternating runs.

    python tools/compare_speed.py --base COMMIT [--head COMMIT] [--rounds 40] [--threads N]

Other work on the machine slows down both commits and what they are compared with. The base, the head and the
original CLIPSeg model therefore take turns, one photo at a time. The report contains the ratios within a
round: how many times as fast as CLIPSeg at 352 px each commit segments a photo, and how many times as long as
the bare imports it takes to start. The default of --head is this working tree.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from compare_commits import ROOT, Side, side, table

# Both scripts segment the photo once per line of input, and print the wall time and the CPU time in ms.
LOOP = """
for line in sys.stdin:
    start, before = time.perf_counter(), time.process_time()
    segment(int(line))
    print(1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - before), flush=True)
"""
OWN = """
import sys, time
import numpy, drywallqa
photo, prompts = numpy.load("../photo.npy"), sys.argv[3].split("|")
segmenter = drywallqa.load(threads=int(sys.argv[1]), profile=sys.argv[2])
try:
    more = {"options": drywallqa.SegmentOptions(mask="outline")}
except (AttributeError, TypeError):  # older versions know only outlines
    more = {}
segment = lambda count: segmenter.segment(photo, prompts[:count], keep_probability=False, **more)
"""
CLIPSEG = """
import sys, time
import numpy
from drywallqa.evaluation.speed_parts import load_clipseg
segment, _ = load_clipseg(numpy.load("../photo.npy"), int(sys.argv[1]))
"""
PROFILES, COUNTS = ("full", "fast"), (1, 5)


class Worker:
    """A process that segments the photo with the code of one side whenever it is told to."""

    def __init__(self, checkout: Path, folder: Path, script: str, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script + LOOP, *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(checkout / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for count in COUNTS:
            self.segment(count)  # the first run is slower

    def segment(self, prompts: int) -> tuple[float, float]:
        """Segment the photo with a number of prompts. Return the wall time and the CPU time in ms."""
        assert self.process.stdin
        assert self.process.stdout
        print(prompts, file=self.process.stdin, flush=True)
        took, cpu = self.process.stdout.readline().split()
        return float(took), float(cpu)

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def compare_segmenting(sides: Sequence[Side], rounds: int, threads: int) -> Iterator[list[str]]:
    """Yield a row of the report for each profile, number of prompts and kind of time."""
    from drywallqa.evaluation.speed_cases import PROMPTS

    words = str(threads), "|".join(PROMPTS)
    with ExitStack() as stack:

        def start(*each) -> Worker:
            return stack.enter_context(closing(Worker(*each)))

        clipseg = start(ROOT, sides[1].folder, CLIPSEG, str(threads))
        for profile in PROFILES:
            workers = [start(each.checkout, each.folder, OWN, words[0], profile, words[1]) for each in sides]
            for count in COUNTS:
                times = []
                for turn in range(rounds):
                    order = (0, 1) if turn % 2 else (1, 0)
                    own = {place: workers[place].segment(count) for place in order}
                    times.append((own[0], own[1], clipseg.segment(count)))
                base, head, other = np.moveaxis(np.array(times), 0, -1)
                for kind, unit in enumerate(("time", "CPU time")):
                    name = f"CLIPSeg / profile {profile}, prompts: {count}, {unit}"
                    milliseconds = "/".join(f"{np.median(each[kind]):.0f}" for each in (base, head, other))
                    yield [name, *ratios(other[kind] / base[kind], other[kind] / head[kind]), milliseconds]


def compare_start_up(sides: Sequence[Side], rounds: int) -> Iterator[list[str]]:
    """Yield the row of the report about start-up times. Each commit has its own script for this."""
    bare, first = ([], []), ([], [])
    for turn in range(rounds):
        for place in (0, 1) if turn % 2 else (1, 0):
            done = sides[place].python("checkout/tools/bench_start_up.py", "--repeats", "1")
            imports, encoding = map(float, re.findall(rb"median ([\d.]+) s", done.stdout))
            bare[place].append(imports)
            first[place].append(encoding)
    both = np.median([*bare[0], *bare[1]])
    milliseconds = "/".join(f"{1e3 * each:.0f}" for each in (np.median(first[0]), np.median(first[1]), both))
    yield ["start-up / bare imports", *ratios(*(np.array(each) / both for each in first)), milliseconds]


def ratios(base: np.ndarray, head: np.ndarray) -> list[str]:
    """Return the medians and quartiles of both ratios, and the median of their quotient."""
    told = [f"{np.median(each):.2f} ({np.quantile(each, 0.25):.2f}–{np.quantile(each, 0.75):.2f})"
            for each in (base, head)]  # fmt: skip
    return [*told, f"{np.median(head / base):.3f}"]


def main() -> None:
    """Measure both commits alternately and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--head", default="worktree")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    from drywallqa.synthetic.examples import EXAMPLES, render_example

    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        np.save(work / "photo.npy", render_example(EXAMPLES[0], (640, 640)).photo)
        with side("base", asked.base, work) as base, side("head", asked.head, work) as head:
            before, sides = os.getloadavg()[0], (base, head)
            rows = []
            for measure, words in ((compare_segmenting, (asked.threads,)), (compare_start_up, ())):
                for row in measure(sides, asked.rounds, *words):
                    rows.append(row)
                    print(*row, sep="; ", file=sys.stderr, flush=True)
    commits = base.commit, head.commit
    titles = f"ratio, median (quartiles)|{commits[0]}|{commits[1]}|head / base|ms: base/head/compared"
    print("\n".join(table(titles, rows)))
    print(
        f"\n{datetime.now(UTC):%Y-%m-%d}, {platform.platform()}, Python {platform.python_version()}, "
        f"{asked.threads} threads, {asked.rounds} rounds; load average before: {before:.1f}, after: "
        f"{os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
