"""Describes a model to be measured, and chooses its prompts and its thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, UnknownPromptError
from drywallqa.evaluation.measure import Evaluator, PairMeasurement, measure_pairs
from drywallqa.evaluation.thresholds import (
    IOU,
    ThresholdChoice,
    ThresholdRule,
    choose_for_concept,
    choose_thresholds,
)
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.queries import PromptQuery
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.tiles import Scale
from drywallqa.inference.wrapped_model import with_concepts
from drywallqa.onnx_session import RuntimeOptions

# Called with the name of the step, the number of finished photos and the total.
Progress = Callable[[str, int, int], None]

FEWEST = 5  # smallest number of source photos from which thresholds for closer views are chosen

CHOSEN_ON = "val"  # the split on which thresholds are chosen

Thresholds = Mapping[str, tuple[float, float]]  # concept → (mask threshold, presence threshold)


@dataclass(frozen=True)
class MeasuredModel:
    """A model to be measured, with the user's settings.

    Attributes:
        name: The name under which outputs show the model.
        segmenter: The running model. Its bundle contains the thresholds and refinements.
        training_hashes: Perceptual hashes of the model's training photos.
        scale: The scale at which the model sees photos.
    """

    name: str
    segmenter: Segmenter
    training_hashes: tuple[int, ...] = field(default=(), repr=False)
    scale: Scale = "auto"

    @property
    def window(self) -> Letterbox:
        """The letterbox that resizes and normalises photos for the model."""
        return self.segmenter.bundle.window

    @property
    def thresholds(self) -> dict[str, tuple[float, float]]:
        """Concept → (mask threshold, presence threshold)."""
        concepts = self.segmenter.bundle.concepts
        return {name: (each.threshold, each.presence_threshold) for name, each in concepts.items()}

    def with_choices(
        self, choices: Mapping[str, ThresholdChoice], closer: Mapping[str, ThresholdChoice]
    ) -> MeasuredModel:
        """Return the same model with the chosen thresholds.

        Args:
            choices: Concept → thresholds for photos that the model sees only as a whole.
            closer: Concept → thresholds for photos that the model also sees in closer views.
        """
        changes: dict[str, dict[str, object]] = {
            name: {"threshold": one.threshold, "presence_threshold": one.presence_threshold}
            for name, one in choices.items()
        }
        for name, one in closer.items():
            changes.setdefault(name, {})["closer"] = (one.threshold, one.presence_threshold)
        return self.with_settings(changes)

    def with_settings(self, changes: Mapping[str, Mapping[str, object]]) -> MeasuredModel:
        """Return the same model with changed settings, given as concept → name of a setting → value."""
        bundle = with_concepts(self.segmenter.bundle, changes)
        return replace(self, segmenter=self.segmenter.sharing(bundle))

    def evaluator(self, dataset: Dataset, prompts: Mapping[str, str], *, gated: bool = True) -> Evaluator:
        """Create an evaluator of the model.

        Args:
            dataset: The photos.
            prompts: Prompt → its concept.
            gated: Whether masks with a presence below the presence threshold are emptied. Use False to choose
                mask thresholds and presence thresholds independently.
        """
        ungated = {
            name: {"presence_threshold": 0.0, "closer": each.closer and (each.closer[0], 0.0)}
            for name, each in self.segmenter.bundle.concepts.items()
        }
        model = self if gated else self.with_settings(ungated)
        queries = model.segmenter.ask_for(prompts.items(), scale=self.scale)
        return Evaluator(model.segmenter, dataset, queries)


def measured_bundle(
    bundle: Bundle, name: str | None = None, *, backend: str = "onnxruntime", precision: str = "fp32"
) -> MeasuredModel:
    """Open a bundle for measurement in the given runtime.

    Raises:
        BundleError: A file is missing or does not match its SHA-256.
        BackendError: The runtime is not installed or cannot run the model.
    """
    bundle.check()
    segmenter = Segmenter(bundle, RuntimeOptions(backend, precision=precision))
    segmenter.open()
    return MeasuredModel(name or f"{bundle.name} {bundle.version}", segmenter, bundle.training_hashes)


def choose_prompts(
    model: MeasuredModel, part: Dataset, prompts: Sequence[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Choose the prompts to measure on the photos of a split.

    Args:
        model: The model.
        part: The photos. Only concepts that are labelled in at least one of them can be measured.
        prompts: Prompts; by default the first phrasing of each labelled concept that the model knows.

    Returns:
        The mapping prompt → concept, and notes on concepts that cannot be measured.

    Raises:
        UnknownPromptError: A prompt does not refer to a concept of the model.
        DataError: The model knows none of the labelled concepts, or no photo is labelled with a prompt's
            concept.
    """
    labelled = list(dict.fromkeys(concept for sample in part for concept in sample.labels))
    known = model.segmenter.bundle.concepts
    chosen = {prompt: model.segmenter.bundle.text.resolve(prompt) for prompt in prompts}
    for prompt, concept in chosen.items():
        if concept not in known:
            raise UnknownPromptError(f"\"{prompt}\" means '{concept}', which {model.name} does not know")
        if concept not in labelled:
            raise DataError(
                f"{part.folder}: \"{prompt}\" means '{concept}', which is labelled in no photo of this "
                f"split; the labels are {_listed(labelled)}"
            )
    if chosen:
        return chosen, []
    shared = [concept for concept in labelled if concept in known]
    if not shared:
        raise DataError(
            f"{part.folder}: the labels are {_listed(labelled)}, but {model.name} knows {_listed(known)}; "
            "measure another model, or fine-tune this one: drywallqa train --from"
        )
    notes = [f"'{c}' is labelled, but the model does not know it" for c in labelled if c not in shared]
    notes += [f"'{c}' is labelled in no photo of this split" for c in known if c not in labelled]
    return {(part.concepts.get(concept) or (concept,))[0]: concept for concept in shared}, notes


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"'{name}'" for name in names) or "nothing"


def silent(_: str, __: int, ___: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True, eq=False)
class ChosenThresholds:
    """Thresholds chosen on the validation split, with the measured pairs that the choice is based on.

    Attributes:
        model: The model with these thresholds.
        rule: The rule for the mask thresholds.
        presence_rule: The rule for the presence thresholds.
        queries: The prompts, with the chosen thresholds.
        choices: Concept → thresholds for photos that the model sees only as a whole.
        closer: Concept → thresholds for photos that the model also sees in closer views.
        pairs: The measurements of all validation pairs.
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
    """Choose the thresholds of every concept that is labelled in the validation split.

    Photos that the model sees only as a whole and photos with closer views get separate thresholds. Large
    rendered pictures are used, because few real photos are large. Small rendered pictures are used only if
    there are no real photos.

    Args:
        model: The model.
        dataset: A data set with a validation split.
        rule: The rule for the mask thresholds.
        presence: The rule for the presence thresholds.
        progress: Called with the name of the step, the number of finished photos and the number of all
            photos.
        prompts: Prompts; by default one phrasing of each concept.
        caution: Concept → caution, as in `thresholds.choose_for_concept`.

    Raises:
        DataError: There is no validation split, or no threshold reaches the required value.
        ConfigError: The rule cannot be used for presence thresholds.
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
    """Choose thresholds for photos that the model sees only as a whole, and for photos with closer views.

    If too few source photos of one kind show a concept, no thresholds are chosen for this concept and kind.
    Rendered pictures are used only for closer views, unless there are no real photos.

    Raises:
        DataError: Some concept is not visible in any photo.
    """
    real = [pair for pair in pairs if not pair.sample.rendered]
    kinds = [pair for pair in real or pairs if not pair.closer], [pair for pair in pairs if pair.closer]
    chosen: list[dict[str, ThresholdChoice]] = []
    for least, members in zip((1, FEWEST), kinds, strict=True):
        shown = {(pair.concept, pair.photograph) for pair in members if not pair.absent}
        photographs = Counter(concept for concept, _ in shown)
        enough = [pair for pair in members if photographs[pair.concept] >= least]
        chosen.append(choose_thresholds(enough, rule, presence, caution))
    for concept in dict.fromkeys(pair.concept for pair in pairs):
        if not any(concept in each for each in chosen):
            # Neither kind has enough photos of this concept. This call raises an error that explains why.
            choose_for_concept([pair for pair in pairs if pair.concept == concept], rule, presence)
    return chosen[0], chosen[1]


def validation_part(dataset: Dataset) -> Dataset:
    """Return the photos on which thresholds are chosen.

    Rendered pictures are left out unless the split has only rendered pictures.

    Raises:
        DataError: The validation split is empty.
    """
    part = dataset.part(CHOSEN_ON)
    if not len(part):
        raise DataError(
            f"{dataset.folder}: no photo in split '{CHOSEN_ON}', which is needed to choose thresholds"
        )
    real = without_rendered(part)
    return real if len(real) else part


def without_rendered(part: Dataset) -> Dataset:
    """Return the data set without rendered pictures."""
    return part.with_samples(s for s in part if not s.rendered)
