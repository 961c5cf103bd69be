"""The figures of each concept in one flat row, as bundles, cards and run logs keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.slices import Clusters, concept_slice
from drywallqa.intervals import Figure

_NOTHING = Figure(float("nan"), float("nan"), float("nan"), 0, 0)


@dataclass(frozen=True)
class ConceptSummary:
    """Figures of one concept; shares in [0,1], nan where nothing applies.

    Attributes:
        pairs: Photos in which the concept is.
        photographs: Photographs behind them; the means are over these.
        iou: Mean IoU over photographs, with its 95 % interval.
        dice: Mean Dice over photographs, with its 95 % interval.
        pooled_iou: IoU of all pixels together.
        precision: Of all pixels together.
        recall: Of all pixels together.
        pixel_accuracy: Of all pixels together.
        background_accuracy: What an all-background mask would score.
        absent_pairs: Photos in which the concept is known to be absent.
        false_alarm_rate: Share of them whose mask covers more than 0.1 % of the photo.
        false_area: Mean share of the photo falsely marked in them.
    """

    concept: str
    pairs: int
    photographs: int
    iou: float
    iou_interval: tuple[float, float]
    dice: float
    dice_interval: tuple[float, float]
    pooled_iou: float
    precision: float
    recall: float
    pixel_accuracy: float
    background_accuracy: float
    absent_pairs: int
    false_alarm_rate: float
    false_area: float

    def to_json(self) -> dict[str, Any]:
        """Describe as plain data."""
        return asdict(self)


def summarise(
    pairs: Sequence[PairMeasurement], concepts: Sequence[str], clusters: Clusters | None = None
) -> dict[str, ConceptSummary]:
    """Summarise measured pairs by concept; the figures are those of `figures`.

    Args:
        pairs: From `collect`.
        concepts: The concepts to summarise.
        clusters: Photo → number of its photograph; by default photographs are told by name alone.
    """
    known = photographs_of(pairs) if clusters is None else clusters
    return {c: _summary(c, [pair for pair in pairs if pair.concept == c], known) for c in concepts}


def photographs_of(pairs: Sequence[PairMeasurement]) -> dict[str, int]:
    """Number the photographs of pairs by their names."""
    numbers: dict[str, int] = {}
    return {p.sample.key: numbers.setdefault(p.photograph, len(numbers)) for p in pairs}


def _summary(concept: str, pairs: Sequence[PairMeasurement], clusters: Clusters) -> ConceptSummary:
    slice_ = concept_slice(concept, pairs, clusters)
    found: Mapping[str, Figure] = slice_.figures()

    def figure(name: str) -> Figure:
        return found.get(name, _NOTHING)

    iou, dice = figure("IoU"), figure("Dice")
    return ConceptSummary(
        concept=concept,
        pairs=slice_.pairs,
        photographs=iou.photographs,
        iou=iou.value,
        iou_interval=(iou.low, iou.high),
        dice=dice.value,
        dice_interval=(dice.low, dice.high),
        pooled_iou=figure("pooled IoU").value,
        precision=figure("precision").value,
        recall=figure("recall").value,
        pixel_accuracy=figure("pixel accuracy").value,
        background_accuracy=figure("pixel accuracy of all background").value,
        absent_pairs=slice_.absent_pairs,
        false_alarm_rate=figure("false alarms").value,
        false_area=figure("area falsely marked").value,
    )
