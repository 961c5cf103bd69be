"""Look at every photo of a part under every question once, and keep what all figures follow from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import BackendError, DataError, PhotoError
from drywallqa.evaluation.measure import Evaluator, LabelledPrediction, PairMeasurement

THIN_CONCEPTS = ("crack",)
"""Concepts that are lines: for them clDice, tolerant F1 and width classes are measured."""


@dataclass
class PartMeasurements:
    """Everything measured of one model on one part.

    Attributes:
        pairs: Measured pairs in the data set's order.
        regions: Truth ("crack", …, "background") → what was marked → pixels.
        skipped: What could not be measured: (photo, reason).
    """

    pairs: list[PairMeasurement] = field(default_factory=list)
    regions: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def measure_part(looker: Evaluator, progress: Callable[[int], None] | None = None) -> PartMeasurements:
    """Measure every photo of the looker's data set; what cannot be measured is skipped and counted.

    Args:
        looker: Model, photos and questions.
        progress: Called with the number of photos done.

    Raises:
        DataError: Not one photo could be measured; the message gives the first reason.
    """
    result = PartMeasurements()
    first = {str(q.concept): q.prompt for q in reversed(looker.questions.each)}
    for done, sample in enumerate(looker.dataset, 1):
        try:
            look = looker.look(sample)
        except (PhotoError, DataError, BackendError) as error:
            result.skipped.append((sample.photo, str(error)))
        else:
            result.pairs += looker.measure(look, THIN_CONCEPTS)
            _count_regions(result.regions, look, {c: first[c] for c in reversed(first)})
        if progress:
            progress(done)
    if not result.pairs:
        reason = result.skipped[0][1] if result.skipped else "no photo is labelled for these prompts"
        raise DataError(f"{looker.dataset.folder}: no photo could be measured; the first: {reason}")
    return result


def _count_regions(
    regions: dict[str, dict[str, int]], look: LabelledPrediction, prompts: Mapping[str, str]
) -> None:
    """Count for the pixels of each truth, and of the background, which concepts they were marked as."""
    if set(prompts) - set(look.truths):
        return  # where a concept was not labelled nobody knows what is background
    found = look.masks
    masks = [found[prompt] for prompt in prompts.values()]
    # 0 nothing, 1… one concept alone, len + 1 several
    marked = np.zeros(masks[0].shape, np.uint8)
    for number, mask in enumerate(masks, 1):
        marked = np.where(mask, np.where(marked > 0, len(masks) + 1, number), marked).astype(np.uint8)
    nowhere: NDArray[np.bool_] = ~np.any(list(look.truths.values()), axis=0)
    names = ["nothing", *prompts, "several"]
    for name, truth in {**look.truths, "background": nowhere}.items():
        counts = np.bincount(marked[truth], minlength=len(names))
        row = regions.setdefault(name, dict.fromkeys(names, 0))
        for column, count in zip(names, counts.tolist(), strict=True):
            row[column] += count
