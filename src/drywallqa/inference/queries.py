"""Prompts made ready to be asked of any number of photos."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from drywallqa.backend import Backend, Float
from drywallqa.errors import ConfigError, PromptError, UnknownPromptError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.refinement import AUTO, NOTHING, Refinement
from drywallqa.inference.scales import Scale, ViewPlan, check_scale, plan_views
from drywallqa.text import prompts as prompt_text

Key = TypeVar("Key", bound=Hashable)
Threshold = float | Literal["auto"]

# For a prompt that was let through without a concept there is nothing that validation could have chosen.
_UNCHOSEN = 0.5


class ConceptThresholds(Protocol):
    """What validation chose for a concept, as probabilities."""

    @property
    def threshold(self) -> float:
        """The probability above which a pixel is marked."""
        ...

    @property
    def presence_threshold(self) -> float:
        """The presence below which nothing is marked."""
        ...

    @property
    def refine(self) -> str:
        """What follows the model, as `refine` names it."""
        ...

    @property
    def closer(self) -> tuple[float, float] | None:
        """Both thresholds of photos that are also shown in closer views; None takes the others."""
        ...

    @property
    def native(self) -> bool:
        """Whether it is too thin to be found on a large photo scaled down."""
        ...


class PromptUnderstanding(Protocol):
    """The part of a bundle's text side that the segmenter needs."""

    def understand(self, prompt: str) -> str | None:
        """Return the concept that a prompt means, or None."""
        ...

    def resolve(self, prompt: str) -> str:
        """Return the concept that a prompt means, or raise UnknownPromptError."""
        ...


class RunnableBundle(Protocol):
    """The part of a bundle that the segmenter needs."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def version(self) -> str:
        """The model's version."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """File name → SHA-256: what tells a model from another one of its name and version."""
        ...

    @property
    def window(self) -> Letterbox:
        """How photos are brought to the model."""
        ...

    @property
    def concepts(self) -> Mapping[str, ConceptThresholds]:
        """What is known about each concept."""
        ...

    @property
    def text(self) -> PromptUnderstanding:
        """What understands prompts."""
        ...

    @property
    def vocabulary(self) -> str:
        """Tell whether prompts must mean a known concept: "closed" or "open"."""
        ...

    def open_backend(
        self, name: str = ..., device: str = ..., threads: int | None = ..., precision: str = ...
    ) -> Backend:
        """Load the model into a runtime."""
        ...


@dataclass(frozen=True)
class PromptQuery:
    """One prompt: what it means, and when a pixel counts as marked.

    Attributes:
        prompt: The prompt exactly as it was given.
        concept: What it means, or None.
        threshold: The probability above which a pixel is marked.
        presence_threshold: The presence below which nothing is marked.
        row: Which row of the embeddings it is; equal prompts share one.
        scale: At which scale it is looked for.
        native: Whether the concept is too thin to be found on a large photo scaled down.
        refinement: What follows the model.
        closer: Both thresholds of photos that are also shown in closer views; None takes the others.
    """

    prompt: str
    concept: str | None
    threshold: float
    presence_threshold: float
    row: int = 0
    scale: Scale = "auto"
    native: bool = False
    refinement: Refinement = NOTHING
    closer: tuple[float, float] | None = None

    def at(self, threshold: float) -> PromptQuery:
        """Return it with another mask threshold, however a photo is shown."""
        closer = self.closer and (threshold, self.closer[1])
        return replace(self, threshold=threshold, closer=closer)

    def views(self, height: int, width: int, window: Letterbox) -> ViewPlan:
        """Say how a photo of height×width px is shown for it."""
        return plan_views(self.scale, self.native, height, width, window)

    def for_closer_views(self) -> PromptQuery:
        """Return it with the thresholds of photos that are also shown in closer views."""
        if self.closer is None:
            return self
        return replace(self, threshold=self.closer[0], presence_threshold=self.closer[1])


@dataclass(frozen=True)
class PromptQueries:
    """Prompts of one run with the embeddings [R,D] of those that differ."""

    each: tuple[PromptQuery, ...]
    embeddings: Float

    def only(self, prompts: Container[str]) -> PromptQueries:
        """Keep the questions whose prompt is among these."""
        return self._of([question for question in self.each if question.prompt in prompts])

    def split(self, keys: Sequence[Key]) -> dict[Key, PromptQueries]:
        """Part the questions by a key of each, in their order."""
        return {
            key: self._of([question for question, own in zip(self.each, keys, strict=True) if own == key])
            for key in dict.fromkeys(keys)
        }

    def _of(self, kept: Sequence[PromptQuery]) -> PromptQueries:
        rows = sorted({question.row for question in kept})
        each = tuple(replace(question, row=rows.index(question.row)) for question in kept)
        return PromptQueries(each, self.embeddings[rows])


def make_queries(
    bundle: RunnableBundle,
    backend: Backend,
    prompts: str | Sequence[str],
    threshold: Threshold,
    allow_unknown: bool,
    scale: Scale = "auto",
    refine: str = AUTO,
) -> PromptQueries:
    """Check prompts, find out what they mean and embed them.

    Raises:
        PromptError: There is no prompt, or one cannot be used.
        UnknownPromptError: A prompt means nothing that the model knows, and that was not allowed.
        ConfigError: The threshold is neither "auto" nor within 0–1, or scale or refinement are impossible.
    """
    given = [prompts] if isinstance(prompts, str) else list(prompts)
    if not given:
        raise PromptError('no prompt was given; name what to segment, for example "crack"')
    fixed = check_threshold(threshold)
    asked = [(prompt, concept_of(bundle, prompt, allow_unknown)) for prompt in given]
    questions = make_concept_queries(bundle, backend, asked, scale, refine)
    if fixed is None:
        return questions
    return PromptQueries(tuple(each.at(fixed) for each in questions.each), questions.embeddings)


def make_concept_queries(
    bundle: RunnableBundle,
    backend: Backend,
    asked: Iterable[tuple[str, str | None]],
    scale: Scale = "auto",
    refine: str = AUTO,
) -> PromptQueries:
    """Embed prompts whose concepts the caller names, whatever the text side would read in them.

    Args:
        bundle: For what was chosen for each concept.
        backend: The model.
        asked: Pairs of prompt and concept; None for a prompt that means none.
        scale: How large photos are shown to the model.
        refine: What follows the model; "auto" for what was chosen for the concept.

    Raises:
        PromptError: A prompt cannot be used.
        ConfigError: The scale or the refinement is impossible.
    """
    wanted = None if refine == AUTO else Refinement.parse(refine)
    shown = check_scale(scale)
    rows: dict[str, int] = {}
    each = []
    for prompt, concept in asked:
        row = rows.setdefault(prompt_text.clean_prompt(prompt), len(rows))
        known = None if concept is None else bundle.concepts.get(concept)
        chosen = known.threshold if known else _UNCHOSEN
        gate = known.presence_threshold if known else _UNCHOSEN
        native, closer = (known.native, known.closer) if known else (False, None)
        follows = wanted or (Refinement.parse(known.refine) if known and wanted is None else NOTHING)
        each.append(PromptQuery(prompt, concept, chosen, gate, row, shown, native, follows, closer))
    return PromptQueries(tuple(each), backend.encode_prompts(list(rows)))


def concept_of(bundle: RunnableBundle, prompt: str, allow_unknown: bool) -> str | None:
    """Find the concept that a prompt means; None only where allowed, or where the vocabulary is open.

    Raises:
        PromptError: The prompt cannot be used.
        UnknownPromptError: It means nothing that the model knows.
    """
    prompt_text.clean_prompt(prompt)
    if allow_unknown or bundle.vocabulary == "open":
        return bundle.text.understand(prompt)
    try:
        return bundle.text.resolve(prompt)
    except UnknownPromptError as error:
        hint = "--allow-unknown or allow_unknown=True asks it all the same"
        raise UnknownPromptError(f"{error} ({hint})") from error


def check_threshold(threshold: Threshold) -> float | None:
    """Return the threshold's number, None for "auto".

    Raises:
        ConfigError: It is neither "auto" nor within 0–1.
    """
    if threshold == "auto":
        return None
    if isinstance(threshold, int | float) and 0 <= threshold <= 1:  # false for nan as well
        return float(threshold)
    raise ConfigError(f"the threshold is {threshold!r}; give auto or a number from 0 to 1")
