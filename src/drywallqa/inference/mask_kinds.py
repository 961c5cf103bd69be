"""The kinds of masks: the model's outline, the crack's own pixels, and a band along a joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ConfigError
from drywallqa.imaging.morphology import Mask, dilate
from drywallqa.imaging.straight_lines import joint_lines

OUTLINE, CRACK, BAND = "outline", "crack", "band"
KINDS = ("auto", OUTLINE, CRACK, BAND)

# Median width of the tight labels of upright joints on 90 photographs of the training data (quartiles 33 and
# 58), measured by `tools/measure_band.py`.
DEFAULT_BAND = 40.0  # px at 640


@dataclass(frozen=True)
class MaskKind:
    """The content of a mask.

    Attributes:
        name: "outline": the pixels that the model marks. "crack": the crack's own pixels, between its edges.
            "band": a band along the lines of a crack or joint.
        band: Width of the band in px; None for the usual width of a label of a joint.
        straight: Whether the concept consists of straight lines, such as joints between boards.
    """

    name: str = OUTLINE
    band: float | None = None
    straight: bool = False

    def __str__(self) -> str:
        width = f" of {self.band:g} px" if self.name == BAND and self.band else ""
        return self.name + width

    def __bool__(self) -> bool:
        return self.name != OUTLINE

    def apply(
        self, photo: NDArray[np.uint8], outline: Mask, probability: NDArray[np.float32]
    ) -> tuple[Mask, float | None]:
        """Make the mask [H,W] of this kind.

        Args:
            photo: RGB uint8 [H,W,3].
            outline: The pixels that the model marks [H,W].
            probability: The probability of each pixel, float32 [H,W].

        Returns:
            The mask, and the share of the outline, 0–1, in which the photo shows no line and the mask is
            empty; None if no lines were searched.
        """
        if not self or not outline.any():
            return outline, None
        if self.name == BAND and self.straight:
            half = self._half_band(outline.shape)
            bands = [line.band(outline.shape, half) for line in joint_lines(photo, outline)]
            mask = np.logical_or.reduce(bands) if bands else np.zeros_like(outline)
            return np.asarray(mask, np.bool_), None
        # Imported here, so that the import does not delay outlines.
        from drywallqa.imaging.line_search import find_lines

        found = find_lines(photo, outline, probability)
        band = self.name == BAND
        mask = dilate(found.mask, round(self._half_band(outline.shape))) if band else found.mask
        return mask, np.count_nonzero(found.unseen) / np.count_nonzero(outline)

    def _half_band(self, shape: tuple[int, ...]) -> float:
        return (self.band or DEFAULT_BAND * max(shape) / 640) / 2


PLAIN = MaskKind()


def usual_kind(thin: bool, straight: bool) -> str:
    """Return the kind of mask that "auto" stands for: the crack's own pixels for thin, crooked concepts."""
    return CRACK if thin and not straight else OUTLINE


def describe_unseen(share: float | None) -> str:
    """Describe the share of an outline, 0–1, in which the photo shows no line; "" if there is none."""
    return f"no line in {share:.0%} of the outline" if share and share >= 0.005 else ""


def check_mask_kind(name: str, band: float | None) -> None:
    """Check the name of a kind of mask and the width of the band in px.

    Raises:
        ConfigError: The name is unknown, or the width is not positive or does not belong to a band.
    """
    if name not in KINDS:
        raise ConfigError(f"unknown kind of mask '{name}'; pass {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if band is None:
        return
    if name != BAND:
        raise ConfigError(f"a width of the band was given for masks of the kind '{name}'; pass mask {BAND}")
    if not (band > 0 and np.isfinite(band)):
        raise ConfigError(f"the width of the band is {band} px; pass a positive number")
