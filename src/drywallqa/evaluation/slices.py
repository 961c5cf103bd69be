"""Compute metrics with intervals, overall and by concept, prompt, set, setting and width of the object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.intervals import Figure, Terms, difference
from drywallqa.metrics import Counts, ThinScore

# Photo (`Sample.key`) → number of its source photo. Near-duplicates share a number.
Clusters = Mapping[str, int]

WIDTH_CLASSES = ("narrow third", "middle third", "wide third")

_MEANS: dict[str, Callable[[Counts], float]] = {"IoU": lambda c: c.iou, "Dice": lambda c: c.dice}
_THIN: dict[str, Callable[[ThinScore], float]] = {
    "clDice": lambda t: t.cldice,
    "F1 within 3 px": lambda t: t.tolerant_f1,
}
_POOLED: dict[str, Callable[[Counts], tuple[int, int]]] = {
    "pooled IoU": lambda c: (c.tp, c.tp + c.fp + c.fn),
    "pooled Dice": lambda c: (2 * c.tp, 2 * c.tp + c.fp + c.fn),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "recall": lambda c: (c.tp, c.tp + c.fn),
    "pixel accuracy": lambda c: (c.tp + c.tn, c.size),
    "pixel accuracy of all background": lambda c: (c.tn + c.fp, c.size),
}
_ABSENT: dict[str, Callable[[Counts], float]] = {
    "false alarms": lambda c: float(c.false_alarm),
    "area falsely marked": lambda c: (c.tp + c.fp) / max(1, c.size),
}
MEANINGS = {
    "IoU": "mean over source photos that show the concept",
    "Dice": "mean over source photos that show the concept",
    "clDice": "mean over source photos that show the concept",
    "F1 within 3 px": "mean over source photos that show the concept, at 640 px",
    **dict.fromkeys(_POOLED, "over all pixels of the photos that show the concept"),
    "false alarms": "share of photos without the concept in which more than 0.1 % of the pixels are marked",
    "area falsely marked": "mean share of the pixels that are marked in photos without the concept",
}


@dataclass(frozen=True, eq=False)
class PairSlice:
    """The metrics of a group of pairs.

    Attributes:
        kind: "overall", "concept", "prompt", "set", "setting" or "width".
        concept: The concept, or "all concepts" for the kind "overall".
        name: The prompt, or the name of the set, setting or width class.
        terms: Metric → numerators and denominators of its ratio. Metrics that do not apply are missing.
        counts: Sum of the confusion counts of all pairs in the slice.
        pairs: Number of (photo, prompt) pairs whose photo shows the concept.
        absent_pairs: Number of pairs whose label says that the photo does not show the concept.
    """

    kind: str
    concept: str
    name: str
    terms: Mapping[str, Terms]
    counts: Counts
    pairs: int
    absent_pairs: int

    def figures(self) -> dict[str, Figure]:
        """Return metric → value with its interval."""
        return {name: terms.figure() for name, terms in self.terms.items()}

    def less(self, other: PairSlice) -> dict[str, Figure]:
        """Return this slice's metrics minus another model's metrics on the same pairs."""
        return {name: difference(terms, other.terms[name]) for name, terms in self.terms.items()}


def slice_pairs(pairs: Sequence[PairMeasurement], clusters: Clusters) -> list[PairSlice]:
    """Group the pairs of one model into slices and compute the metrics of each slice."""
    slices = [_slice("overall", "all concepts", "all prompts", pairs, clusters)]
    for concept in dict.fromkeys(p.concept for p in pairs):
        own = [p for p in pairs if p.concept == concept]
        slices.append(concept_slice(concept, own, clusters))
        slices += [_slice(kind, concept, name, part, clusters) for kind, name, part in _parts(own)]
    return slices


def concept_slice(concept: str, pairs: Sequence[PairMeasurement], clusters: Clusters) -> PairSlice:
    """Compute the metrics of all pairs of one concept."""
    return _slice("concept", concept, "all prompts", pairs, clusters)


def _parts(pairs: Sequence[PairMeasurement]) -> Iterator[tuple[str, str, list[PairMeasurement]]]:
    """Group the pairs of one concept; yield the kind, name and pairs of each group.

    The width classes divide thin objects into thirds by width, in px at a photo size of 640 px.
    """
    keys: dict[str, Callable[[PairMeasurement], str | None]] = {
        "prompt": lambda p: p.prompt,
        "set": lambda p: p.sample.set_name,
        "setting": lambda p: p.sample.setting,
    }
    for kind, key in keys.items():
        for name in sorted({key(p) or "" for p in pairs} - {""}):
            yield kind, name, [p for p in pairs if key(p) == name]
    widths = [p.thin.width for p in pairs if p.thin]
    limits = [float(limit) for limit in np.percentile(widths, [100 / 3, 200 / 3])] if widths else []
    for index, name in enumerate(WIDTH_CLASSES if limits else ()):
        members = [p for p in pairs if p.thin and sum(p.thin.width > limit for limit in limits) == index]
        if members:
            low = [0.0, *limits][index]
            reach = f"{low:.1f}–{limits[index]:.1f} px" if index < 2 else f"over {low:.1f} px"
            yield "width", f"{name} ({reach})", members


def _slice(
    kind: str, concept: str, name: str, pairs: Sequence[PairMeasurement], clusters: Clusters
) -> PairSlice:
    present = [p for p in pairs if not p.absent]
    absent = [p for p in pairs if p.absent]
    thin = [p for p in present if p.thin]
    means = {
        f: _mean_terms(present, [mean(p.counts) for p in present], clusters) for f, mean in _MEANS.items()
    }
    means |= {f: _mean_terms(thin, [of(p.thin) for p in thin if p.thin], clusters) for f, of in _THIN.items()}
    sums = {f: _sum_terms(present, [of(p.counts) for p in present], clusters) for f, of in _POOLED.items()}
    sums |= {
        f: _sum_terms(absent, [(of(p.counts), 1.0) for p in absent], clusters, events=f == "false alarms")
        for f, of in _ABSENT.items()
    }
    applying = {figure: terms for figure, terms in (means | sums).items() if terms.pairs}
    total = sum((p.counts for p in pairs), Counts(0, 0, 0, 0))
    return PairSlice(kind, concept, name, applying, total, len(present), len(absent))


def _mean_terms(pairs: Sequence[PairMeasurement], values: Sequence[float], clusters: Clusters) -> Terms:
    """Compute a mean over source photos. The copies of a source photo are averaged first.

    A source photo counts once for each concept.
    """
    members: dict[tuple[str, str], list[float]] = {}
    last: dict[tuple[str, str], PairMeasurement] = {}
    for pair, value in zip(pairs, values, strict=True):
        members.setdefault((pair.concept, pair.photograph), []).append(value)
        last[pair.concept, pair.photograph] = pair
    means = [(float(np.mean(group)), 1.0) for group in members.values()]
    return replace(_sum_terms(list(last.values()), means, clusters), pairs=len(pairs))


def _sum_terms(
    pairs: Sequence[PairMeasurement],
    parts: Sequence[tuple[float, float]],
    clusters: Clusters,
    *,
    events: bool = False,
) -> Terms:
    """For each cluster, sum the numerators and the denominators of its pairs."""
    numbers = np.array([clusters[p.sample.key] for p in pairs], np.int64)
    _, places = np.unique(numbers, return_inverse=True)
    columns = np.asarray(parts, np.float64).reshape(-1, 2).T
    part, whole = (np.bincount(places, column).astype(np.float64) for column in columns)
    return Terms(part, whole, len({p.photograph for p in pairs}), len(pairs), events)


def report_iou(pairs: Sequence[PairMeasurement]) -> float:
    """Return the mean IoU over batches of two pairs, which is used only to compare with the original report.

    A batch consists of two consecutive measurements, whose pixels are pooled. Two empty masks have IoU 1.
    """
    ious = []
    for start in range(0, len(pairs), 2):
        total = sum((p.counts for p in pairs[start : start + 2]), Counts(0, 0, 0, 0))
        ious.append(1.0 if np.isnan(total.iou) else total.iou)
    return float(np.mean(ious)) if ious else float("nan")


@dataclass(frozen=True)
class ConceptSummary:
    """Metrics of one concept for bundles, model cards and run logs; nan if a metric does not apply.

    Attributes:
        concept: The concept.
        pairs: Number of photos with the concept.
        photographs: Number of source photos with the concept.
        iou: Mean IoU over source photos.
        iou_interval: 95 % interval of the mean IoU.
        dice: Mean Dice over source photos.
        dice_interval: 95 % interval of the mean Dice.
        pooled_iou: IoU, pooled over all pixels.
        precision: Precision, pooled over all pixels.
        recall: Recall, pooled over all pixels.
        pixel_accuracy: Accuracy, pooled over all pixels.
        background_accuracy: Pixel accuracy of a mask that marks nothing.
        absent_pairs: Number of photos whose label says that they do not show the concept.
        false_alarm_rate: Share of photos without the concept whose mask covers more than 0.1 % of the photo.
        false_area: Mean share of marked pixels in photos without the concept.
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
        """Return the summary as JSON data."""
        return asdict(self)


def summarise(
    pairs: Sequence[PairMeasurement], concepts: Sequence[str], clusters: Clusters | None = None
) -> dict[str, ConceptSummary]:
    """Summarise measured pairs by concept.

    Args:
        pairs: Measured (photo, prompt) pairs of any concepts.
        concepts: The concepts to summarise.
        clusters: Photo → number of its source photo; by default, file names identify the source photo.
    """
    numbers: dict[str, int] = {}
    by_name = {p.sample.key: numbers.setdefault(p.photograph, len(numbers)) for p in pairs}
    nothing = Figure(float("nan"), float("nan"), float("nan"), 0, 0)
    summaries = {}
    for concept in concepts:
        own = concept_slice(concept, [p for p in pairs if p.concept == concept], clusters or by_name)
        found = dict.fromkeys(MEANINGS, nothing) | own.figures()
        iou, dice = found["IoU"], found["Dice"]
        summaries[concept] = ConceptSummary(
            concept=concept,
            pairs=own.pairs,
            photographs=iou.photographs,
            iou=iou.value,
            iou_interval=(iou.low, iou.high),
            dice=dice.value,
            dice_interval=(dice.low, dice.high),
            pooled_iou=found["pooled IoU"].value,
            precision=found["precision"].value,
            recall=found["recall"].value,
            pixel_accuracy=found["pixel accuracy"].value,
            background_accuracy=found["pixel accuracy of all background"].value,
            absent_pairs=own.absent_pairs,
            false_alarm_rate=found["false alarms"].value,
            false_area=found["area falsely marked"].value,
        )
    return summaries
