"""Measuring a model on a part of a data set, so that nobody who reads the figures is fooled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, DrywallQAError, UnknownPromptError
from drywallqa.evaluation import leaks
from drywallqa.evaluation.measure import Evaluator, PairMeasurement
from drywallqa.evaluation.measured_model import MeasuredModel, choose_prompts
from drywallqa.evaluation.part_measurements import PartMeasurements, measure_part
from drywallqa.evaluation.slices import Clusters, PairSlice, report_iou, slice_pairs
from drywallqa.evaluation.threshold_choice import CHOSEN_ON, Progress, silent, without_rendered
from drywallqa.imaging import perceptual_hash
from drywallqa.inference.queries import PromptQuery
from drywallqa.intervals import Figure


@dataclass(frozen=True, eq=False)
class MeasuredPart:
    """The photos that are measured.

    Attributes:
        dataset: Only these photos.
        split: Which part of the whole they are.
        thumbnails: Photo → grey thumbnail [32,32]; photos that cannot be read have none.
        clusters: Photo → number of its photograph, near-duplicates sharing one.
        notes: What was left out.
    """

    dataset: Dataset
    split: str
    thumbnails: dict[str, leaks.Thumbnail]
    clusters: Clusters
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One model, measured.

    Attributes:
        subject: The model.
        part: The photos.
        questions: What was asked.
        looker: For another look at single photos.
        examination: Every pair.
        leaks: Photos that show photographs the model was trained on → bits apart.
        notes: What every reader must know.
        seconds: What examining the photos took.
    """

    subject: MeasuredModel
    part: MeasuredPart
    questions: tuple[PromptQuery, ...]
    looker: Evaluator
    examination: PartMeasurements
    leaks: dict[str, int]
    notes: tuple[str, ...]
    seconds: float = field(default=0.0)

    @cached_property
    def slices(self) -> list[PairSlice]:
        """All figures: overall, by concept, prompt, set, setting and width class."""
        return slice_pairs(self.examination.pairs, self.part.clusters)

    @property
    def report_iou(self) -> float:
        """The original report's figure; see `figures.report_iou`."""
        return report_iou(self.examination.pairs)

    def pairs(self, prompt: str) -> list[PairMeasurement]:
        """The pairs under one prompt."""
        return [pair for pair in self.examination.pairs if pair.prompt == prompt]


def take_part(
    dataset: Dataset, split: str, sets: Sequence[str] = (), progress: Progress = silent
) -> MeasuredPart:
    """Take the photos of a split, and tell which show one photograph.

    Rendered pictures are left out unless they are named or are all there is: they never make a headline.

    Raises:
        DataError: There are none.
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
        with suppress(DrywallQAError):  # examining the photo meets it again, and counts it with its reason
            thumbnails[sample.key] = perceptual_hash.thumbnail(part.read_photo(sample))
        progress("reading", done, len(part))
    photographs = {s.key: s.photograph for s in part}
    return MeasuredPart(
        part, split, thumbnails, leaks.photograph_clusters(thumbnails, photographs), tuple(notes)
    )


def evaluate_part(
    subject: MeasuredModel,
    part: MeasuredPart,
    prompts: Sequence[str] = (),
    *,
    allow_leak: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a model on a part.

    Args:
        subject: The model.
        part: From `take_part`.
        prompts: What to ask; by default one phrasing of each concept.
        allow_leak: Measure although photos show photographs that the model was trained on, and say so.
        progress: Told how far it is.

    Raises:
        LeakError: Such photos are there, and `allow_leak` was not given.
        UnknownPromptError: A prompt means no concept of the model.
        DataError: Model and data share no concept, or no photo could be measured.
    """
    found = leaks.find_training_leaks(part.thumbnails, subject.training_hashes)
    if not allow_leak:
        leaks.refuse_leaks(found, len(part.thumbnails), subject.name)
    asked, notes_on_asking = choose_prompts(subject, part.dataset, prompts)
    looker = subject.looker(part.dataset, asked)
    start = time.perf_counter()
    total = len(part.dataset)
    examination = measure_part(looker, lambda done: progress(f"measuring {subject.name}", done, total))
    seconds = time.perf_counter() - start
    notes = [leaks.leak_sentence(found, len(part.thumbnails))] if found else []
    if not subject.training_hashes:
        notes.append("the model carries no hashes of its training photos, so leaks could not be looked for")
    if part.split == CHOSEN_ON:
        notes.append(
            f"thresholds are chosen on '{CHOSEN_ON}', which was measured here: these figures flatter a little"
        )
    if examination.skipped:
        reason = examination.skipped[0][1]
        notes.append(f"{len(examination.skipped)} of {total} photos were skipped; the first: {reason}")
    return Evaluation(
        subject=subject,
        part=part,
        questions=looker.questions.each,
        looker=looker,
        examination=examination,
        leaks=found,
        notes=(*notes, *notes_on_asking, *part.notes),
        seconds=seconds,
    )


@dataclass(frozen=True, eq=False)
class Difference:
    """What the first model has over the second, on the same pairs.

    Attributes:
        slice: The first model's slice.
        other: The second's.
        figures: First less second, with intervals.
    """

    slice: PairSlice
    other: PairSlice
    figures: dict[str, Figure]


def compare_models(first: Evaluation, second: Evaluation) -> list[Difference]:
    """Compare two models on the pairs that both were measured on.

    Raises:
        UnknownPromptError: They understand a prompt differently.
    """
    for mine, theirs in zip(first.questions, second.questions, strict=True):
        if (mine.prompt, mine.concept) != (theirs.prompt, theirs.concept):
            raise UnknownPromptError(
                f'"{mine.prompt}" means \'{mine.concept}\' to {first.subject.name} but "{theirs.prompt}" '
                f"means '{theirs.concept}' to {second.subject.name}"
            )
    pairs = [_by_key(each.examination.pairs) for each in (first, second)]
    common = [key for key in pairs[0] if key in pairs[1]]
    cuts = [slice_pairs([own[key] for key in common], first.part.clusters) for own in pairs]
    return [Difference(a, b, a.less(b)) for a, b in zip(*cuts, strict=True)]


def _by_key(pairs: Sequence[PairMeasurement]) -> dict[tuple[str, str], PairMeasurement]:
    return {(pair.sample.key, pair.prompt): pair for pair in pairs}
