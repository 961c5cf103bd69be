"""A model that is measured: a segmenter with its thresholds, and the prompts it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from drywallqa.backend import Backend
from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, UnknownPromptError
from drywallqa.evaluation.measure import Evaluator
from drywallqa.evaluation.thresholds import ThresholdChoice
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.tiles import Scale
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
        segmenter: The model, running; its bundle holds thresholds and refinements.
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
        """The letterbox that brings photos to it."""
        return self.segmenter.bundle.window

    @property
    def thresholds(self) -> dict[str, tuple[float, float]]:
        """Concept → (mask threshold, presence threshold)."""
        concepts = self.segmenter.bundle.concepts
        return {name: (each.threshold, each.presence_threshold) for name, each in concepts.items()}

    @property
    def closer(self) -> dict[str, tuple[float, float]]:
        """The same for photos that are also shown in closer views, of concepts for which they differ."""
        concepts = self.segmenter.bundle.concepts
        return {name: each.closer for name, each in concepts.items() if each.closer is not None}

    def with_choices(
        self, choices: Mapping[str, ThresholdChoice], closer: Mapping[str, ThresholdChoice]
    ) -> MeasuredModel:
        """Return the same model under chosen thresholds.

        Args:
            choices: Concept → thresholds of photos that are shown whole.
            closer: Concept → thresholds of photos that are also shown in closer views.
        """
        changes: dict[str, dict[str, object]] = {
            name: {"threshold": one.threshold, "presence_threshold": one.presence_threshold}
            for name, one in choices.items()
        }
        for name, one in closer.items():
            changes.setdefault(name, {})["closer"] = (one.threshold, one.presence_threshold)
        return self.with_settings(changes)

    def with_settings(self, changes: Mapping[str, Mapping[str, object]]) -> MeasuredModel:
        """Return the same model under other settings: concept → name of a setting → its value."""
        bundle = with_concepts(self.segmenter.bundle, changes)
        return replace(self, segmenter=self.segmenter.sharing(bundle))

    def evaluator(self, dataset: Dataset, prompts: Mapping[str, str], *, gated: bool = True) -> Evaluator:
        """Make the model ready to be shown photos.

        Args:
            dataset: The photos.
            prompts: Prompt → the concept that it is taken for.
            gated: Whether masks are empty where presence is too low; not where thresholds are to be chosen,
                so that none follows from another.
        """
        ungated: dict[str, dict[str, object]] = {
            name: {"presence_threshold": 0.0} for name in self.thresholds
        }
        for name, (threshold, _) in self.closer.items():
            ungated[name]["closer"] = (threshold, 0.0)
        model = self if gated else self.with_settings(ungated)
        queries = model.segmenter.ask_for(prompts.items(), scale=self.scale)
        return Evaluator(model.segmenter, dataset, queries)


def measured_bundle(
    bundle: Bundle, name: str | None = None, *, backend: str = "onnxruntime", precision: str = "fp32"
) -> MeasuredModel:
    """Make a bundle ready to be measured, in the runtime that it ships with or another.

    Raises:
        BundleError: A file is missing or differs from its SHA-256.
        BackendError: The runtime is not installed or cannot run the model.
    """
    bundle.check()
    segmenter = Segmenter(bundle, RuntimeOptions(backend, precision=precision))
    segmenter.open()
    name = name or f"{bundle.name} {bundle.version}"
    return MeasuredModel(name, bundle.folder, segmenter, bundle.training_hashes)


def choose_prompts(
    model: MeasuredModel, part: Dataset, prompts: Sequence[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """Choose the prompts for the photos of a part.

    Args:
        model: The model.
        part: The photos; concepts that are labelled in none of them cannot be measured.
        prompts: Prompts; by default the first phrasing of each concept that model and data share.

    Returns:
        Prompt → concept, and notes on concepts that cannot be measured.

    Raises:
        UnknownPromptError: A prompt means no concept of the model.
        DataError: Model and data share no concept, or a prompt's concept is labelled in no photo.
    """
    labelled = list(dict.fromkeys(concept for sample in part for concept in sample.labels))
    known = model.segmenter.bundle.concepts
    chosen = {prompt: model.segmenter.bundle.text.resolve(prompt) for prompt in prompts}
    for prompt, concept in chosen.items():
        if concept not in known:
            raise UnknownPromptError(f"\"{prompt}\" means '{concept}', which {model.name} does not know")
        if concept not in labelled:
            raise DataError(
                f"{part.folder}: \"{prompt}\" means '{concept}', which is labelled in no photo of this part; "
                f"it labels {_listed(labelled)}"
            )
    if chosen:
        return chosen, []
    shared = [concept for concept in labelled if concept in known]
    if not shared:
        raise DataError(
            f"{part.folder}: labels {_listed(labelled)}, but {model.name} knows {_listed(known)}; "
            "measure another model, or fine-tune this one: drywallqa train --from"
        )
    notes = [f"'{c}' is labelled, but the model does not know it" for c in labelled if c not in shared]
    notes += [f"'{c}' is labelled in no photo of this part" for c in known if c not in labelled]
    return {(part.concepts.get(concept) or (concept,))[0]: concept for concept in shared}, notes


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"'{name}'" for name in names) or "nothing"
