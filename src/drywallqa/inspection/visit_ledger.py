"""Add the last visit of one ledger to another ledger, so that the numbers of its findings live on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drywallqa.inspection.ledger import Finding, Ledger, Observation, Review, Visit
from drywallqa.inspection.visits import Matches, PhotoPair, SeenFinding

_GONE = ("merged", "split", "deleted")


def seen_in_visit(ledger: Ledger, visit: int) -> dict[str, list[SeenFinding]]:
    """Return the findings on each photo of a visit, without findings that were merged, split or deleted."""
    seen: dict[str, list[SeenFinding]] = {}
    for finding in ledger.findings:
        if finding.state not in _GONE:
            for one in finding.observations:
                if one.visit == visit:
                    seen.setdefault(one.photo, []).append(SeenFinding(finding.number, finding.concept, one))
    return seen


def joined_ledger(before: Ledger, after: Ledger, matches: Matches, pairs: Sequence[PhotoPair]) -> Ledger:
    """Add the last visit of a ledger to an earlier ledger.

    Args:
        before: The earlier ledger.
        after: The later ledger. Only its last visit and the reviews of it are used.
        matches: Which findings of the two visits are the same.
        pairs: Aligned photos of the two visits.

    Returns:
        The ledger with all visits of `before` and one more.
    """
    visit = replace(after.visits[-1], number=before.visits[-1].number + 1, compared=_compared(pairs))
    found = [one for one in after.findings if _observed(one, after.visits[-1], 0)]
    new = [one.number for one in found if one.number not in matches.number_of]
    numbers = matches.number_of | {key: before.next_number + place for place, key in enumerate(new)}
    findings = {one.number: one for one in before.findings}
    for one in found:
        number = numbers[one.number]
        added = _observed(one, after.visits[-1], visit.number)
        known = findings.get(number, replace(one, number=number, observations=(), into=()))
        state = one.state if known.state == "repaired" else known.state
        findings[number] = replace(known, observations=known.observations + added, state=state)
    for number, target in matches.merged.items():
        findings[number] = replace(findings[number], state="merged", into=(target,))
    return replace(
        before,
        next_number=before.next_number + len(new),
        places=tuple(
            sorted({one.id: one for one in (*after.places, *before.places)}.values(), key=lambda p: p.id)
        ),
        visits=(*before.visits, visit),
        findings=tuple(findings[number] for number in sorted(findings)),
        reviews=before.reviews + _renumbered(after.reviews, numbers),
    )


def _observed(finding: Finding, visit: Visit, number: int) -> tuple[Observation, ...]:
    """Return the observations of a finding in a visit, with another number of the visit."""
    if finding.state in _GONE:
        return ()
    return tuple(replace(one, visit=number) for one in finding.observations if one.visit == visit.number)


def _compared(pairs: Sequence[PhotoPair]) -> dict[str, str]:
    """Return the earlier photo that fits each later photo best."""
    best: dict[str, PhotoPair] = {}
    for pair in pairs:
        known = best.get(pair.second.path)
        if known is None or pair.alignment.features > known.alignment.features:
            best[pair.second.path] = pair
    return {path: best[path].first.path for path in sorted(best)}


def _renumbered(reviews: Sequence[Review], numbers: dict[int, int]) -> tuple[Review, ...]:
    return tuple(replace(one, finding=numbers[one.finding]) for one in reviews if one.finding in numbers)
