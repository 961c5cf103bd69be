from __future__ import annotations

from drywallqa.inspection.ledger import Ledger, Observation, PhotoRecord, Place, Visit
from drywallqa.inspection.numbering import PlacedObservation, record_visit

CRACK = {("a.jpg", "crack")}


def seen(box: tuple[int, int, int, int], photo: str = "a.jpg", visit: int = 1) -> PlacedObservation:
    observation = Observation(
        visit, photo, "m", box, (), (), None, None, None, 0.0, 1.0, 0, 2, None, 0.9, line_visible=False
    )
    return PlacedObservation("wall", "crack", observation)


def recorded(ledger: Ledger, *boxes: tuple[int, int, int, int], visit: int = 1, **how) -> Ledger:
    photos = (PhotoRecord("a.jpg", "wall", "0" * 64),)
    found = [seen(box, visit=visit) for box in boxes]
    return record_visit(
        ledger, Visit(visit, "2026-11-30", photos=photos), [Place("wall")], CRACK, found, **how
    )


def summary(ledger: Ledger) -> list[tuple[int, str, int]]:
    return [(finding.number, finding.state, len(finding.observations)) for finding in ledger.findings]


def test_record_visit__numbers_count_up() -> None:
    ledger = recorded(Ledger("p"), (0, 0, 9, 9), (20, 0, 29, 9))
    assert summary(ledger) == [(1, "open", 1), (2, "open", 1)]
    assert ledger.next_number == 3
    assert [place.id for place in ledger.places] == ["wall"]


def test_record_visit__the_same_place_keeps_its_number_and_a_lost_one_is_never_used_again() -> None:
    ledger = recorded(Ledger("p"), (0, 0, 9, 9), (20, 0, 29, 9))
    ledger = recorded(ledger, (50, 50, 60, 60), (20, 0, 30, 9))
    assert summary(ledger) == [(1, "deleted", 0), (2, "open", 1), (3, "open", 1)]
    ledger = recorded(ledger, (20, 0, 29, 9))
    assert summary(ledger) == [(1, "deleted", 0), (2, "open", 1), (3, "deleted", 0)]
    assert ledger.next_number == 4


def test_record_visit__other_photos_stay() -> None:
    ledger = recorded(Ledger("p"), (0, 0, 9, 9))
    visit = Visit(1, "2026-11-30", photos=(PhotoRecord("b.jpg", "wall", "1" * 64),))
    ledger = record_visit(ledger, visit, [], {("b.jpg", "crack")}, [seen((0, 0, 9, 9), "b.jpg")])
    assert summary(ledger) == [(1, "open", 1), (2, "open", 1)]
    assert [photo.path for photo in ledger.visits[0].photos] == ["a.jpg", "b.jpg"]


def test_record_visit__a_later_visit_continues_known_findings() -> None:
    ledger = recorded(Ledger("p"), (0, 0, 9, 9))
    ledger = recorded(ledger, (3, 0, 12, 9), (40, 0, 49, 9), visit=2, known={0: 1})
    assert summary(ledger) == [(1, "open", 2), (2, "open", 1)]
    assert [visit.number for visit in ledger.visits] == [1, 2]
