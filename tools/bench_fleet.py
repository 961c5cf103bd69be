"""Measure the speed of a plain run and of a Ray run on this machine, and compute the cost of large archives.

The photos are rendered walls, written several times under different names, so that the results do not depend
on a data set that cannot be shared. Both runs are timed from their first to their last photo, which excludes
the start. A third run gives the workers only unreadable files, one file per block. This run measures how many
blocks per second the driver process can assign.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from drywallqa import load
from drywallqa.fleet import Fleet, cluster, segment_fleet
from drywallqa.inference import batch_run
from drywallqa.inference.plan import make_plan
from drywallqa.processors import available_threads
from drywallqa.synthetic.examples import write_examples

PROMPTS = ["segment crack", "segment taping area"]


@dataclass(frozen=True)
class Rate:
    """The speed of a run from its first to its last photo."""

    photos: int
    seconds: float
    seconds_with_start: float
    cpu_seconds: float | None = None

    @property
    def per_second(self) -> float:
        """The number of photos per second."""
        return self.photos / self.seconds if self.seconds else 0.0


def make_photos(folder: Path, count: int, side: int) -> None:
    """Write rendered walls as `count` JPEG files, with repetitions."""
    from PIL import Image

    write_examples(folder / "walls", (side, side))
    pictures = sorted((folder / "walls").glob("*.png"))
    (folder / "photos").mkdir()
    for number, path in enumerate(pictures):
        with Image.open(path) as image:
            image.convert("RGB").save(folder / f"{number}.jpg", quality=90)
    for number in range(count):
        source = folder / f"{number % len(pictures)}.jpg"
        (folder / "photos" / f"{number:06d}.jpg").write_bytes(source.read_bytes())


def plain(folder: Path, out: Path) -> Rate:
    """Segment the folder in this process, like `segment` without a results page."""
    began = time.perf_counter()
    segmenter = load()
    plan = make_plan(segmenter.bundle, [folder], PROMPTS, out)
    first, cpu = 0.0, 0.0
    for outcome in batch_run.segment_plan(segmenter, plan):
        assert outcome.status == "done", outcome.error
        if not first:
            first, cpu = time.perf_counter(), time.process_time()
    end = time.perf_counter()
    return Rate(len(plan.items) - 1, end - first, end - began, time.process_time() - cpu)


def fleet(folder: Path, out: Path) -> Rate:
    """Segment the folder with one Ray worker per core."""
    which, times = Fleet(), list[float]()
    opener = partial(load, threads=which.threads)
    done = segment_fleet(opener, [folder], PROMPTS, out, fleet=which, on_outcome=_clock(times))
    assert done.failed == 0
    return Rate(done.done - which.block, times[-1] - times[0], done.seconds)


def _clock(times: list[float]) -> Callable[[object], None]:
    """Return a callback that records the time at which each photo is finished."""
    return lambda outcome: times.append(time.perf_counter())


def rerun(folder: Path, out: Path) -> float:
    """Return the time in seconds of a second run over a finished folder."""
    done = segment_fleet(partial(load, threads=1), [folder], PROMPTS, out)
    assert done.done == 0
    return done.seconds


def hand_out(folder: Path, out: Path, count: int) -> Rate:
    """Run blocks that contain only an unreadable file."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06d}.jpg").write_bytes(b"-")
    opener, times = partial(load, threads=1), list[float]()
    done = segment_fleet(opener, [folder], PROMPTS, out, fleet=Fleet(block=1), on_outcome=_clock(times))
    return Rate(done.failed - 1, times[-1] - times[0], done.seconds)


def stages(out: Path) -> dict[str, float]:
    """Return the mean milliseconds to read, segment and write a photo, and the mean bytes per photo."""
    from pyarrow import parquet

    rows = parquet.read_table(out / "results.parquet").to_pylist()
    photos = {row["source"]: row for row in rows}
    written = sum((out / row["mask"]).stat().st_size for row in rows)
    return {
        "read_ms": sum(row["read_ms"] for row in photos.values()) / len(photos),
        "segment_ms": sum(row["segment_ms"] for row in rows) / len(photos),
        "write_ms": sum(row["write_ms"] for row in rows) / len(photos),
        "photo_bytes": sum(row["source_size"] for row in photos.values()) / len(photos),
        "mask_bytes": written / len(photos),
        "table_bytes": (out / "results.parquet").stat().st_size / len(photos),
    }


def measure(count: int, side: int, place: Path) -> dict[str, Any]:
    """Do all runs, with plain runs before and after the Ray run, because other work can slow a run down."""
    make_photos(place, count, side)
    before = plain(place / "photos", place / "plain-1")
    with cluster.reached(None):
        on_ray = fleet(place / "photos", place / "fleet")
        again = rerun(place / "photos", place / "fleet")
        empty = hand_out(place / "empty", place / "nothing", min(count, 400))
    after = plain(place / "photos", place / "plain-2")
    best = max(before, after, key=lambda rate: rate.per_second)
    return {
        "photos": count, "side": side, "prompts": len(PROMPTS), "cores": available_threads(),
        "load_before": os.getloadavg()[0],
        "plain": [asdict(one) | {"per_second": one.per_second} for one in (before, after)],
        "fleet": asdict(on_ray) | {"per_second": on_ray.per_second},
        "fleet_of_plain": on_ray.per_second / best.per_second,
        "rerun_seconds": again, "blocks_per_second": empty.per_second, "stages": stages(place / "fleet"),
    }  # fmt: skip


def tell(found: dict[str, Any], price: float) -> None:
    """Print the measurements, and the computed cost of large archives."""
    rates = ", ".join(f"{one['per_second']:.1f}" for one in found["plain"])
    print(
        f"{found['photos']} photos of {found['side']} px, {found['prompts']} prompts, {found['cores']} cores"
    )
    print(f"plain run, before and after: {rates} photos/s")
    print(f"Ray run, one worker per core: {found['fleet']['per_second']:.1f} photos/s", end="")
    print(f" = {found['fleet_of_plain']:.0%} of the faster plain run")
    print(f"second run of the finished job: {found['rerun_seconds']:.1f} s, without inference")
    print(f"maximum number of assigned blocks: {found['blocks_per_second']:.0f}/s")
    print("mean per photo: " + ", ".join(f"{name} {value:,.1f}" for name, value in found["stages"].items()))
    hours = found["cores"] / found["fleet"]["per_second"] / 3600
    for count in (1_000_000, 100_000_000):
        cost = hours * count * price
        print(
            f"{count:,} photos: {hours * count:,.0f} core hours, cost {cost:,.0f} at {price:g} per core hour"
        )


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--price", type=float, default=0.04, help="price of a core hour, in any currency")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measure(asked.count, asked.side, Path(place))
    tell(found, asked.price)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
