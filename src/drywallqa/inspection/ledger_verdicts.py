"""Judge the newest visit of a ledger, and summarise the verdicts of a place or of the whole inspection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from drywallqa.inspection.ledger import Finding, Ledger, Observation, Outcome, Review, Verdict
from drywallqa.inspection.measure_text import System
from drywallqa.inspection.rules import RuleSet
from drywallqa.inspection.several_findings import count_wide
from drywallqa.inspection.verdicts import VerdictContext, judge_observation, judge_photo

# Outcomes from best to worst. "monitor" is worse than "not assessable", as it needs a finding near the limit.
OUTCOME_ORDER: tuple[Outcome, ...] = ("no rule", "pass", "not assessable", "monitor", "fail")


@dataclass(frozen=True)
class VerdictSummary:
    """The verdicts on several findings and photos.

    Attributes:
        outcome: The worst outcome.
        findings: Number of open findings with each outcome, in the order of `OUTCOME_ORDER`.
        photos: Number of photos without a finding with each outcome.
    """

    outcome: Outcome
    findings: dict[Outcome, int]
    photos: dict[Outcome, int]


def judge_ledger(
    ledger: Ledger, rule_set: RuleSet, absent: Collection[tuple[str, str]] = (), units: System = "metric"
) -> Ledger:
    """Return the ledger with new verdicts for the newest visit.

    Args:
        ledger: The ledger, with reviews already applied.
        rule_set: The rules.
        absent: Pairs of photo path and concept for which the search found nothing. A refused photo gets
            verdicts in any case.
        units: Units of the texts of the verdicts.
    """
    visit = ledger.visits[-1]
    photos = {photo.path: photo for photo in visit.photos}

    wide = {
        place.id: {rule.id: count_wide(ledger.findings, place.id, visit, rule) for rule in rule_set.rules}
        for place in ledger.places
    }

    def judged(finding: Finding, seen: Observation) -> Observation:
        if seen.visit != visit.number:
            return seen
        confirmed = _confirmed_conditions(ledger.reviews, finding.number)
        context = VerdictContext(photos[seen.photo], confirmed, wide.get(finding.place, {}), units)
        return replace(seen, verdicts=judge_observation(seen, finding.concept, rule_set, context))

    findings = tuple(
        replace(f, observations=tuple(judged(f, seen) for seen in f.observations)) for f in ledger.findings
    )
    measurable = sorted({rule.concept for rule in rule_set.rules if rule.quantity is not None})
    records = tuple(
        replace(
            photo,
            verdicts=tuple(
                verdict
                for concept in measurable
                if photo.refused or (photo.path, concept) in absent
                for verdict in judge_photo(photo, rule_set, concept, units)
            ),
        )
        for photo in visit.photos
    )
    newest = replace(visit, photos=records, rule_set=rule_set.label)
    return replace(ledger, findings=findings, visits=(*ledger.visits[:-1], newest))


def worst_outcome(verdicts: Iterable[Verdict]) -> Outcome:
    """Return the worst outcome; "no rule" without verdicts.

    Rules that no photo can decide count only if there are no other verdicts.
    """
    verdicts = list(verdicts)
    decidable = [verdict for verdict in verdicts if verdict.decidable] or verdicts
    return max((verdict.outcome for verdict in decidable), key=OUTCOME_ORDER.index, default="no rule")


def summarise_verdicts(ledger: Ledger, place: str | None = None) -> VerdictSummary:
    """Summarise the verdicts of the newest visit, for one place or for the whole inspection."""
    visit = ledger.visits[-1]
    findings = [
        worst_outcome(v for o in f.observations if o.visit == visit.number for v in o.verdicts)
        for f in ledger.findings
        if f.state == "open"
        and place in (None, f.place)
        and any(o.visit == visit.number for o in f.observations)
    ]
    photos = [
        worst_outcome(photo.verdicts)
        for photo in visit.photos
        if photo.verdicts and place in (None, photo.place)
    ]
    worst: Outcome = max((*findings, *photos), key=OUTCOME_ORDER.index, default="no rule")
    return VerdictSummary(worst, _count(findings), _count(photos))


def _count(outcomes: Sequence[Outcome]) -> dict[Outcome, int]:
    return {each: outcomes.count(each) for each in OUTCOME_ORDER if each in outcomes}


def _confirmed_conditions(reviews: Iterable[Review], number: int) -> set[str]:
    return {
        review.detail["rule"]
        for review in reviews
        if review.finding == number and review.action == "confirm" and "rule" in review.detail
    }
