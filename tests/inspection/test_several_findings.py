"""Wide findings are counted once, at their place, and only where they are surely different."""

from dataclasses import replace

from drywallqa.inspection.ledger import Observation
from drywallqa.inspection.ledger_verdicts import judge_ledger, summarise_verdicts
from drywallqa.inspection.rules import load_rule_set
from drywallqa.inspection.several_findings import WideFindings, count_wide, several_text
from inspection_examples import around, finding_of, ledger_of, observation_of, photo_of

RULES = load_rule_set("as-2870")
PHOTOS = (photo_of(), photo_of(path="hall/b.jpg"), photo_of(path="loft/c.jpg", place="loft"))


def wide(mm: float = 4.0, half: float = 0.1, photo: str = "hall/a.jpg") -> Observation:
    return observation_of(around(mm, half), photo=photo)


def counted(*findings, photos=PHOTOS) -> WideFindings:  # type: ignore[no-untyped-def]
    ledger = ledger_of(*findings, photos=photos)
    return count_wide(ledger.findings, "hall", ledger.visits[0], RULES.rules[0])


def test_only_open_wide_cracks_of_the_place_count() -> None:
    others = (
        finding_of(2, wide(2.9, 0.05)),
        finding_of(3, wide(), state="deleted"),
        finding_of(4, wide(), concept="taping area"),
        finding_of(5, wide(photo="loft/c.jpg"), place="loft"),
        finding_of(6, observation_of(None, around(50.0))),
        finding_of(7, replace(wide(), line_visible=False)),
    )
    assert counted(finding_of(1, wide()), *others) == WideFindings(1, 1)


def test_unsure_widths_and_several_photos_give_a_range() -> None:
    findings = (finding_of(1, wide()), finding_of(2, wide(3.0, 0.5)), finding_of(3, wide(photo="hall/b.jpg")))
    assert counted(*findings) == WideFindings(1, 3)
    assert counted(*findings).text == "1 to 3"
    on_both = finding_of(1, wide(), wide(photo="hall/b.jpg"))
    assert counted(on_both) == WideFindings(1, 1)
    blurred = (photo_of(quality=("may be blurred",)),)
    assert counted(finding_of(1, wide()), photos=blurred) == WideFindings(0, 1)


def test_three_wide_cracks_fail_a_wall_that_two_do_not() -> None:
    three = [finding_of(number, wide()) for number in (1, 2, 3)]
    for findings, outcome in ((three, "fail"), (three[:2], "monitor")):
        judged = judge_ledger(ledger_of(*findings, photos=PHOTOS), RULES)
        assert summarise_verdicts(judged, "hall").outcome == outcome
    assert several_text(RULES.rules[0]) == "3 or more over 3 mm at one place: AS 2870 category 3 (moderate)"
    assert several_text(load_rule_set("nhbc-9.1").rules[0]) == ""
