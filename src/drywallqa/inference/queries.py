"""Queries: prompts with their concepts, embeddings and thresholds, ready for any number of photos."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from drywallqa.backend import Backend, Float
from drywallqa.errors import ConfigError, UnknownPromptError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.refinement import AUTO, NOTHING, Refinement
from drywallqa.inference.tiles import LARGEST_FACTOR, Scale, ViewPlan, plan_views
from drywallqa.text import prompts as prompt_text

if TYPE_CHECKING:
    from drywallqa.inference.wrapped_model import RunnableBundle

Threshold = float | Literal["auto"]


@dataclass(frozen=True)
class SegmentOptions:
    """Options of a segmentation.

    Attributes:
        threshold: Probability above which a pixel is marked; "auto" takes what validation chose for the
            concept.
        allow_unknown: Whether prompts that mean no known concept are accepted.
        scale: How large photos are shown to the model: "fit" scaled down whole, "native" in tiles at their
            own pixels, a number in tiles of the photo scaled by it; "auto" as suits the concept.
        refine: The refinement that follows the model: "none", "guided", "crf", "morphology", "join", or
            several joined by "+"; "auto" takes what validation chose for the concept.

    Raises:
        ConfigError: The threshold, the scale or the refinement is impossible.
    """

    threshold: Threshold = "auto"
    allow_unknown: bool = False
    scale: Scale = "auto"
    refine: str = AUTO

    def __post_init__(self) -> None:
        threshold, scale = self.threshold, self.scale
        # Both comparisons are false for nan as well.
        if threshold != "auto" and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
            raise ConfigError(f"the threshold is {threshold!r}; give auto or a number from 0 to 1")
        named = isinstance(scale, str) and scale in ("auto", "fit", "native")
        if not named and not (isinstance(scale, int | float) and 0 < scale <= LARGEST_FACTOR):
            raise ConfigError(
                f"the scale is {scale!r}; give auto, fit, native or a factor above 0, "
                f"at most {LARGEST_FACTOR:g}"
            )
        if self.refine != AUTO:
            Refinement.parse(self.refine)


def number_or_word(text: str) -> Any:
    """Read an option that is a number or a word such as "auto"; `SegmentOptions` says which it accepts."""
    try:
        return float(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class PromptQuery:
    """One prompt: what it means, and when a pixel counts as marked.

    Attributes:
        prompt: The prompt exactly as it was given.
        concept: The concept that it means, or None.
        threshold: Probability above which a pixel is marked.
        presence_threshold: Presence below which nothing is marked.
        row: The row of the embeddings that it uses; equal prompts share one.
        scale: The scale at which photos are searched.
        native: Whether the concept is too thin to be found on a large photo scaled down.
        refinement: The refinement that follows the model.
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
        """Return the query with another mask threshold, for every way of showing a photo."""
        closer = self.closer and (threshold, self.closer[1])
        return replace(self, threshold=threshold, closer=closer)

    def views(self, height: int, width: int, window: Letterbox) -> ViewPlan:
        """Plan how a photo of height×width px is shown for this query."""
        return plan_views(self.scale, self.native, height, width, window)

    def for_closer_views(self) -> PromptQuery:
        """Return the query with the thresholds of photos that are also shown in closer views."""
        if self.closer is None:
            return self
        return replace(self, threshold=self.closer[0], presence_threshold=self.closer[1])


@dataclass(frozen=True)
class PromptQueries:
    """The queries of one run, with the embeddings [R,D] of their prompts; equal prompts share a row."""

    each: tuple[PromptQuery, ...]
    embeddings: Float

    def only(self, prompts: Container[str]) -> PromptQueries:
        """Keep the queries whose prompt is among these."""
        return self.keep([query for query in self.each if query.prompt in prompts])

    def keep(self, kept: Sequence[PromptQuery]) -> PromptQueries:
        """Keep these queries, and the rows of the embeddings that they use."""
        rows = sorted({query.row for query in kept})
        each = tuple(replace(query, row=rows.index(query.row)) for query in kept)
        return PromptQueries(each, self.embeddings[rows])


def make_queries(
    bundle: RunnableBundle,
    backend: Backend,
    asked: Iterable[tuple[str, str | None]],
    options: SegmentOptions,
) -> PromptQueries:
    """Embed prompts whose concepts are known, and set what decides about their masks.

    Args:
        bundle: The model; its settings of each concept hold where an option is "auto".
        backend: The running model.
        asked: Pairs of prompt and concept; None for a prompt that means no known concept.
        options: What decides about masks.

    Raises:
        PromptError: A prompt cannot be used.
    """
    from drywallqa.bundle.bundle import ConceptSettings  # not while the model is still being opened

    rows: dict[str, int] = {}
    each = []
    for prompt, concept in asked:
        row = rows.setdefault(prompt_text.clean_prompt(prompt), len(rows))
        chosen = (bundle.concepts.get(concept) if concept is not None else None) or ConceptSettings()
        refinement = Refinement.parse(chosen.refine if options.refine == AUTO else options.refine)
        scale = options.scale if isinstance(options.scale, str) else float(options.scale)
        query = PromptQuery(
            prompt, concept, chosen.threshold, chosen.presence_threshold, row, scale, chosen.native,
            refinement, chosen.closer,
        )  # fmt: skip
        each.append(query if options.threshold == "auto" else query.at(float(options.threshold)))
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
