"""Choose a model's thresholds on the validation part of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError
from drywallqa.evaluation.measure import PairMeasurement, measure_pairs
from drywallqa.evaluation.measured_model import MeasuredModel, choose_prompts
from drywallqa.evaluation.thresholds import (
    IOU,
    ThresholdChoice,
    ThresholdRule,
    choose_for_concept,
    choose_thresholds,
)
from drywallqa.inference.queries import PromptQuery

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

FEWEST = 5
"""Photographs that show a concept below which no thresholds of closer views are chosen."""

CHOSEN_ON = "val"
"""The part that thresholds are chosen on."""


def silent(_: str, __: int, ___: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, eq=False)
class ChosenThresholds:
    """Thresholds that were chosen on validation, with the pairs that decided.

    Attributes:
        model: The model under them.
        rule: How the mask thresholds were chosen.
        presence_rule: How the presence thresholds were chosen.
        queries: The prompts, with the thresholds chosen.
        choices: Concept → choice for photos that are shown whole.
        closer: Concept → choice for photos that are also shown in closer views.
        pairs: Every validation pair.
    """

    model: MeasuredModel
    rule: ThresholdRule
    presence_rule: ThresholdRule
    queries: tuple[PromptQuery, ...]
    choices: dict[str, ThresholdChoice]
    closer: dict[str, ThresholdChoice]
    pairs: tuple[PairMeasurement, ...]


def choose_on_validation(
    model: MeasuredModel,
    dataset: Dataset,
    rule: ThresholdRule = IOU,
    presence: ThresholdRule = IOU,
    progress: Progress = silent,
    prompts: Sequence[str] = (),
    caution: Mapping[str, float] | None = None,
) -> ChosenThresholds:
    """Choose the thresholds of every concept that the validation part labels, each by its rule.

    Photos that are shown whole and those that are also shown in closer views decide about their own kind.
    Rendered pictures decide where they are large, since few photographs are, or where there is nothing else.

    Args:
        model: The model.
        dataset: With a validation part.
        rule: For the mask thresholds.
        presence: For the presence thresholds.
        progress: Told how far it is.
        prompts: Prompts; by default one phrasing of each concept.
        caution: Concept → caution; see `thresholds.choose_for_concept`.

    Raises:
        DataError: There is no such part, or no threshold reaches what is wanted.
        ConfigError: The rule is none for presence.
    """
    real = {sample.photo for sample in validation_part(dataset)}
    part, large = dataset.part(CHOSEN_ON), 2 * model.window.size
    part = part.with_samples(s for s in part if s.photo in real or max(s.height, s.width) > large)
    asked, _ = choose_prompts(model, part, prompts)
    evaluator = model.evaluator(part, asked, gated=False)
    pairs = tuple(measure_pairs(evaluator, lambda done: progress("choosing thresholds", done, len(part))))
    choices, closer = choose_by_kind(pairs, rule, presence, caution)
    chosen = model.with_choices(choices, closer)
    queries = chosen.evaluator(part, asked).queries.each
    return ChosenThresholds(chosen, rule, presence, queries, choices, closer, pairs)


def choose_by_kind(
    pairs: Sequence[PairMeasurement],
    rule: ThresholdRule = IOU,
    presence: ThresholdRule = IOU,
    caution: Mapping[str, float] | None = None,
) -> tuple[dict[str, ThresholdChoice], dict[str, ThresholdChoice]]:
    """Choose thresholds of photos that are shown whole, and of those also shown in closer views.

    Where too few photographs of a kind show a concept, nothing is chosen for it. Rendered pictures decide
    about closer views alone, unless there is nothing else.

    Raises:
        DataError: No photo of either kind shows a concept.
    """
    real = [pair for pair in pairs if not pair.sample.rendered]
    kinds = [pair for pair in real or pairs if not pair.closer], [pair for pair in pairs if pair.closer]
    chosen: list[dict[str, ThresholdChoice]] = []
    for least, members in zip((1, FEWEST), kinds, strict=True):
        shown: dict[str, set[str]] = {}
        for pair in members:
            if not pair.absent:
                shown.setdefault(pair.concept, set()).add(pair.photograph)
        known = [pair for pair in members if len(shown.get(pair.concept, ())) >= least]
        chosen.append(choose_thresholds(known, rule, presence, caution))
    for concept in dict.fromkeys(pair.concept for pair in pairs):
        if not any(concept in each for each in chosen):
            # No kind of photo can choose for this concept: the error says what is missing.
            choose_for_concept([pair for pair in pairs if pair.concept == concept], rule, presence)
    return chosen[0], chosen[1]


def validation_part(dataset: Dataset) -> Dataset:
    """The photos that decide about thresholds.

    Rendered pictures are left out unless they are all there is, as when a part is measured.

    Raises:
        DataError: There are none.
    """
    part = dataset.part(CHOSEN_ON)
    if not len(part):
        raise DataError(f"{dataset.folder}: no photo in split '{CHOSEN_ON}', which decides the thresholds")
    real = without_rendered(part)
    return real if len(real) else part


def without_rendered(part: Dataset) -> Dataset:
    """Leave out rendered pictures."""
    return part.with_samples(s for s in part if not s.rendered)
