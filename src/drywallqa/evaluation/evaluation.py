"""Measure a model on a split of a data set. Copies of training photos cause a warning or an error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, DrywallQAError, LeakError, UnknownPromptError
from drywallqa.evaluation import leaks
from drywallqa.evaluation.measure import Evaluator, PairMeasurement, PartMeasurements, measure_part
from drywallqa.evaluation.measured_model import (
    CHOSEN_ON,
    MeasuredModel,
    Progress,
    choose_prompts,
    silent,
    without_rendered,
)
from drywallqa.evaluation.slices import Clusters, PairSlice, report_iou, slice_pairs
from drywallqa.imaging import perceptual_hash
from drywallqa.inference.queries import PromptQuery
from drywallqa.intervals import Figure


@dataclass(frozen=True, eq=False)
class MeasuredPart:
    """The photos to measure.

    Attributes:
        dataset: The data set with only these photos.
        split: The name of the split.
        thumbnails: Photo → grey thumbnail [32,32]. Unreadable photos are missing.
        clusters: Photo → number of the cluster that contains its source photo and near-duplicates.
        notes: Notes about photos that were left out.
    """

    dataset: Dataset
    split: str
    thumbnails: dict[str, leaks.Thumbnail]
    clusters: Clusters
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The measurements of one model.

    Attributes:
        model: The model.
        part: The photos.
        evaluator: Runs the model again on individual photos.
        measurements: The measurements of all (photo, prompt) pairs.
        leaks: Photo that matches a training photo → number of differing hash bits.
        notes: Warnings for the reader.
        seconds: Duration of the measurement in s.
    """

    model: MeasuredModel
    part: MeasuredPart
    evaluator: Evaluator
    measurements: PartMeasurements
    leaks: dict[str, int]
    notes: tuple[str, ...]
    seconds: float

    @property
    def queries(self) -> tuple[PromptQuery, ...]:
        """The prompts that the model was measured with."""
        return self.evaluator.queries.each

    @cached_property
    def slices(self) -> list[PairSlice]:
        """All metrics: overall and by concept, prompt, set, setting and width class."""
        return slice_pairs(self.measurements.pairs, self.part.clusters)

    @property
    def report_iou(self) -> float:
        """The IoU, computed as in the original training report; see `slices.report_iou`."""
        return report_iou(self.measurements.pairs)

    def pairs(self, prompt: str) -> list[PairMeasurement]:
        """Return the pairs that were measured with one prompt."""
        return [pair for pair in self.measurements.pairs if pair.prompt == prompt]


def take_part(
    dataset: Dataset, split: str, sets: Sequence[str] = (), progress: Progress = silent
) -> MeasuredPart:
    """Select the photos of a split, and group the photos that have the same source photo.

    Rendered pictures are left out unless `sets` names their set or the split has only rendered pictures.
    Rendered pictures therefore do not affect the main metrics.

    Raises:
        DataError: The split has no photos, or a set in `sets` has no photo in the split.
    """
    part = dataset.part(split)
    if not len(part):
        known = sorted({sample.split or "none" for sample in dataset})
        raise DataError(
            f"{dataset.folder}: no photo in split '{split}' (it has {', '.join(known) or 'no photos'}); "
            "run: drywallqa data split"
        )
    notes: list[str] = []
    names = {sample.set_name for sample in part}
    if sets:
        if missing := set(sets) - names:
            raise DataError(
                f"{dataset.folder}: no set {sorted(missing)} in '{split}'; it has {sorted(names)}"
            )
        part = part.with_samples(s for s in part if s.set_name in sets)
        notes += [f"only the sets {', '.join(sets)}"] if names - set(sets) else []
    real = without_rendered(part)
    if not sets and 0 < len(real) < len(part):
        notes.append(f"{len(part) - len(real)} rendered pictures were left out")
        part = real
    thumbnails: dict[str, leaks.Thumbnail] = {}
    for done, sample in enumerate(part, 1):
        with suppress(DrywallQAError):  # `measure_part` later skips and lists this photo
            thumbnails[sample.key] = perceptual_hash.thumbnail(part.read_photo(sample))
        progress("reading", done, len(part))
    photographs = {s.key: s.photograph for s in part}
    return MeasuredPart(
        part, split, thumbnails, leaks.photograph_clusters(thumbnails, photographs), tuple(notes)
    )


def evaluate_part(
    model: MeasuredModel,
    part: MeasuredPart,
    prompts: Sequence[str] = (),
    *,
    allow_leak: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a model on photos.

    Args:
        model: The model.
        part: The photos, from `take_part`.
        prompts: The prompts; by default one phrasing of each concept.
        allow_leak: Whether to measure the model even if it was trained on some of the photos. The evaluation
            then contains a note about these photos.
        progress: Called with the name of the step, the number of finished photos and the total.

    Raises:
        LeakError: The model was trained on copies of some photos, and `allow_leak` is False.
        UnknownPromptError: A prompt does not refer to a concept of the model.
        DataError: Model and data share no concept, or no photo could be measured.
    """
    found = leaks.find_training_leaks(part.thumbnails, model.training_hashes)
    shown = f"{len(found)} of {len(part.thumbnails)} photos are copies of photos that"
    if found and not allow_leak:
        few = ", ".join(sorted(found, key=lambda photo: found[photo])[:3])
        raise LeakError(
            f"{shown} {model.name} was trained on ({few}{', …' if len(found) > 3 else ''}); "
            "measure on other photos, or pass --allow-leak to measure with a warning"
        )
    asked, notes_on_asking = choose_prompts(model, part.dataset, prompts)
    evaluator = model.evaluator(part.dataset, asked)
    start, total = time.perf_counter(), len(part.dataset)
    measured = measure_part(evaluator, lambda done: progress(f"measuring {model.name}", done, total))
    seconds = time.perf_counter() - start
    notes = [f"LEAK: {shown} the model was trained on, so these metrics are too good"] if found else []
    if not model.training_hashes:
        notes.append(
            "the model stores no hashes of its training photos, so the check for leaks was not possible"
        )
    if part.split == CHOSEN_ON:
        notes.append(
            f"the thresholds were chosen on the measured split '{CHOSEN_ON}', "
            "so these metrics are slightly too good"
        )
    if measured.skipped:
        reason = measured.skipped[0][1]
        notes.append(f"{len(measured.skipped)} of {total} photos were skipped; the first reason: {reason}")
    notes += [*notes_on_asking, *part.notes]
    return Evaluation(model, part, evaluator, measured, found, tuple(notes), seconds)


# A slice of the first model's pairs, and the first model's metrics minus the second model's on these pairs.
Difference = tuple[PairSlice, dict[str, Figure]]


def compare_models(first: Evaluation, second: Evaluation) -> list[Difference]:
    """Compare two models on the (photo, prompt) pairs that were measured for both models.

    Returns:
        For each slice, the metrics of the first model minus the metrics of the second model, with intervals.

    Raises:
        UnknownPromptError: The models map the same prompt to different concepts.
    """
    for mine, theirs in zip(first.queries, second.queries, strict=True):
        if mine.concept != theirs.concept:
            raise UnknownPromptError(
                f'"{mine.prompt}" means \'{mine.concept}\' to {first.model.name} but "{theirs.prompt}" '
                f"means '{theirs.concept}' to {second.model.name}"
            )
    own, others = (
        {(pair.sample.key, pair.prompt): pair for pair in each.measurements.pairs} for each in (first, second)
    )
    common = [key for key in own if key in others]
    cuts = [slice_pairs([pairs[key] for key in common], first.part.clusters) for pairs in (own, others)]
    return [(a, a.less(b)) for a, b in zip(*cuts, strict=True)]
