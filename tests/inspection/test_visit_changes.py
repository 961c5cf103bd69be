"""Changes between two visits: what is new, grown, unchanged, repaired, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest

from drywallqa.inspection.finding_overlap import LinePath
from drywallqa.inspection.ledger import Ledger
from drywallqa.inspection.scale import project
from drywallqa.inspection.visit_changes import FindingChange, VisitPair, find_changes, with_states
from drywallqa.inspection.visit_ledger import joined_ledger, seen_in_visit
from drywallqa.inspection.visits import match_findings
from visited_walls import ledger, observation, pair, straight

LINE = straight((100, 100), (600, 400))
LONGER = straight((100, 100), (660, 436))
ELSEWHERE = straight((200, 500), (400, 450))
ZOOM = np.array([[0.8, 0, 40.0], [0, 0.8, 30.0], [0, 0, 1.0]])


def nothing(photo: str, path: LinePath, tolerance: float) -> np.ndarray:
    return np.zeros(len(path.points), np.bool_)


def everything(photo: str, path: LinePath, tolerance: float) -> np.ndarray:
    return np.ones(len(path.points), np.bool_)


def compare(
    before: Ledger, after: Ledger, matrix: np.ndarray | None = None, **looks: object
) -> list[FindingChange]:
    pairs = [pair("a.jpg", "b.jpg", matrix)]
    matches = match_findings(seen_in_visit(before, 1), seen_in_visit(after, 1), pairs)
    joined = joined_ledger(before, after, matches, pairs)
    look = {"look_before": nothing, "look_after": nothing} | looks
    return find_changes(VisitPair(joined, 1, 2, pairs, **look))


def before(width: float = 4.0) -> Ledger:
    return ledger({7: observation(LINE, width)})


def after(points: np.ndarray = LINE, width: float = 4.0, sigma: float = 0.1) -> Ledger:
    return ledger({1: observation(points, width, "b.jpg", sigma=sigma)}, ("b.jpg",))


def test_unchanged__in_a_photo_with_another_zoom() -> None:
    (change,) = compare(before(), after(project(ZOOM, LINE), 3.2), ZOOM)
    assert (change.number, change.change) == (7, "unchanged")
    assert change.width is not None
    assert change.width.value == pytest.approx(0, abs=0.01)
    assert "4.00 → 4.00 px" in change.reason


def test_grown__by_one_pixel_of_the_earlier_photo() -> None:
    (change,) = compare(before(), after(project(ZOOM, LINE), 4.0), ZOOM)
    assert change.change == "grown"
    assert change.width is not None
    assert change.width.value == pytest.approx(1, abs=0.01)
    assert change.width.low < 1 < change.width.high


def test_growth_within_the_interval_is_not_growth() -> None:
    (change,) = compare(before(), after(width=4.4, sigma=0.4))
    assert change.change == "unchanged"


def test_grown__in_length() -> None:
    (change,) = compare(before(), after(LONGER))
    assert change.change == "grown"
    assert change.length is not None
    assert change.length.value == pytest.approx(70, abs=6)


def test_length_that_the_earlier_photo_shows_is_not_growth() -> None:
    (change,) = compare(before(), after(LONGER), look_before=everything)
    assert change.change == "unchanged"


def test_length_outside_the_earlier_photo_is_not_growth() -> None:
    line = straight((500, 300), (795, 300))
    shifted = straight((400, 300), (795, 300))  # 100 px of it lie outside the earlier photo
    matrix = np.array([[1.0, 0, -100], [0, 1, 0], [0, 0, 1]])
    (change,) = compare(ledger({1: observation(line)}), after(shifted), matrix)
    assert change.change == "unchanged"


def test_new_and_repaired() -> None:
    old, new = compare(before(), after(ELSEWHERE))
    assert (old.number, old.change, new.number, new.change) == (7, "repaired", 8, "new")


def test_missed_by_the_model_is_neither_new_nor_repaired() -> None:
    old, new = compare(before(), after(ELSEWHERE), look_before=everything, look_after=everything)
    assert (old.change, new.change) == ("not comparable", "not comparable")
    assert "did not mark" in old.reason


def test_outside_the_other_photo() -> None:
    away = np.array([[1.0, 0, 900], [0, 1, 0], [0, 0, 1]])
    old, new = compare(before(), after(ELSEWHERE), away)
    assert (old.change, new.change) == ("not comparable", "not comparable")
    assert old.reason == "No later photo shows this place."


def test_below_the_detection_limit() -> None:
    tiny = np.diag([0.1, 0.1, 1.0])
    (old, _) = compare(before(), after(ELSEWHERE), tiny)
    assert (old.change, old.reason) == (
        "not comparable",
        "The later photo cannot show a line as narrow as this one.",
    )


def test_merged_cracks_are_compared_with_all_their_parts() -> None:
    parts = {
        3: observation(straight((100, 100), (200, 160))),
        4: observation(straight((202, 161), (600, 400))),
    }
    (change,) = compare(ledger(parts), after())
    assert (change.number, change.merged, change.change) == (4, (3,), "unchanged")


def test_states__repaired_findings_are_marked() -> None:
    old = before()
    changes = compare(old, after(ELSEWHERE))
    assert with_states(old, changes).findings[0].state == "repaired"
