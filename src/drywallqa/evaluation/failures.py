"""Select the worst masks of each prompt and name a likely cause of each failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.evaluation.measure import Evaluator, LabelledPrediction, Mask, PairMeasurement
from drywallqa.evaluation.slices import Clusters
from drywallqa.imaging.morphology import dilate, label_components, mean_width, skeletonise
from drywallqa.inference.queries import PromptQuery
from drywallqa.metrics import TOLERANCE

KINDS = {
    "worst": "lowest IoU among photos that show the concept",
    "false alarm": "largest marked area among photos without the concept",
    "confident mistake": "wrong masks for which the model is most certain about the presence",
}

CAUSES = {
    "taken for another": "another concept's mask covers the missed pixels, or its label the false pixels",
    "lighting or texture": "the photo is too dark or too bright, or the object has little contrast",
    "doubtful label": "the label is a plain rectangle or a speck, or the mask traces a line within the label",
    "missed thin": "most of a narrow object was missed",
    "missed": "most of the object was missed",
    "broken": "the object was found in many pieces with gaps between them",
    "false edge": "most of the mask lies away from the object",
    "wrong extent": "the mask is in the right place but too large or too small",
}
"""Cause → typical evidence, ordered from the most specific cause to the least specific."""

# Largest distance at which a pixel of an area still counts as found, in px at a photo size of 640 px.
AREA_TOLERANCE = 24.0

THIN_PX = 12.0  # objects narrower than this, in px at a photo size of 640 px, count as thin

_DARK, _BRIGHT = 45.0, 225.0
_FAINT = 0.25  # an object is hardly visible if its contrast is below this many standard deviations
_SPECK = 0.0005  # a label that covers a smaller share of the photo is a speck
_RECTANGLE = 0.97  # a label that fills more than this share of its bounding box is a rectangle
_GRID = 96


@dataclass(frozen=True)
class Cause:
    """A likely cause of a failure, with the evidence."""

    name: str
    evidence: str


@dataclass(frozen=True)
class Failure:
    """A wrong mask, with its likely cause.

    Attributes:
        pair: The measurement of the mask.
        kind: One of `KINDS`.
        cause: The likely cause.
    """

    pair: PairMeasurement
    kind: str
    cause: Cause


def select_failures(
    pairs: Sequence[PairMeasurement], clusters: Clusters, worst: int
) -> list[tuple[PairMeasurement, str]]:
    """For each prompt, select up to `worst` pairs per kind of failure, and at most one per source photo."""
    chosen: list[tuple[PairMeasurement, str]] = []
    for prompt in dict.fromkeys(pair.prompt for pair in pairs):
        own = [pair for pair in pairs if pair.prompt == prompt]
        present = [pair for pair in own if not pair.absent]
        alarms = [pair for pair in own if pair.absent and pair.counts.false_alarm]
        wrong = [pair for pair in present if pair.counts.iou < 0.5] + alarms
        rankings: list[tuple[str, list[PairMeasurement], Callable[[PairMeasurement], float]]] = [
            ("worst", [pair for pair in present if pair.counts.iou < 1], lambda pair: pair.counts.iou),
            ("false alarm", alarms, lambda pair: -pair.counts.fp),
            ("confident mistake", wrong, lambda pair: -_confidence(pair)),
        ]
        taken: dict[int, tuple[PairMeasurement, str]] = {}
        for kind, candidates, rank in rankings:
            most = len(taken) + worst
            for pair in sorted(candidates, key=rank):
                if len(taken) < most:
                    taken.setdefault(clusters[pair.sample.key], (pair, kind))
        chosen += taken.values()
    return chosen


def _confidence(pair: PairMeasurement) -> float:
    """Return the model's confidence in a wrong mask, in [0,1]."""
    certainty = max(pair.presence, 1 - pair.presence) * (1 - pair.counts.iou)
    return pair.presence if pair.absent else certainty


def explain_failures(
    evaluator: Evaluator, chosen: Sequence[tuple[PairMeasurement, str]]
) -> Iterator[tuple[Failure, LabelledPrediction]]:
    """Run the model on the chosen pairs again, and name the likely cause of each failure.

    One photo is processed at a time to limit memory.
    """
    for pair, kind in chosen:
        labelled = evaluator.predict(pair.sample)
        yield Failure(pair, kind, likely_cause(labelled, pair, evaluator.queries.each)), labelled


def likely_cause(
    labelled: LabelledPrediction, pair: PairMeasurement, queries: Sequence[PromptQuery]
) -> Cause:
    """Return the first of `CAUSES` that applies to a wrong mask."""
    mask, truth = labelled.known_masks(pair.prompt, pair.concept)
    confused = _confused(labelled, pair, queries, mask, truth)
    return confused or _light(labelled.photo, pair, mask, truth) or _label_or_form(pair, mask, truth)


def _confused(
    labelled: LabelledPrediction,
    pair: PairMeasurement,
    queries: Sequence[PromptQuery],
    mask: Mask,
    truth: Mask,
) -> Cause | None:
    missed, false = truth & ~mask, mask & ~truth
    for other in queries:
        if other.concept == pair.concept:
            continue
        if missed.sum() > 0.5 * truth.sum() > 0:
            share = float(labelled.masks[other.prompt][missed].mean())
            if share > 0.4:
                return Cause(
                    "taken for another", f"{share:.0%} of the missed pixels are marked as {other.concept}"
                )
        foreign = labelled.truths.get(str(other.concept))
        if foreign is not None and false.sum() > 0.5 * mask.sum() > 0:
            share = float(foreign[false].mean())
            if share > 0.5:
                return Cause("taken for another", f"{share:.0%} of the false pixels are {other.concept}")
    return None


def _light(photo: NDArray[np.uint8], pair: PairMeasurement, mask: Mask, truth: Mask) -> Cause | None:
    """Return a lighting problem if the photo is too dark or bright, or if a thin object has little contrast.

    Labels are wider than the cracks, so the contrast uses the darkest pixels near the label's centreline. The
    contrast is measured in standard deviations of the photo. The contrast is not checked for concepts that
    are areas.
    """
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32)
    mean = float(grey.mean())
    if not _DARK < mean < _BRIGHT:
        return Cause("lighting or texture", f"mean brightness {mean:.0f} of 255")
    if not pair.thin or not (truth & ~mask).any():
        return None
    radius = max(2, round(4 * max(truth.shape) / 640))
    middle = dilate(skeletonise(truth), radius) & truth
    around = dilate(truth, 3 * radius) & ~truth
    if not around.any() or not middle.any():
        return None
    dark = float(np.percentile(grey[middle], 15))
    contrast = abs(float(np.median(grey[around])) - dark) / max(float(grey.std()), 1.0)
    if contrast >= _FAINT:
        return None
    return Cause("lighting or texture", f"contrast {contrast:.2f} standard deviations")


def _label_or_form(pair: PairMeasurement, mask: Mask, truth: Mask) -> Cause:
    """Return the label as the cause if it looks doubtful, and otherwise describe the error in the mask."""
    if not truth.any():
        return Cause("false edge", "the photo does not show the concept")
    counts, share = pair.counts, float(truth.mean())
    if share < _SPECK:
        return Cause("doubtful label", f"the label covers {share:.3%} of the photo")
    if pair.thin:
        rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
        if truth.sum() > _RECTANGLE * (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1):
            return Cause("doubtful label", "the label is a plain rectangle")
        if counts.precision > 0.85 and counts.recall < 0.6:
            followed = float(dilate(mask, _radius(truth, TOLERANCE) * 2)[skeletonise(truth)].mean())
            if followed > 0.8:
                return Cause("doubtful label", f"the mask follows {followed:.0%} of the label's centreline")
    radius = _radius(truth, TOLERANCE if pair.thin else AREA_TOLERANCE)
    found = float(dilate(mask, radius)[truth].mean())
    if found < 0.35:
        width = mean_width(truth) * 640 / max(truth.shape)
        kind = "missed thin" if width < THIN_PX else "missed"
        return Cause(kind, f"{found:.0%} was found; the object is {width:.0f} px wide")
    near = float(dilate(truth, radius)[mask].mean())
    parts, whole = count_components(mask), count_components(truth)
    if pair.thin and parts >= max(3, 2 * whole) and near > 0.5:
        return Cause("broken", f"{parts} pieces instead of {whole}")
    if near < 0.5:
        return Cause("false edge", f"{1 - near:.0%} of the mask lies away from the object")
    if not counts.tp:
        return Cause("false edge", "the mask is next to the object but does not overlap it")
    return Cause("wrong extent", f"precision {counts.precision:.0%}, recall {counts.recall:.0%}")


def _radius(truth: Mask, pixels: float) -> int:
    return max(1, round(float(pixels * max(truth.shape) / 640)))


def count_components(mask: Mask) -> int:
    """Count a mask's connected components on a grid of at most 96×96 cells, ignoring gaps within cells."""
    step = max(1, -(-max(mask.shape) // _GRID))
    height, width = (-(-side // step) * step for side in mask.shape)
    padded = np.zeros((height, width), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    cells = padded.reshape(height // step, step, width // step, step)
    return int(label_components(np.asarray(cells.any(axis=(1, 3)))).max())
