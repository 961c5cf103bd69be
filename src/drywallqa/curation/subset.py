"""Create a smaller data set with a given number of photos per concept and split."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.errors import DataError, OutputError

Sizes = Mapping[str, Mapping[str, int]]
"""Concept → split → number of photos."""


def take_subset(dataset: Dataset, sizes: Sizes, out: Path, *, seed: int = 0) -> Dataset:
    """Copy some photos with their masks into a new data set.

    The new data set covers as many different source photos as possible. One copy of each source photo is
    taken before any second copy. A photo that shows two concepts counts only for the first concept in
    `sizes`. Rendered images are skipped.

    Args:
        dataset: A data set whose photos are assigned to splits.
        sizes: Concept → split → number of photos to copy.
        out: Folder of the new data set.
        seed: The same seed selects the same photos.

    Raises:
        DataError: A split has too few photos of a concept.
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
                    f"{dataset.folder}: {count} photos that show '{concept}' are needed in '{part}', but "
                    f"there are only {len(pool)}; request fewer, or import more"
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
    """Draw samples in rounds. Each round takes at most one copy of each source photo."""
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in sorted(pool, key=lambda s: s.photo):
        groups[sample.set_name, sample.source_photo].append(sample)
    stacks = list(groups.values())
    for stack in stacks:
        generator.shuffle(stack)
    generator.shuffle(stacks)
    rounds = max(map(len, stacks), default=0)
    return [stack[turn] for turn in range(rounds) for stack in stacks if turn < len(stack)][:count]
