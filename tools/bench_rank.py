"""Does `data rank` choose better photos to label than chance? 200 ranked photos against 200 random photos.

    python tools/bench_rank.py [--out bench-output/rank] [--seeds 3] [--threads 1]

Needs the crack photos in $DRYWALLQA_DATA. All but 100 train labels are hidden. A start model learns these 100
labels and ranks the other train photos. Each further run learns the 100 labels and 200 more, chosen by rank
or by chance, from ImageNet weights. Chance takes at most one copy of a photograph, as the ranking does.
Thresholds come from val. The test split is measured after the last run. The same command continues after an
interruption. The result is a Markdown table in OUT/result.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from drywallqa.evaluation.speed_parts import describe_machine
from drywallqa.metrics import group_means

ROOT = Path(__file__).parent.parent
CONCEPT, SET, CLASS = "crack", "cracks", "NewCracks - v2 2024-05-18 10-54pm"
START, PICKED = 100, 200  # labelled photographs of the start model, photos that are then labelled
METHODS = ("rank", "random")
DRAWS = 2000  # resamples of an interval
RECIPE = ROOT / "configs" / "laptop.yaml"
# The recipe of a laptop, made smaller for one core: smaller crops, and only the crack photos.
SETTINGS = (
    "data.window=224", "data.photo_scale=[220, 300]", "validation_window=256", "data.workers=0",
    "data.mix={}", "data.composite_share=0", "data.photos_per_epoch=768",
    "validate_every=4",
)  # fmt: skip
WINDOW = 320  # px; half the side of the photos, so that the start model sees each photo only as a whole


def call(*arguments: object) -> None:
    """Run a verb of drywallqa; end the script if it fails."""
    print("$ drywallqa", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "drywallqa", *map(str, arguments)], check=True)


def hidden_sets(out: Path) -> None:
    """Import the cracks, and write the set of the start model and the set to be ranked."""
    from drywallqa.datasets.dataset import load_dataset

    whole = out / "whole"
    if not (whole / ".ready").exists():
        source = Path(os.environ["DRYWALLQA_DATA"]) / "cracks.yolov8"
        call("data", "import", source, "--out", whole, "--replace", "--set", SET, "--concept",
             f"{CLASS}={CONCEPT}")  # fmt: skip
        call("data", "split", whole, "--by-csv", ROOT / "benchmarks" / "split.csv")
        (whole / ".ready").touch()
    dataset = load_dataset(whole)
    train, known = dataset.part("train"), {sample.key for sample in start_samples(dataset)}
    unlabelled = [s if s.key in known else replace(s, labels={}) for s in train]
    write_set(out, "start", [*start_samples(dataset), *dataset.part("val", "test")])
    write_set(out, "hidden", unlabelled)


def one_copy_each(samples, count: int, seed: str):
    """Draw photographs, and one copy of each."""
    generator = random.Random(seed)
    groups: dict[str, list] = {}
    for sample in sorted(samples, key=lambda s: s.photo):
        groups.setdefault(sample.photograph, []).append(sample)
    return [generator.choice(groups[name]) for name in generator.sample(sorted(groups), count)]


def start_samples(dataset):
    """Return the photos whose labels are known from the start."""
    return one_copy_each(dataset.part("train"), START, "start")


def write_set(out: Path, name: str, samples) -> Path:
    """Write a data set that links to the photos and masks of the whole set."""
    from drywallqa.datasets.dataset import load_dataset, save_dataset

    folder, whole = out / "sets" / name, load_dataset(out / "whole")
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("photos", "masks"):
        if not (folder / part).exists():
            (folder / part).symlink_to((whole.folder / part).resolve(), target_is_directory=True)
    save_dataset(replace(whole, folder=folder, samples=tuple(samples)))
    return folder


def train(out: Path, name: str, seed: int, threads: int) -> Path:
    """Train on one of the sets, or continue, or do nothing if the run is complete."""
    run, done = out / "runs" / name, out / "runs" / f"{name}.seconds"
    if not done.exists():
        start = time.perf_counter()
        begun = ["--resume"] if (run / "last.ckpt").exists() else ["--overwrite"]
        settings = (*SETTINGS, f"seed={seed}", f"threads={threads}")
        options = [] if begun == ["--resume"] else [part for one in settings for part in ("--set", one)]
        options += [] if begun == ["--resume"] else ["--config", RECIPE]
        call("train", "--data", out / "sets" / name, "--out", run, *begun, *options, "-q")
        done.write_text(f"{time.perf_counter() - start:.0f}\n")
    return run


def ranked_photos(out: Path, threads: int) -> list[str]:
    """Return the photos that the start model ranks first."""
    bundle, listed = out / "start-bundle", out / "ranked.json"
    if not listed.exists():
        run = train(out, "start", 0, threads)
        call("export", run, "--data", out / "sets" / "start", "--out", bundle, "--window", WINDOW,
             "--overwrite")  # fmt: skip
        call("data", "rank", out / "sets" / "hidden", "--concept", CONCEPT, "--model", bundle,
             "--limit", PICKED, "--json", listed)  # fmt: skip
    folder = out / "sets" / "hidden"
    rows = json.loads(listed.read_text("utf-8"))["photos"]
    return [Path(row["photo"]).relative_to(folder).as_posix() for row in rows]


def chosen_set(out: Path, method: str, seed: int, threads: int) -> str:
    """Write the set of one run and return its name."""
    from drywallqa.datasets.dataset import load_dataset

    dataset = load_dataset(out / "whole")
    start = start_samples(dataset)
    if method == "rank":
        names = set(ranked_photos(out, threads))
        picked = [sample for sample in dataset if sample.photo in names]
    else:
        taken = {sample.photograph for sample in start}
        others = [sample for sample in dataset.part("train") if sample.photograph not in taken]
        picked = one_copy_each(others, PICKED, f"random {seed}")
    assert len(picked) == PICKED, f"{len(picked)} photos of {method} are in the train split"
    name = f"{method}-{seed}"
    write_set(out, name, [*start, *picked, *dataset.part("val", "test")])
    return name


def measure(out: Path, name: str, split: str) -> dict[str, float]:
    """Return photograph → IoU of a run on a split, at the threshold chosen on val."""
    folder = out / "figures" / f"{name}-{split}"
    if not (folder / "evaluation.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        call("evaluate", "--data", out / "sets" / name, "--model", out / "runs" / name, "--split", split,
             "--out", folder, "--worst", 0, "-q")  # fmt: skip
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return group_means([float(row["iou"]) for row in rows], [row["photograph"] for row in rows])


def interval(better: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference of two arrays [runs,photographs].

    Each resample draws photographs, the same for both arrays, and runs, separately for each array.
    """
    generator = np.random.default_rng(0)
    runs, photographs = better.shape
    differences = []
    for _ in range(DRAWS):
        columns = generator.integers(photographs, size=photographs)
        first, second = (each[generator.integers(runs, size=runs)][:, columns] for each in (better, other))
        differences.append(first.mean() - second.mean())
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def table(out: Path, seeds: int, splits: tuple[str, ...], threads: int) -> str:
    """Describe the finished runs as Markdown."""
    lines = [
        f"{START} labelled photographs, and {PICKED} more photos chosen by rank or at random; mean IoU of "
        f"'{CONCEPT}' over photographs. {describe_machine()}, {date.today().isoformat()}.",
        "",
        "| split | start model | random, by seed | rank, by seed | random | rank | rank - random |",
        "|---|---|---|---|---|---|---|",
    ]
    for split in splits:
        start = np.mean(list(measure(out, "start", split).values()))
        ious = {}
        for method in METHODS:
            found = [measure(out, f"{method}-{seed}", split) for seed in range(seeds)]
            ious[method] = np.array([[each[name] for name in sorted(found[0])] for each in found])
        rank, chance = ious["rank"], ious["random"]
        low, high = interval(rank, chance)
        each = [", ".join(f"{value:.3f}" for value in ious[name].mean(axis=1)) for name in METHODS]
        lines.append(
            f"| {split} ({rank.shape[1]} photographs) | {start:.3f} | {each[1]} | {each[0]} | "
            f"{chance.mean():.3f} | {rank.mean():.3f} | {rank.mean() - chance.mean():+.3f} "
            f"({low:+.3f} to {high:+.3f}) |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Train, measure on val after each run, and measure on test after the last run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "bench-output" / "rank")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    out, threads = arguments.out, arguments.threads
    hidden_sets(out)
    train(out, "start", 0, threads)
    for seed in range(arguments.seeds):
        for method in reversed(METHODS):
            name = chosen_set(out, method, seed, threads)
            train(out, name, seed, threads)
            measure(out, name, "val")
        print(table(out, seed + 1, ("val",), threads), flush=True)
    result = table(out, arguments.seeds, ("val", "test"), threads)
    (out / "result.md").write_text(result, encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
