"""The likely cause of one wrong mask, from plain measurements on photo, truth, mask and the other prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.evaluation.measure import LabelledPrediction
from drywallqa.evaluation.part_measurements import THIN_CONCEPTS
from drywallqa.imaging.morphology import dilate, mean_width, skeletonise
from drywallqa.inference.queries import PromptQuery
from drywallqa.metrics import TOLERANCE, Counts

CAUSES = {
    "taken for another": "another concept's mask covers the miss, or its truth covers what was marked",
    "lighting or texture": "the photo is too dark, too bright, or the object hardly stands out",
    "doubtful label": "the label is a plain rectangle or a speck, or the mask traces a line within it",
    "missed thin": "most of a narrow object was missed",
    "missed": "most of the object was missed",
    "broken": "the object was found in many pieces with gaps between them",
    "false edge": "most of the mask lies away from the object",
    "wrong extent": "the right place, too much or too little of it",
}
"""Cause → what was measured to suspect it, most telling first."""

AREA_TOLERANCE = 24.0
"""How far, in px at 640, the edge of an area may lie off before it is another place."""

THIN_PX = 12.0
"""Truths narrower than this, at 640 px, count as thin."""

_DARK, _BRIGHT = 45.0, 225.0
_FAINT = 0.25  # contrast below this share of the photo's own standard deviation is hardly seen
_SPECK = 0.0005  # share of the photo
_RECTANGLE = 0.97  # share of its bounding box that a plain rectangle fills
_GRID = 96

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Cause:
    """A cause, and the measurement that speaks for it."""

    name: str
    evidence: str


def likely_cause(look: LabelledPrediction, question: PromptQuery, questions: Sequence[PromptQuery]) -> Cause:
    """Name the likely cause of what is wrong with one mask: the first of `CAUSES` that applies."""
    mask, truth = look.masks[question.prompt], look.truths[str(question.concept)]
    for find in (_confused, _light, _label, _form):
        cause = find(look, question, questions, mask, truth)
        if cause:
            return cause
    counts = Counts.of(mask, truth)
    return Cause("wrong extent", f"{counts.precision:.0%} precise, {counts.recall:.0%} found")


def _confused(
    look: LabelledPrediction, question: PromptQuery, questions: Sequence[PromptQuery], mask: Mask, truth: Mask
) -> Cause | None:
    missed, false = truth & ~mask, mask & ~truth
    for other in questions:
        if other.concept == question.concept:
            continue
        if missed.sum() > 0.5 * truth.sum() > 0:
            share = float(look.masks[other.prompt][missed].mean())
            if share > 0.4:
                return Cause("taken for another", f"{share:.0%} of the miss is marked as {other.concept}")
        foreign = look.truths.get(str(other.concept))
        if foreign is not None and false.sum() > 0.5 * mask.sum() > 0:
            share = float(foreign[false].mean())
            if share > 0.5:
                return Cause("taken for another", f"{share:.0%} of the false part is {other.concept}")
    return None


def _light(
    look: LabelledPrediction, question: PromptQuery, questions: Sequence[PromptQuery], mask: Mask, truth: Mask
) -> Cause | None:
    grey = np.asarray(Image.fromarray(look.photo).convert("L"), np.float32)
    mean = float(grey.mean())
    if not _DARK < mean < _BRIGHT:
        return Cause("lighting or texture", f"mean brightness {mean:.0f} of 255")
    if not truth.any() or not (truth & ~mask).any():
        return None
    contrast = _contrast(grey, truth, question.concept in THIN_CONCEPTS)
    if contrast is not None and contrast < _FAINT:
        return Cause("lighting or texture", f"contrast {contrast:.2f} standard deviations")
    return None


def _contrast(grey: NDArray[np.float32], truth: Mask, thin: bool) -> float | None:
    """How far the object's line differs from its surroundings, in the photo's standard deviations.

    Crack outlines are drawn wide around the crack, so the darkest part of the middle is what counts. Areas
    that are no lines have no contrast of their own.
    """
    if not thin:
        return None
    radius = max(2, round(4 * max(truth.shape) / 640))
    middle = dilate(skeletonise(truth), radius) & truth
    around = dilate(truth, 3 * radius) & ~truth
    if not around.any() or not middle.any():
        return None
    dark = float(np.percentile(grey[middle], 15))
    return abs(float(np.median(grey[around])) - dark) / max(float(grey.std()), 1.0)


def _label(
    look: LabelledPrediction, question: PromptQuery, questions: Sequence[PromptQuery], mask: Mask, truth: Mask
) -> Cause | None:
    if not truth.any():
        return None
    share = float(truth.mean())
    if share < _SPECK:
        return Cause("doubtful label", f"the label covers {share:.3%} of the photo")
    if question.concept not in THIN_CONCEPTS:
        return None
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    frame = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    if truth.sum() > _RECTANGLE * frame:
        return Cause("doubtful label", "the label is a plain rectangle")
    counts = Counts.of(mask, truth)
    if counts.precision > 0.85 and mask.any():
        line = skeletonise(truth)
        followed = float(dilate(mask, _tolerance(truth) * 2)[line].mean())
        if followed > 0.8 and counts.recall < 0.6:
            return Cause("doubtful label", f"the mask follows {followed:.0%} of the label's middle line")
    return None


def _form(
    look: LabelledPrediction, question: PromptQuery, questions: Sequence[PromptQuery], mask: Mask, truth: Mask
) -> Cause | None:
    thin = question.concept in THIN_CONCEPTS
    counts, radius = Counts.of(mask, truth), _tolerance(truth, AREA_TOLERANCE if not thin else TOLERANCE)
    if not truth.any():
        return Cause("false edge", "nothing of the kind is in the photo")
    found = float(dilate(mask, radius)[truth].mean())
    if found < 0.35:
        width = mean_width(truth) * 640 / max(truth.shape)
        kind = "missed thin" if width < THIN_PX else "missed"
        return Cause(kind, f"{found:.0%} found, the object is {width:.0f} px wide")
    near = float(dilate(truth, radius)[mask].mean())
    parts, whole = count_pieces(mask), count_pieces(truth)
    if thin and parts >= max(3, 2 * whole) and near > 0.5:
        return Cause("broken", f"{parts} pieces instead of {whole}")
    if near < 0.5:
        return Cause("false edge", f"{1 - near:.0%} of the mask lies away from the object")
    return None if counts.tp else Cause("false edge", "mask and object only touch")


def _tolerance(truth: Mask, pixels: float = TOLERANCE) -> int:
    return max(1, int(round(pixels * max(truth.shape) / 640)))  # noqa: RUF046


def count_pieces(mask: Mask) -> int:
    """Count a mask's connected pieces on a grid of at most 96 cells a side; gaps within a cell close."""
    step = max(1, -(-max(mask.shape) // _GRID))
    height, width = (-(-side // step) * step for side in mask.shape)
    padded = np.zeros((height, width), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    cells = padded.reshape(height // step, step, width // step, step).any(axis=(1, 3))
    waiting = {(int(row), int(column)) for row, column in np.argwhere(cells)}
    count = 0
    while waiting:
        count += 1
        edge = [waiting.pop()]
        while edge:
            row, column = edge.pop()
            around = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
            edge += around & waiting
            waiting -= around
    return count
