"""Split a data set into train, val and test, with all copies of a source photo in the same split."""

from __future__ import annotations

import csv
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from drywallqa.checks.data_checks import PARTS
from drywallqa.curation.near_duplicates import find_pairs
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import ConfigError, DataError
from drywallqa.imaging import perceptual_hash
from drywallqa.imaging.morphology import group_links

GROUPINGS = ("source", "near-duplicates")

Group = list[Sample]
Assigned = list[tuple[Group, str]]


def parse_ratios(text: str) -> tuple[float, float, float]:
    """Parse the shares of train, val and test from a text such as "70/15/15". They can have any sum.

    Raises:
        ConfigError: The text does not have three numbers, a number is negative, or the share of train is 0.
    """
    try:
        train, val, test = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise ConfigError(
            f"--ratios '{text}' cannot be parsed; write train/val/test, such as 70/15/15"
        ) from error
    if not all(np.isfinite([train, val, test])) or min(train, val, test) < 0 or train <= 0:
        raise ConfigError(
            f"--ratios '{text}' is invalid; no share can be negative, and the share of train must be above 0"
        )
    return train, val, test


def split_dataset(
    dataset: Dataset,
    ratios: tuple[float, float, float] = (70.0, 15.0, 15.0),
    *,
    seed: int = 0,
    blocks: bool = False,
    grouping: str = "source",
) -> Dataset:
    """Split a data set by source photo within each set and setting. The shares apply to the whole data set.

    Args:
        dataset: The data set. An earlier split is discarded.
        ratios: Shares of train, val and test.
        seed: Random seed. The same seed gives the same split.
        blocks: Whether to keep source photos with consecutive names together, for example the photos of
            one site visit.
        grouping: "source" keeps all copies of a source photo together. "near-duplicates" also keeps
            duplicates with different names together.

    Raises:
        ConfigError: The grouping is unknown.
        DataError: There are fewer source photos than splits.
    """
    if grouping not in GROUPINGS:
        raise ConfigError(f"--group {grouping} is unknown; use one of {', '.join(GROUPINGS)}")
    groups = _groups(dataset, near_duplicates=grouping == "near-duplicates")
    shares = {part: ratio for part, ratio in zip(PARTS, ratios, strict=True) if ratio > 0}
    if len(groups) < len(shares):
        raise DataError(
            f"{dataset.folder}: {len(groups)} source photos cannot be divided into {len(shares)} splits"
        )
    strata: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        strata[group[0].set_name, group[0].setting or ""].append(group)
    assigned = _assign(strata, shares, seed, _in_blocks if blocks else _scattered)
    part_of = {sample.key: part for group, part in assigned for sample in group}
    return dataset.with_samples(replace(sample, split=part_of[sample.key]) for sample in dataset)


def split_notes(dataset: Dataset) -> list[str]:
    """Return warnings about empty splits, and about sets whose photos are all in the same split."""
    empty = [part for part in PARTS if not any(sample.split == part for sample in dataset)]
    notes = (
        [f"{' and '.join(empty)}: no photo is in {'this split' if len(empty) == 1 else 'these splits'}"]
        if empty
        else []
    )
    parts: dict[str, set[str]] = defaultdict(set)
    for sample in dataset:
        parts[sample.set_name].add(sample.split or "no split")
    alone = [name for name, found in parts.items() if len(found) == 1]
    if alone:
        example = f"'{alone[0]}' in {parts[alone[0]].pop()}"
        notes.append(f"{len(alone)} of {len(parts)} sets are in only one split, such as {example}")
    return notes


def _groups(dataset: Dataset, *, near_duplicates: bool) -> list[Group]:
    """Group samples that must stay together. The result does not depend on the order of the manifest."""
    samples = sorted(dataset, key=lambda sample: (sample.set_name, natural_key(sample.image_id)))
    keys = [sample.photograph for sample in samples]
    first: dict[str, int] = {}
    links = [(first.setdefault(key, number), number) for number, key in enumerate(keys)]
    if near_duplicates and samples:
        thumbnails = np.stack([perceptual_hash.thumbnail(dataset.read_photo(sample)) for sample in samples])
        links += [(pair.first, pair.second) for pair in find_pairs(thumbnails, keys)]
    groups: dict[int, Group] = defaultdict(list)
    for sample, root in zip(samples, group_links(len(samples), links).tolist(), strict=True):
        groups[root].append(sample)
    return list(groups.values())


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts names by their numbers, for example IMG_9 before IMG_10."""
    runs = re.findall(r"\d+|\D+", name.lower())
    return tuple((int(run), "") if run.isdecimal() else (-1, run) for run in runs)


def _assign(
    strata: Mapping[tuple[str, str], list[Group]],
    shares: Mapping[str, float],
    seed: int,
    cut: Callable[[Sequence[Group], dict[str, float], random.Random], Assigned],
) -> Assigned:
    """Assign the groups of each stratum to splits. Later strata make up for the deficits of a split.

    The strata are processed in random order, because the first strata with a single group go to train. A
    split without photos gets the smallest group of a split that has several groups, if there is one.
    """
    generator = random.Random(seed)
    keys = sorted(strata)
    random.Random(f"strata {seed}").shuffle(keys)
    lacking = dict.fromkeys(shares, 0.0)
    assigned: Assigned = []
    for key in keys:
        total = sum(len(group) for group in strata[key])
        for part, share in shares.items():
            lacking[part] += total * share / sum(shares.values())
        assigned += cut(strata[key], lacking, generator)
    for part in shares:
        amounts = Counter(name for _, name in assigned)
        spare = [number for number, (_, name) in enumerate(assigned) if amounts[name] > 1]
        if not amounts[part] and spare:
            number = min(spare, key=lambda index: len(assigned[index][0]))
            assigned[number] = (assigned[number][0], part)
    return assigned


def _scattered(groups: Sequence[Group], lacking: dict[str, float], generator: random.Random) -> Assigned:
    """Assign each group to the split that lacks the most photos, starting with the largest group."""
    shuffled = list(groups)
    generator.shuffle(shuffled)
    shuffled.sort(key=len, reverse=True)
    assigned = []
    for group in shuffled:
        part = max(lacking, key=lambda name: lacking[name])
        lacking[part] -= len(group)
        assigned.append((group, part))
    return assigned


def _in_blocks(groups: Sequence[Group], lacking: dict[str, float], generator: random.Random) -> Assigned:
    """Arrange the groups in a ring in order of their names, and cut the ring into one block per split."""
    start = generator.randrange(len(groups))
    wanted = np.maximum(list(lacking.values()), 0)  # a split that already has too many photos gets none
    ends = np.cumsum(wanted) / wanted.sum() * sum(len(group) for group in groups)
    assigned, done = [], 0
    for group in [*groups[start:], *groups[:start]]:
        middle = done + len(group) / 2  # a group goes to the split that contains its middle
        part = list(lacking)[min(int(np.searchsorted(ends, middle)), len(lacking) - 1)]
        lacking[part] -= len(group)
        assigned.append((group, part))
        done += len(group)
    return assigned


def split_by_csv(dataset: Dataset, path: Path) -> tuple[Dataset, list[str], list[str]]:
    """Split a data set as a CSV file specifies. A photo's file stem identifies its row.

    Args:
        dataset: The data set.
        path: A CSV file with the columns "file" and "split", and optionally "photo" (the source photo) and
            "setting". Photos that are not in the CSV file get no split.

    Returns:
        The data set, the photos that the CSV file does not list, and the listed files that match no photo.

    Raises:
        DataError: The CSV file is invalid, matches no photo, or puts copies of a source photo in two splits.
    """
    rows = _read_rows(path)
    samples, unnamed = [], []
    matched: set[str] = set()
    for sample in dataset:
        row = _row_of(sample, rows)
        if row is None:
            unnamed.append(sample.photo)
            samples.append(replace(sample, split=None))
            continue
        matched.add(row["file"])
        samples.append(
            replace(
                sample,
                split=row["split"] or None,
                setting=row.get("setting") or sample.setting,
                source_photo=row.get("photo") or sample.source_photo,
            )
        )
    if not matched:
        raise DataError(
            f"{path}: matches no photo of {dataset.folder}; the column 'file' must contain photo names"
        )
    _refuse_leaks(samples, path)
    unmatched = [row["file"] for listed in rows.values() for row in listed if row["file"] not in matched]
    return dataset.with_samples(samples), unnamed, unmatched


def _read_rows(path: Path) -> dict[str, list[dict[str, str]]]:
    """Read the rows of a CSV file, and group them by the file stem in the column "file"."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            listed = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read as CSV ({error}); it needs the columns file,split"
        ) from error
    if not {"file", "split"} <= columns:
        raise DataError(
            f"{path}: has the columns {', '.join(sorted(columns)) or 'none'}; it needs file,split"
        )
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in listed:
        rows[Path(row["file"]).stem].append(row)
    return rows


def _row_of(sample: Sample, rows: Mapping[str, list[dict[str, str]]]) -> dict[str, str] | None:
    """Find the row of a sample. If several rows have its file stem, prefer one whose path has its set."""
    found = rows.get(sample.image_id, [])
    if len(found) > 1:
        name = sample.set_name
        found = [row for row in found if any(p.startswith(name) for p in Path(row["file"]).parts)] or found
    if len({row["split"] for row in found}) > 1:
        raise DataError(
            f"{found[0]['file']}: the CSV file assigns it to {' and '.join(row['split'] for row in found)}"
        )
    return found[0] if found else None


def _refuse_leaks(samples: Sequence[Sample], path: Path) -> None:
    sides: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in samples:
        if sample.split in PARTS:
            sides[sample.set_name, sample.source_photo].add(sample.split)
    leaks = [(name, found) for (_, name), found in sides.items() if len(found) > 1]
    if leaks:
        name, found = leaks[0]
        raise DataError(
            f"{path}: puts copies of the source photo '{name}' in {' and '.join(sorted(found))} "
            f"({len(leaks)} such source photos); put all copies of a source photo in the same split"
        )


def hold_out(dataset: Dataset, setting: str) -> Dataset:
    """Reserve one setting for the test split, to measure a model on a setting that it has not seen.

    All photos of the setting become the test split. The former test photos of other settings get the split
    "unused".

    Raises:
        ConfigError: No photo has the setting, or all training photos have the setting.
    """
    settings = sorted({sample.setting for sample in dataset if sample.setting})
    if setting not in settings:
        known = ", ".join(settings) or "none; run split --by-csv with a column 'setting'"
        raise ConfigError(f"{dataset.folder}: no photo has the setting '{setting}' (known: {known})")
    if not any(sample.split == "train" and sample.setting != setting for sample in dataset):
        raise ConfigError(
            f"{dataset.folder}: all training photos have the setting '{setting}'; none is left for training"
        )
    samples = []
    for sample in dataset:
        split = "unused" if sample.split == "test" else sample.split
        samples.append(replace(sample, split="test" if sample.setting == setting else split))
    return dataset.with_samples(samples)
