"""The worst pairs of each prompt and the confident mistakes, each with its likely cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from drywallqa.evaluation.causes import CAUSES, Cause, likely_cause
from drywallqa.evaluation.measure import Evaluator, LabelledPrediction, PairMeasurement
from drywallqa.evaluation.part_measurements import PartMeasurements
from drywallqa.evaluation.slices import Clusters

KINDS = {
    "worst": "lowest IoU among photos that show it",
    "false alarm": "photos without it of which the most is marked",
    "confident mistake": "surest and yet wrong: presence high and IoU low, or low though it is there",
}


@dataclass(frozen=True)
class Failure:
    """One wrong mask.

    Attributes:
        pair: The pair.
        kind: One of `KINDS`.
        cause: What probably led to it.
    """

    pair: PairMeasurement
    kind: str
    cause: Cause


def confidence(pair: PairMeasurement) -> float:
    """How sure the model was of what turned out wrong, in [0,1]."""
    presence = pair.presence
    if pair.absent:
        return presence if pair.counts.false_alarm else 0.0
    sure = max(presence, 1 - presence)
    return sure * (1 - pair.counts.iou)


def select_failures(
    examination: PartMeasurements, clusters: Clusters, worst: int
) -> list[tuple[PairMeasurement, str]]:
    """Pick up to `worst` pairs of each kind for each prompt, one copy of a photograph, no pair twice."""
    chosen = []
    for prompt in dict.fromkeys(p.question.prompt for p in examination.pairs):
        pairs = [p for p in examination.pairs if p.question.prompt == prompt]
        present = [p for p in pairs if not p.absent]
        alarms = [p for p in pairs if p.absent and p.counts.false_alarm]
        wrong = [p for p in present if p.counts.iou < 0.5] + alarms
        taken: set[int] = set()
        rankings: list[tuple[str, list[PairMeasurement], Callable[[PairMeasurement], float]]] = [
            ("worst", [p for p in present if p.counts.iou < 1], lambda p: p.counts.iou),
            ("false alarm", alarms, lambda p: -p.counts.fp),
            ("confident mistake", wrong, lambda p: -confidence(p)),
        ]
        for kind, candidates, rank in rankings:
            chosen += [(p, kind) for p in _first(sorted(candidates, key=rank), clusters, worst, taken)]
    return chosen


def _first(
    pairs: Sequence[PairMeasurement], clusters: Clusters, count: int, taken: set[int]
) -> Iterator[PairMeasurement]:
    """Yield the first `count` pairs of photographs that were not taken yet."""
    for pair in pairs:
        photograph = clusters[pair.sample.key]
        if photograph not in taken and count > 0:
            taken.add(photograph)
            count -= 1
            yield pair


def explain_failures(
    looker: Evaluator, chosen: Sequence[tuple[PairMeasurement, str]]
) -> Iterator[tuple[Failure, LabelledPrediction]]:
    """Look at the chosen pairs again, and name each one's likely cause.

    The arrays come one photo at a time, so that nobody needs to hold them all.
    """
    for pair, kind in chosen:
        look = looker.look(pair.sample)
        yield Failure(pair, kind, likely_cause(look, pair.question, looker.questions.each)), look


def by_cause(failures: Sequence[Failure]) -> list[Failure]:
    """Order failures by cause, then from the worst on."""
    order = list(CAUSES)
    return sorted(failures, key=lambda f: (order.index(f.cause.name), f.pair.counts.iou))
