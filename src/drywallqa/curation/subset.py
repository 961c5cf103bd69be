"""A smaller data set out of a large one: so many photos of each concept in each part."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.errors import DataError, OutputError

Sizes = Mapping[str, Mapping[str, int]]
"""Concept → part → photos."""


def take_subset(dataset: Dataset, sizes: Sizes, out: Path, *, seed: int = 0) -> Dataset:
    """Copy some photos with their masks into a data set of its own.

    Photos come from as many photographs as there are: one copy of each before a second of any. A photo that
    shows two concepts counts for the first that takes it. Rendered pictures are passed over.

    Args:
        dataset: Split.
        sizes: How many photos that show a concept each part gets.
        out: The new data set's folder.
        seed: Equal seeds take equal photos.

    Raises:
        DataError: There are fewer photos than are wanted.
        OutputError: A file cannot be copied.
    """
    taken: dict[str, Sample] = {}
    for concept, parts in sizes.items():
        for part, count in parts.items():
            pool = [
                s for s in dataset.part(part)
                if s.labels.get(concept) and not s.rendered and s.photo not in taken
            ]  # fmt: skip
            if len(pool) < count:
                raise DataError(
                    f"{dataset.folder}: {count} photos that show '{concept}' are wanted in '{part}', there "
                    f"are {len(pool)}; ask for fewer, or import more"
                )
            taken |= {s.photo: s for s in _spread(pool, count, random.Random(f"{seed} {concept} {part}"))}
    made = Dataset(out, tuple(taken.values()), dataset.concepts)
    for sample in made:
        for name in (sample.photo, *filter(None, sample.labels.values())):
            try:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(dataset.folder / name, out / name)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                source = dataset.folder / name
                raise OutputError(f"{out / name}: cannot be copied from {source} ({reason})") from error
    save_dataset(made)
    return made


def _spread(pool: Sequence[Sample], count: int, generator: random.Random) -> list[Sample]:
    """Draw samples over photographs, in rounds of one copy each."""
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in sorted(pool, key=lambda s: s.photo):
        groups[sample.set_name, sample.source_photo].append(sample)
    stacks = list(groups.values())
    for stack in stacks:
        generator.shuffle(stack)
    generator.shuffle(stacks)
    rounds = max(map(len, stacks), default=0)
    return [stack[turn] for turn in range(rounds) for stack in stacks if turn < len(stack)][:count]
