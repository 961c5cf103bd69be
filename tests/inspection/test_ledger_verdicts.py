"""Verdicts of a whole visit, and their summary for a place and for the inspection."""

from dataclasses import replace

from drywallqa.inspection.ledger import Review
from drywallqa.inspection.ledger_verdicts import judge_ledger, summarise_verdicts
from drywallqa.inspection.rules import load_rule_set
from inspection_examples import around, finding_of, ledger_of, observation_of, photo_of

RULES = load_rule_set("nhbc-9.1")
PHOTOS = (photo_of(), photo_of(path="hall/b.jpg"), photo_of(path="loft/c.jpg", place="loft"))


def wide(mm: float, **changes):  # type: ignore[no-untyped-def]
    return observation_of(around(mm, 0.01), **changes)


def test_every_place_has_its_worst_outcome() -> None:
    ledger = ledger_of(
        finding_of(1, wide(1.0)),
        finding_of(2, wide(3.0)),
        finding_of(3, wide(1.0), concept="taping area"),
        photos=PHOTOS,
    )
    judged = judge_ledger(ledger, RULES, [("hall/b.jpg", "crack"), ("loft/c.jpg", "crack")])
    assert judged.visits[0].rule_set == "nhbc-9.1 version 1"
    hall, loft = (summarise_verdicts(judged, place) for place in ("hall", "loft"))
    assert hall.outcome == "fail"
    assert hall.findings == {"not assessable": 1, "monitor": 1, "fail": 1}
    assert hall.photos == {"pass": 1}
    assert (loft.outcome, loft.findings, loft.photos) == ("pass", {}, {"pass": 1})
    assert summarise_verdicts(judged).outcome == "fail"
    assert summarise_verdicts(judged).photos == {"pass": 2}


def test_findings_that_are_not_open_do_not_count() -> None:
    ledger = ledger_of(finding_of(1, wide(3.0), state="deleted"), finding_of(2, wide(1.0)), photos=PHOTOS)
    assert summarise_verdicts(judge_ledger(ledger, RULES)).outcome == "monitor"


def test_a_confirmed_condition_passes_only_for_its_finding() -> None:
    review = Review(1, "confirm", "Ann", "2026-11-30T10:00:00+00:00", {"rule": "crack-width"})
    ledger = replace(
        ledger_of(finding_of(1, wide(1.0)), finding_of(2, wide(1.0)), photos=PHOTOS), reviews=(review,)
    )
    judged = judge_ledger(ledger, RULES)
    assert [f.observations[0].verdicts[0].outcome for f in judged.findings] == ["pass", "monitor"]


def test_earlier_visits_keep_their_verdicts() -> None:
    old = wide(3.0)
    ledger = ledger_of(finding_of(1, old, wide(1.0, visit=2)), photos=PHOTOS)
    visits = (ledger.visits[0], replace(ledger.visits[0], number=2, date="2027-01-01"))
    judged = judge_ledger(replace(ledger, visits=visits), RULES)
    assert judged.findings[0].observations[0] == old
    assert judged.visits[0] == ledger.visits[0]
    assert summarise_verdicts(judged).outcome == "monitor"


def test_a_refused_photo_is_not_assessable() -> None:
    ledger = ledger_of(photos=(photo_of(), photo_of(path="hall/b.jpg", refused="the file is damaged")))
    summary = summarise_verdicts(judge_ledger(ledger, RULES))
    assert (summary.outcome, summary.photos) == ("not assessable", {"not assessable": 1})


def test_no_verdicts_at_all() -> None:
    summary = summarise_verdicts(ledger_of(photos=PHOTOS))
    assert (summary.outcome, summary.findings, summary.photos) == ("no rule", {}, {})
