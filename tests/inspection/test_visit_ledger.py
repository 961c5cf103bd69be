"""A later visit joins an earlier ledger, and numbers live on."""

from __future__ import annotations

from dataclasses import replace

from drywallqa.inspection.ledger import Review
from drywallqa.inspection.visit_ledger import joined_ledger, seen_in_visit
from drywallqa.inspection.visits import Matches
from visited_walls import ledger, observation, pair, straight

LINE = straight((100, 100), (600, 400))


def test_joined__numbers_live_on_and_new_ones_are_never_used_again() -> None:
    before = replace(ledger({2: observation(LINE)}), next_number=9)
    after = ledger({1: observation(LINE, photo="b.jpg"), 2: observation(LINE, photo="b.jpg")}, ("b.jpg",))
    joined = joined_ledger(before, after, Matches({2: 2}, {}), [pair("a.jpg", "b.jpg")])
    assert [(one.number, [o.visit for o in one.observations]) for one in joined.findings] == [
        (2, [1, 2]),
        (9, [2]),
    ]
    assert joined.next_number == 10
    assert joined.visits[1].compared == {"b.jpg": "a.jpg"}


def test_joined__merged_and_repaired_states() -> None:
    before = ledger({1: observation(LINE), 2: observation(LINE), 3: observation(LINE)})
    repaired = replace(before.findings[2], state="repaired")
    before = replace(before, findings=(*before.findings[:2], repaired))
    after = ledger({1: observation(LINE), 2: observation(LINE)})
    joined = joined_ledger(before, after, Matches({1: 1, 2: 3}, {2: 1}), [])
    assert [(one.state, one.into) for one in joined.findings] == [
        ("open", ()),
        ("merged", (1,)),
        ("open", ()),
    ]


def test_joined__reviews_get_the_new_numbers() -> None:
    after = replace(ledger({1: observation(LINE)}), reviews=(Review(1, "confirm", "Ann", "t"),))
    joined = joined_ledger(ledger({5: observation(LINE)}), after, Matches({1: 5}, {}), [])
    assert [one.finding for one in joined.reviews] == [5]


def test_seen__without_deleted_findings() -> None:
    whole = ledger({1: observation(LINE), 2: observation(LINE)})
    deleted = replace(whole, findings=(replace(whole.findings[0], state="deleted"), whole.findings[1]))
    assert [one.key for one in seen_in_visit(deleted, 1)["a.jpg"]] == [2]
