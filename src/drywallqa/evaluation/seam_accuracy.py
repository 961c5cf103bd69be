"""How exactly seams are found as lines, on walls whose seams are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset
from drywallqa.imaging.straight_lines import StraightLine, straight_lines
from drywallqa.metrics import share_near
from drywallqa.synthetic.walls import SEAM_LINE, render_wall

WITHIN = 5.0
"""How far a line may lie beside its truth, in px of a photo whose longer side is 640 px."""
ENOUGH = 0.9
"""Share of a line's length that shall be found."""
RENDERED = 60
_SEED = 9_000_000  # far from the seeds of rendered training pictures

Lines = Sequence[StraightLine]
Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class SeamScore:
    """How lines that were found lie to the true ones.

    Attributes:
        asked: What was asked for.
        photos: Photos with seams.
        found: Share of the true lines' length that was found, mean over photos.
        true: Share of the found lines' length that is true, mean over photos where any was found.
        enough: Share of photos of whose lines at least 90 % were found.
    """

    asked: str
    photos: int
    found: float
    true: float
    enough: float

    def __str__(self) -> str:
        return (
            f"{self.found:.1%} of their length found within {WITHIN:g} px, {self.true:.1%} of what was found "
            f"true; {self.enough:.1%} of {self.photos} photos with at least {ENOUGH:.0%} "
            f"(asked for '{self.asked}')"
        )


def score_lines(asked: str, pairs: Iterable[tuple[Lines, Lines, float]]) -> SeamScore | None:
    """Score photos' found and true lines, each with what `WITHIN` is on it in px; None without a photo."""
    found, true = [], []
    for mine, truth, within in pairs:
        found.append(share_near(truth, mine, within))
        true.append(share_near(mine, truth, within))
    if not found:
        return None
    shares = np.array(found)
    return SeamScore(
        asked,
        len(found),
        float(shares.mean()),
        float(np.nanmean(true)) if not np.isnan(true).all() else 0.0,
        float((shares >= ENOUGH).mean()),
    )


def on_rendered_walls(asked: str, lines: Callable[[Photo], Lines], count: int = RENDERED) -> SeamScore | None:
    """Score what finds lines on photos [H,W,3] on rendered walls, which no training has seen."""

    def pairs() -> Iterable[tuple[Lines, Lines, float]]:
        for number in range(count):
            wall = render_wall(np.random.default_rng([_SEED, number]), kind=("seam", "both")[number % 2])
            if wall.seam_lines:
                yield lines(wall.photo), wall.seam_lines, WITHIN * max(wall.photo.shape) / 640

    return score_lines(asked, pairs())


def on_labelled_photos(asked: str, lines: Callable[[Photo], Lines], dataset: Dataset) -> SeamScore | None:
    """Score it on the photos in which `data seam-lines` has labelled the seams; None without any."""

    def pairs() -> Iterable[tuple[Lines, Lines, float]]:
        for sample in dataset:
            if sample.labels.get(SEAM_LINE):
                truth = straight_lines(dataset.read_mask(sample, SEAM_LINE))
                within = WITHIN * max(sample.height, sample.width) / 640
                yield lines(dataset.read_photo(sample)), truth, within

    return score_lines(asked, pairs())
