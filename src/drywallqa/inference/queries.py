"""Queries: prompts with concepts, embeddings and thresholds. The same queries are used for many photos."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from drywallqa.backend import Backend, Float
from drywallqa.errors import ConfigError, UnknownPromptError
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.mask_kinds import PLAIN, MaskKind, check_mask_kind, usual_kind
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
        threshold: Probability above which a pixel is marked; "auto" uses the concept's threshold, which was
            chosen on the validation split.
        allow_unknown: Whether to accept prompts without a known concept.
        scale: Scale of large photos. "fit": the whole photo, scaled down. "native": tiles at full
            resolution. A number: tiles of the photo scaled by this factor. "auto": depends on the concept.
        refine: The refinement of the mask: "none", "guided", "crf", "morphology", "join", or several steps
            joined by "+". "auto" uses the concept's refinement, which was chosen on the validation
            split.
        mask: What the mask shows. "outline": the pixels that the model marks. "crack": the crack's own
            pixels; nothing where the photo shows no line. "band": a band along the lines of a crack or joint.
            "auto": "crack" for thin concepts that are not straight, and otherwise "outline".
        band: Width of the band in px; None for the usual width of a label of a joint.

    Raises:
        ConfigError: The threshold, the scale, the refinement, the kind of mask or the band is invalid.
    """

    threshold: Threshold = "auto"
    allow_unknown: bool = False
    scale: Scale = "auto"
    refine: str = AUTO
    mask: str = AUTO
    band: float | None = None

    def __post_init__(self) -> None:
        threshold, scale = self.threshold, self.scale
        # NaN fails both comparisons.
        if threshold != "auto" and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
            raise ConfigError(f"the threshold is {threshold!r}; pass auto or a number from 0 to 1")
        named = isinstance(scale, str) and scale in ("auto", "fit", "native")
        if not named and not (isinstance(scale, int | float) and 0 < scale <= LARGEST_FACTOR):
            raise ConfigError(
                f"the scale is {scale!r}; pass auto, fit, native, or a factor above 0 and "
                f"at most {LARGEST_FACTOR:g}"
            )
        if self.refine != AUTO:
            Refinement.parse(self.refine)
        check_mask_kind(self.mask, self.band)


def number_or_word(text: str) -> Any:
    """Parse an option that is a number or a word such as "auto"; `SegmentOptions` checks it."""
    try:
        return float(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class PromptQuery:
    """One prompt with its concept and thresholds.

    Attributes:
        prompt: The prompt exactly as given.
        concept: The concept of the prompt, or None.
        threshold: Probability above which a pixel is marked.
        presence_threshold: The mask is all False if presence is below this value.
        row: Index of the row in the embeddings that belongs to the prompt; equal prompts share a row.
        scale: The scale of large photos; see `SegmentOptions`.
        native: Whether the concept is too thin for the model to find it on a large photo that is scaled down.
        refinement: The refinement of the mask.
        kind: What the mask shows.
        closer: Mask and presence threshold for photos with tiled views. If None, the thresholds for
            whole photos are used.
    """

    prompt: str
    concept: str | None
    threshold: float
    presence_threshold: float
    row: int = 0
    scale: Scale = "auto"
    native: bool = False
    refinement: Refinement = NOTHING
    kind: MaskKind = PLAIN
    closer: tuple[float, float] | None = None

    def at(self, threshold: float) -> PromptQuery:
        """Return a copy of the query with another mask threshold for both whole photos and tiled views."""
        closer = self.closer and (threshold, self.closer[1])
        return replace(self, threshold=threshold, closer=closer)

    @property
    def changes_masks(self) -> bool:
        """Whether masks are changed after the model; this needs the photo and the probabilities."""
        return bool(self.refinement or self.kind)

    def views(self, height: int, width: int, window: Letterbox) -> ViewPlan:
        """Plan the views of a photo of height×width px for this query."""
        return plan_views(self.scale, self.native, height, width, window)

    def for_closer_views(self) -> PromptQuery:
        """Return a copy of the query that uses the thresholds for photos with tiled views."""
        if self.closer is None:
            return self
        return replace(self, threshold=self.closer[0], presence_threshold=self.closer[1])


@dataclass(frozen=True)
class PromptQueries:
    """The queries of one run, with the embeddings [R,D] of their prompts; equal prompts share a row."""

    each: tuple[PromptQuery, ...]
    embeddings: Float

    def only(self, prompts: Container[str]) -> PromptQueries:
        """Keep only the queries with these prompts."""
        return self.keep([query for query in self.each if query.prompt in prompts])

    def keep(self, kept: Sequence[PromptQuery]) -> PromptQueries:
        """Keep only these queries and their rows of the embeddings."""
        rows = sorted({query.row for query in kept})
        each = tuple(replace(query, row=rows.index(query.row)) for query in kept)
        return PromptQueries(each, self.embeddings[rows])


def make_queries(
    bundle: RunnableBundle,
    backend: Backend,
    asked: Iterable[tuple[str, str | None]],
    options: SegmentOptions,
) -> PromptQueries:
    """Embed prompts whose concepts were already looked up, and choose the options of each prompt.

    Args:
        bundle: The model. Options that are "auto" are replaced by its settings for each concept.
        backend: The running model.
        asked: Pairs of prompt and concept; None for a prompt without a known concept.
        options: Options of the segmentation.

    Raises:
        PromptError: A prompt cannot be used.
    """
    # imported late, so that the import does not slow down opening the model
    from drywallqa.bundle.bundle import ConceptSettings

    rows: dict[str, int] = {}
    each = []
    for prompt, concept in asked:
        row = rows.setdefault(prompt_text.clean_prompt(prompt), len(rows))
        chosen = (bundle.concepts.get(concept) if concept is not None else None) or ConceptSettings()
        refinement = Refinement.parse(chosen.refine if options.refine == AUTO else options.refine)
        scale = options.scale if isinstance(options.scale, str) else float(options.scale)
        kind = usual_kind(chosen.native, chosen.straight) if options.mask == AUTO else options.mask
        query = PromptQuery(
            prompt, concept, chosen.threshold, chosen.presence_threshold, row, scale, chosen.native,
            refinement, MaskKind(kind, options.band, chosen.straight), chosen.closer,
        )  # fmt: skip
        each.append(query if options.threshold == "auto" else query.at(float(options.threshold)))
    return PromptQueries(tuple(each), backend.encode_prompts(list(rows)))


def concept_of(bundle: RunnableBundle, prompt: str, allow_unknown: bool) -> str | None:
    """Find the concept of a prompt. Return None only if `allow_unknown` is set or the vocabulary is open.

    Raises:
        PromptError: The prompt cannot be used.
        UnknownPromptError: The prompt has no known concept.
    """
    prompt_text.clean_prompt(prompt)
    if allow_unknown or bundle.vocabulary == "open":
        return bundle.text.understand(prompt)
    try:
        return bundle.text.resolve(prompt)
    except UnknownPromptError as error:
        hint = "use --allow-unknown or allow_unknown=True to segment it anyway"
        raise UnknownPromptError(f"{error} ({hint})") from error
