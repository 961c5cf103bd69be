"""Measure the accuracy of seam lines on walls with known seams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.datasets.dataset import Dataset
from drywallqa.imaging.straight_lines import StraightLine, straight_lines
from drywallqa.metrics import share_near
from drywallqa.synthetic.walls import SEAM_LINE, render_wall

WITHIN = 5.0  # largest distance of a line from its truth, in px at a longer side of 640 px
ENOUGH = 0.9  # a photo's lines count as found if this share of their length is found
RENDERED = 60
_SEED = 9_000_000  # far from the seeds of rendered training pictures

Lines = Sequence[StraightLine]
Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class SeamScore:
    """Agreement between found lines and true lines.

    Attributes:
        asked: The concept named in the prompt.
        photos: Number of photos with seams.
        found: Share of the true lines' length that was found, mean over photos.
        true: Share of the found lines' length that is correct, mean over photos with found lines.
        enough: Share of photos in which at least 90 % of the true lines' length was found.
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


def score_seams(
    asked: str, find: Callable[[Photo], Lines], walls: Iterable[tuple[Photo, Lines]]
) -> SeamScore | None:
    """Score the lines found on photos against the true lines; return None if there are no photos.

    Args:
        asked: The concept named in the prompt.
        find: Finds lines on a photo [H,W,3].
        walls: Photos with their true lines.
    """
    found, true = [], []
    for photo, truth in walls:
        lines, within = find(photo), WITHIN * max(photo.shape[:2]) / 640
        found.append(share_near(truth, lines, within))
        true.append(share_near(lines, truth, within))
    if not found:
        return None
    shares = np.array(found)
    correct = float(np.nanmean(true)) if not np.isnan(true).all() else 0.0
    return SeamScore(asked, len(found), float(shares.mean()), correct, float((shares >= ENOUGH).mean()))


def rendered_walls(count: int) -> Iterator[tuple[Photo, Lines]]:
    """Render walls with seams that were never used for training."""
    for number in range(count):
        wall = render_wall(np.random.default_rng([_SEED, number]), kind=("seam", "both")[number % 2])
        if wall.seam_lines:
            yield wall.photo, wall.seam_lines


def labelled_walls(dataset: Dataset) -> Iterator[tuple[Photo, Lines]]:
    """Read the photos whose seams were labelled by `data seam-lines`."""
    for sample in dataset:
        if sample.labels.get(SEAM_LINE):
            yield dataset.read_photo(sample), straight_lines(dataset.read_mask(sample, SEAM_LINE))
