"""Refining a mask after the model: which steps there are, and in what order they run.

Soft steps (`guided`, `crf`) change the probability before the threshold; hard ones (`morphology`, `join`)
change the mask after it. None runs unless it was asked for, or the bundle says that validation chose it.
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

_CLOSE_PX = 4.0  # gaps narrower than twice this, in px at 640, close
_LEAST_AREA = 400.0  # components and holes smaller than this, in px² at 640, go (a false alarm starts at 410)

Photo = NDArray[np.uint8]
Probability = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Refinement:
    """Steps that follow the model.

    Attributes:
        soft: Steps that change the probability, in the order they run.
        hard: Steps that change the mask, in the order they run, after all soft ones.
    """

    soft: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Refinement:
        """Read "none", or names of steps joined by "+", such as "guided+join".

        Raises:
            ConfigError: A name is unknown or given twice.
        """
        names = [name.strip().lower() for name in text.split("+")]
        if names == [NONE]:
            return cls()
        if set(names) - set(STEPS) or len(set(names)) < len(names):
            raise ConfigError(
                f"'{text}' is no refinement; give {NONE}, or one or several of {', '.join(STEPS)} joined by +"
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
            unit: How many px of the photo make one px at 640, in which all distances are stated.

        Returns:
            float32 [H,W] in 0–1; the same array where there are no soft steps.
        """
        for name in self.soft:
            from drywallqa.inference import soft_refinement  # costs nothing where nothing is refined

            step = {"guided": soft_refinement.guided_filter, "crf": soft_refinement.crf}[name]
            probability = step(photo, probability, unit)
        return probability

    def harden(self, probability: Probability, mask: Mask, unit: float) -> Mask:
        """Run the hard steps on a mask [H,W] that comes from this probability [H,W]; units as in `soften`."""
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
    """Read several refinements, each once.

    Raises:
        ConfigError: One of them is none.
    """
    return list(dict.fromkeys(Refinement.parse(text) for text in texts))
