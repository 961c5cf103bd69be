"""What is measured: a runnable model with its thresholds, and the prompts it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from drywallqa.backend import Backend
from drywallqa.bundle.bundle import Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, UnknownPromptError
from drywallqa.window import Window

Levels = Mapping[str, tuple[float, float]]
"""Concept → (mask threshold, presence threshold)."""


@dataclass(frozen=True)
class Question:
    """A prompt, what it means, the thresholds of its masks, and how they are refined."""

    prompt: str
    concept: str
    threshold: float
    presence_threshold: float
    refine: str = "none"


@dataclass(frozen=True)
class Subject:
    """A model to be measured.

    Attributes:
        name: How outputs call it.
        folder: Where it lies.
        backend: The model, running.
        window: How photos are brought to it.
        levels: Its thresholds by concept.
        resolve: Prompt → concept; raises `UnknownPromptError` where it means none.
        training_hashes: Perceptual hashes of the photos that it was trained on.
        refinements: Concept → what follows the model, as `inference.refine` names it; else nothing does.
    """

    name: str
    folder: Path
    backend: Backend
    window: Window
    levels: Levels
    resolve: Callable[[str], str]
    training_hashes: tuple[int, ...] = field(default=(), repr=False)
    refinements: Mapping[str, str] = field(default_factory=dict)

    def with_levels(self, levels: Levels) -> Subject:
        """Return the same model under other thresholds."""
        return replace(self, levels={**self.levels, **levels})

    def with_refinements(self, refinements: Mapping[str, str]) -> Subject:
        """Return the same model under other refinements."""
        return replace(self, refinements={**self.refinements, **refinements})

    def question(self, prompt: str, concept: str) -> Question:
        """Ask a prompt under what was chosen for its concept."""
        return Question(prompt, concept, *self.levels[concept], self.refinements.get(concept, "none"))


def open_bundle(bundle: Bundle, name: str | None = None, threads: int | None = None) -> Subject:
    """Make a bundle ready to be measured, in the runtime that it ships with.

    Raises:
        BundleError: A file is missing or differs from its SHA-256.
    """
    bundle.check()
    return Subject(
        name=name or f"{bundle.name} {bundle.version}",
        folder=bundle.folder,
        backend=bundle.open_backend(threads=threads),
        window=bundle.window,
        levels={c: (s.threshold, s.presence_threshold) for c, s in bundle.concepts.items()},
        resolve=bundle.text.resolve,
        training_hashes=bundle.training_hashes,
        refinements={c: s.refine for c, s in bundle.concepts.items()},
    )


def ask(subject: Subject, part: Dataset, prompts: Sequence[str] = ()) -> tuple[list[Question], list[str]]:
    """Choose what is asked of the photos of a part.

    Args:
        subject: The model.
        part: The photos; concepts that are labelled in none of them cannot be asked.
        prompts: What to ask; by default the first phrasing of each concept that model and data share.

    Returns:
        The questions, and notes on concepts that could not be asked.

    Raises:
        UnknownPromptError: A prompt means no concept of the model.
        DataError: Model and data share no concept, or a prompt's concept is labelled in no photo.
    """
    labelled = list(dict.fromkeys(concept for sample in part for concept in sample.labels))
    if prompts:
        return [_given(subject, prompt, labelled, part) for prompt in dict.fromkeys(prompts)], []
    shared = [concept for concept in labelled if concept in subject.levels]
    if not shared:
        raise DataError(
            f"{part.folder}: labels {_listed(labelled)}, but {subject.name} knows {_listed(subject.levels)}; "
            "measure another model, or fine-tune this one: drywallqa train --from"
        )
    notes = [f"'{c}' is labelled, but the model does not know it" for c in labelled if c not in shared]
    notes += [f"'{c}' is labelled in no photo of this part" for c in subject.levels if c not in labelled]
    first = [(part.concepts.get(concept) or (concept,))[0] for concept in shared]
    return [subject.question(p, c) for p, c in zip(first, shared, strict=True)], notes


def _given(subject: Subject, prompt: str, labelled: Sequence[str], part: Dataset) -> Question:
    concept = subject.resolve(prompt)
    if concept not in subject.levels:
        raise UnknownPromptError(f"\"{prompt}\" means '{concept}', which {subject.name} does not know")
    if concept not in labelled:
        raise DataError(
            f"{part.folder}: \"{prompt}\" means '{concept}', which is labelled in no photo of this part; "
            f"it labels {_listed(labelled)}"
        )
    return subject.question(prompt, concept)


def _listed(names: Sequence[str] | Levels) -> str:
    return " and ".join(f"'{name}'" for name in names) or "nothing"
