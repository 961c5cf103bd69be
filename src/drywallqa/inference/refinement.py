"""Refinement of masks after the model: the available steps and their order.

Soft steps (`guided`, `crf`) change the probability before the threshold is applied. Hard steps (`morphology`,
`join`) change the mask afterwards. A step runs only if the caller requests it, or if validation chose it for
the bundle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ConfigError

SOFT = ("guided", "crf")
HARD = ("morphology", "join")
STEPS = (*SOFT, *HARD)
NONE = "none"
AUTO = "auto"

_CLOSE_PX = 4.0  # in px at 640; gaps narrower than twice this value are closed
_LEAST_AREA = 400.0  # in px² at 640; smaller components and holes are removed (a false alarm starts at 410)

Photo = NDArray[np.uint8]
Probability = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Refinement:
    """Refinement steps that run after the model.

    Attributes:
        soft: Steps that change the probability, in order.
        hard: Steps that change the mask, in order, after all soft steps.
    """

    soft: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Refinement:
        """Parse "none", or names of steps joined by "+", such as "guided+join".

        Raises:
            ConfigError: A name is unknown or occurs twice.
        """
        names = [name.strip().lower() for name in text.split("+")]
        if names == [NONE]:
            return cls()
        if set(names) - set(STEPS) or len(set(names)) < len(names):
            raise ConfigError(
                f"unknown refinement '{text}'; pass {NONE}, or one or more of {', '.join(STEPS)} joined by +"
            )
        return cls(tuple(n for n in names if n in SOFT), tuple(n for n in names if n in HARD))

    def __str__(self) -> str:
        return "+".join((*self.soft, *self.hard)) or NONE

    def __bool__(self) -> bool:
        return bool(self.soft or self.hard)

    def soften(self, photo: Photo, probability: Probability, unit: float) -> Probability:
        """Run the soft steps.

        Args:
            photo: RGB uint8 [H,W,3].
            probability: float32 [H,W] in 0–1.
            unit: Px of the photo per px at 640, the unit of all distances.

        Returns:
            float32 [H,W] in 0–1; the same array if there are no soft steps.
        """
        for name in self.soft:
            from drywallqa.inference import soft_refinement  # imported only if a refinement runs

            step = {"guided": soft_refinement.guided_filter, "crf": soft_refinement.crf}[name]
            probability = step(photo, probability, unit)
        return probability

    def harden(self, probability: Probability, mask: Mask, unit: float) -> Mask:
        """Run the hard steps on a mask [H,W] with its probability [H,W]; `unit` as in `soften`."""
        for name in self.hard if mask.any() else ():
            if name == "morphology":
                mask = morphology(mask, unit)
            else:
                from drywallqa.inference.gap_bridging import join_gaps

                mask = join_gaps(mask, probability, unit)
        return mask


NOTHING = Refinement()


def morphology(mask: Mask, unit: float) -> Mask:
    """Close narrow gaps, fill small holes and drop small components of a mask [H,W] (see `soften`)."""
    from drywallqa.imaging.morphology import close_mask, without_holes, without_small

    closed, area = close_mask(mask, max(1, round(_CLOSE_PX * unit))), _LEAST_AREA * unit**2
    return without_small(without_holes(closed, area), area)


def parse_refinements(texts: Iterable[str]) -> list[Refinement]:
    """Parse several refinements and remove duplicates.

    Raises:
        ConfigError: One of the texts is not a refinement.
    """
    return list(dict.fromkeys(Refinement.parse(text) for text in texts))
