"""The subject of a measurement: a segmenter, and the prompts it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from drywallqa.backend import Backend
from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, UnknownPromptError
from drywallqa.evaluation.measure import Evaluator
from drywallqa.evaluation.thresholds import ThresholdChoice
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.options import Scale
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import with_concepts
from drywallqa.onnx_session import RuntimeOptions

Thresholds = Mapping[str, tuple[float, float]]
"""Concept → (mask threshold, presence threshold)."""


@dataclass(frozen=True)
class MeasuredModel:
    """A model to be measured, as its users run it.

    Attributes:
        name: How outputs call it.
        folder: Where it lies.
        segmenter: The model, running; its bundle says what decides about masks.
        training_hashes: Perceptual hashes of the photos that it was trained on.
        scale: How large photos are shown to it.
    """

    name: str
    folder: Path
    segmenter: Segmenter
    training_hashes: tuple[int, ...] = field(default=(), repr=False)
    scale: Scale = "auto"

    @property
    def backend(self) -> Backend:
        """The running model."""
        return self.segmenter.open()

    @property
    def window(self) -> Letterbox:
        """How photos are brought to it."""
        return self.segmenter.bundle.window

    @property
    def levels(self) -> dict[str, tuple[float, float]]:
        """Concept → (mask threshold, presence threshold)."""
        concepts = self.segmenter.bundle.concepts
        return {name: (each.threshold, each.presence_threshold) for name, each in concepts.items()}

    @property
    def closer(self) -> dict[str, tuple[float, float]]:
        """The same of photos that are also shown in closer views, of concepts for which they differ."""
        concepts = self.segmenter.bundle.concepts
        return {name: each.closer for name, each in concepts.items() if each.closer is not None}

    @property
    def refinements(self) -> dict[str, str]:
        """Concept → what follows the model."""
        return {name: each.refine for name, each in self.segmenter.bundle.concepts.items()}

    def with_levels(self, levels: Thresholds, closer: Thresholds | None = None) -> MeasuredModel:
        """Return the same model under other thresholds.

        Args:
            levels: Of photos that are shown whole.
            closer: Of those that are also shown in closer views.
        """
        changes: dict[str, dict[str, object]] = {}
        for name, (at, gate) in levels.items():
            changes[name] = {"threshold": at, "presence_threshold": gate}
        for name, both in (closer or {}).items():
            changes.setdefault(name, {})["closer"] = both
        return self._with(changes)

    def with_choices(
        self, choices: Mapping[str, ThresholdChoice], closer: Mapping[str, ThresholdChoice]
    ) -> MeasuredModel:
        """Return the same model under thresholds that were chosen, for either kind of photo."""
        levels, closer_levels = (
            {c: (one.threshold, one.presence_threshold) for c, one in each.items()}
            for each in (choices, closer)
        )
        return self.with_levels(levels, closer_levels)

    def with_refinements(self, refinements: Mapping[str, str]) -> MeasuredModel:
        """Return the same model under other refinements."""
        return self._with({name: {"refine": steps} for name, steps in refinements.items()})

    def _ungated(self) -> MeasuredModel:
        each = {name: (at, 0.0) for name, (at, _) in self.levels.items()}
        closer = {name: (both[0], 0.0) for name, both in self.closer.items()}
        return self.with_levels(each, closer)

    def _with(self, changes: Mapping[str, Mapping[str, object]]) -> MeasuredModel:
        bundle = with_concepts(self.segmenter.bundle, changes)
        return replace(self, segmenter=self.segmenter.sharing(bundle))

    def resolve(self, prompt: str) -> str:
        """Return the concept that a prompt means.

        Raises:
            UnknownPromptError: It means none.
        """
        return self.segmenter.bundle.text.resolve(prompt)

    def looker(self, dataset: Dataset, prompts: Mapping[str, str], *, gated: bool = True) -> Evaluator:
        """Make the model ready to be shown photos.

        Args:
            dataset: The photos.
            prompts: Prompt → the concept that it is taken for.
            gated: Whether masks are empty where presence is too low; not where thresholds are to be chosen,
                so that none follows from another.
        """
        asked = self if gated else self._ungated()
        questions = asked.segmenter.ask_for(prompts.items(), scale=self.scale)
        return Evaluator(asked.segmenter, dataset, questions)


def measured_bundle(
    bundle: Bundle,
    name: str | None = None,
    threads: int | None = None,
    *,
    backend: str = "onnxruntime",
    precision: str = "fp32",
) -> MeasuredModel:
    """Make a bundle ready to be measured, in the runtime that it ships with or another.

    Raises:
        BundleError: A file is missing or differs from its SHA-256.
        BackendError: The runtime is not installed or cannot run the model.
    """
    bundle.check()
    segmenter = Segmenter(bundle, RuntimeOptions(backend, threads=threads, precision=precision))
    segmenter.open()
    return MeasuredModel(
        name or f"{bundle.name} {bundle.version}", bundle.folder, segmenter, bundle.training_hashes
    )


def choose_prompts(
    subject: MeasuredModel, part: Dataset, prompts: Sequence[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Choose what is asked of the photos of a part.

    Args:
        subject: The model.
        part: The photos; concepts that are labelled in none of them cannot be asked.
        prompts: What to ask; by default the first phrasing of each concept that model and data share.

    Returns:
        Prompt → concept, and notes on concepts that could not be asked.

    Raises:
        UnknownPromptError: A prompt means no concept of the model.
        DataError: Model and data share no concept, or a prompt's concept is labelled in no photo.
    """
    labelled = list(dict.fromkeys(concept for sample in part for concept in sample.labels))
    if prompts:
        return {prompt: _resolved(subject, prompt, labelled, part) for prompt in prompts}, []
    shared = [concept for concept in labelled if concept in subject.levels]
    if not shared:
        raise DataError(
            f"{part.folder}: labels {_listed(labelled)}, but {subject.name} knows {_listed(subject.levels)}; "
            "measure another model, or fine-tune this one: drywallqa train --from"
        )
    notes = [f"'{c}' is labelled, but the model does not know it" for c in labelled if c not in shared]
    notes += [f"'{c}' is labelled in no photo of this part" for c in subject.levels if c not in labelled]
    return {(part.concepts.get(concept) or (concept,))[0]: concept for concept in shared}, notes


def _resolved(subject: MeasuredModel, prompt: str, labelled: Sequence[str], part: Dataset) -> str:
    concept = subject.resolve(prompt)
    if concept not in subject.levels:
        raise UnknownPromptError(f"\"{prompt}\" means '{concept}', which {subject.name} does not know")
    if concept not in labelled:
        raise DataError(
            f"{part.folder}: \"{prompt}\" means '{concept}', which is labelled in no photo of this part; "
            f"it labels {_listed(labelled)}"
        )
    return concept


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return " and ".join(f"'{name}'" for name in names) or "nothing"
