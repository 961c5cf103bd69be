"""The prediction for one photo and one prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.straight_lines import StraightLine, straight_lines


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one photo of H×W pixels and one prompt.

    Attributes:
        mask: Boolean [H,W]: True where the probability is above `threshold`, unless `kind` says otherwise.
            A crack mask is empty where the photo shows no line inside the outline. All values are False if
            presence is below the concept's presence threshold.
        probability: float32 [H,W] in 0–1; None if the caller did not keep probabilities.
        presence: Predicted probability, 0–1, that the photo shows the concept.
        concept: The concept of the prompt. None if the prompt was accepted but belongs to no known concept.
        threshold: The probability above which a pixel is marked.
        prompt: The prompt exactly as given.
        image_id: The photo's file name without its suffix, or the name passed by the caller.
        quality: Remarks on defects of the photo, such as "nearly black"; () if the photo has no defects.
        presence_threshold: The mask is all False if presence is below this value.
        kind: What the mask shows: "outline", "crack" or "band"; see `SegmentOptions.mask`.
        outline: Boolean [H,W]: the pixels that the model marks, whatever `mask` shows.
        unseen: Share of the outline, 0–1, in which the photo shows no line; None if no lines were searched.
    """

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32] | None
    presence: float
    concept: str | None
    threshold: float
    prompt: str
    image_id: str
    quality: tuple[str, ...] = ()
    presence_threshold: float = 0.0
    kind: str = "outline"
    outline: NDArray[np.bool_] = None  # type: ignore[assignment]  # by default the mask
    unseen: float | None = None

    def __post_init__(self) -> None:
        if self.outline is None:
            object.__setattr__(self, "outline", self.mask)
        if self.mask.dtype != np.bool_ or self.mask.ndim != 2 or self.mask.size == 0:
            raise ValueError(f"mask must be boolean [H,W], got {self.mask.dtype} {self.mask.shape}")
        if self.probability is not None:
            found, shape = self.probability, self.mask.shape
            if found.dtype != np.float32 or found.shape != shape:
                raise ValueError(f"probability must be float32 {shape}, got {found.dtype} {found.shape}")
            if not (found.min() >= 0 and found.max() <= 1):  # false for nan as well
                raise ValueError("each probability must lie in 0–1")
        for name in ("presence", "threshold", "presence_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0–1, got {getattr(self, name)}")

    @property
    def area(self) -> float:
        """The share of the photo that the mask covers, 0–1."""
        return float(np.count_nonzero(self.mask)) / self.mask.size

    def lines(self) -> list[StraightLine]:
        """Find the straight centre lines of the mask in px of the photo, strongest first."""
        return straight_lines(self.mask)

    def __repr__(self) -> str:
        height, width = self.mask.shape
        return (
            f"Prediction({self.image_id!r}, {self.prompt!r}, {width}×{height} px, concept={self.concept!r}, "
            f"presence={self.presence:.3f}, area={self.area:.2%}"
            + (f", quality={self.quality})" if self.quality else ")")
        )
