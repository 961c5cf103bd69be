"""Options of a segmentation: everything beside model, photo and prompt that decides about a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from drywallqa.errors import ConfigError
from drywallqa.inference.refinement import AUTO, Refinement

Threshold = float | Literal["auto"]
Scale = float | Literal["auto", "fit", "native"]

LARGEST_FACTOR = 4.0


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
