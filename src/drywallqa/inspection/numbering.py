"""Give findings their numbers, which they keep for good."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from drywallqa.imaging.morphology import BoundingBox
from drywallqa.inspection.ledger import Finding, Ledger, Observation, Place, Visit

_SAME = 0.5  # least intersection over union of the boxes of one finding in two runs over the same photo


@dataclass(frozen=True)
class PlacedObservation:
    """An observation before its finding has a number.

    Attributes:
        place: Id of the place.
        concept: The concept.
        observation: The observation.
    """

    place: str
    concept: str
    observation: Observation


def record_visit(
    ledger: Ledger,
    visit: Visit,
    places: Sequence[Place],
    searched: Collection[tuple[str, str]],
    seen: Sequence[PlacedObservation],
    known: Mapping[int, int] | None = None,
    same: Sequence[Sequence[int]] = (),
) -> Ledger:
    """Return the ledger with a new visit, or with new results for some photos of a recorded visit.

    All other results of a recorded visit stay. A finding that an earlier run of this visit saw
    at the same place of the same photo keeps its number.

    Args:
        ledger: The ledger.
        visit: The visit, with the photos of this run.
        places: The places of this run.
        searched: Photos and concepts of which `seen` contains all new observations.
        seen: The observations of this run.
        known: Numbers of findings by the index of their observation in `seen`.
        same: Groups of indices of observations that show one finding.
    """
    findings, old = {}, {}
    for finding in ledger.findings:
        parts: dict[bool, list[Observation]] = {True: [], False: []}
        for observation in finding.observations:
            again = observation.visit == visit.number and (observation.photo, finding.concept) in searched
            parts[again].append(observation)
        old[finding.number] = parts[True]
        findings[finding.number] = replace(finding, observations=tuple(parts[False]))
    known = {**(known or {}), **_same_in_photo(seen, ledger, old)}
    group_of = {index: group for group in same for index in group}
    rejected = {review.finding for review in ledger.reviews if review.action in ("delete", "reject")}
    number = ledger.next_number
    for index, one in enumerate(seen):
        numbers = [known[member] for member in (index, *group_of.get(index, ())) if member in known]
        own = known[index] = numbers[0] if numbers else number
        if own == number:
            number += 1
            findings[own] = Finding(own, one.place, one.concept)
        finding = findings[own]
        findings[own] = replace(finding, observations=(*finding.observations, one.observation))
    return replace(
        ledger,
        next_number=number,
        places=tuple(sorted({p.id: p for p in (*ledger.places, *places)}.values(), key=lambda p: p.id)),
        visits=_with_visit(ledger.visits, visit),
        findings=tuple(_settled(findings[n], bool(old.get(n)), n in rejected) for n in sorted(findings)),
    )


def _settled(finding: Finding, renewed: bool, rejected: bool) -> Finding:
    """Delete a finding that a new search did not find again; reopen one that it found again."""
    if not finding.observations:
        return replace(finding, state="deleted") if renewed else finding
    if finding.state == "deleted" and not rejected:
        return replace(finding, state="open")
    return finding


def _with_visit(visits: Sequence[Visit], visit: Visit) -> tuple[Visit, ...]:
    """Add a visit, or merge its photos into the visit with the same number."""
    same = [one for one in visits if one.number == visit.number]
    photos = {photo.path: photo for one in (*same, visit) for photo in one.photos}
    compared = {key: value for one in (*same, visit) for key, value in one.compared.items()}
    merged = replace(visit, photos=tuple(photos[path] for path in sorted(photos)), compared=compared)
    return (*(one for one in visits if one.number != visit.number), merged)


def _same_in_photo(
    seen: Sequence[PlacedObservation], ledger: Ledger, old: Mapping[int, Sequence[Observation]]
) -> dict[int, int]:
    """Find the numbers that an earlier run over the same photos gave to observations."""
    concepts = {finding.number: finding.concept for finding in ledger.findings}
    by_photo: dict[str, list[tuple[int, BoundingBox]]] = {}
    for number, gone in old.items():
        for observation in gone:
            by_photo.setdefault(observation.photo, []).append((number, observation.box))
    pairs = sorted(_overlaps(seen, by_photo, concepts), reverse=True)
    found: dict[int, int] = {}
    taken: set[tuple[str, int]] = set()
    for _, negative_index, negative_number in pairs:
        index, number = -negative_index, -negative_number
        photo = seen[index].observation.photo
        if index not in found and (photo, number) not in taken:
            found[index] = number
            taken.add((photo, number))
    return found


def _overlaps(
    seen: Sequence[PlacedObservation],
    by_photo: Mapping[str, Sequence[tuple[int, BoundingBox]]],
    concepts: Mapping[int, str],
) -> Iterator[tuple[float, int, int]]:
    """Yield the overlap, the negative index and the negative number of each pair that may be one finding."""
    for index, one in enumerate(seen):
        for number, box in by_photo.get(one.observation.photo, ()):
            overlap = _overlap(one.observation.box, box)
            if overlap >= _SAME and concepts[number] == one.concept:
                yield overlap, -index, -number


def _overlap(one: BoundingBox, other: BoundingBox) -> float:
    """Return the intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, width) * max(0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)
