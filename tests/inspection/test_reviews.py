"""Reviews change states and numbers as people decided, keep all numbers for good, and apply only once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drywallqa.errors import DataError, ReviewError
from drywallqa.inspection.ledger import Ledger, Observation, PhotoRecord
from drywallqa.inspection.ledger_file import read_ledger, write_ledger
from drywallqa.inspection.numbering import PlacedObservation, record_visit
from drywallqa.inspection.review_files import FiledReview
from drywallqa.inspection.reviews import ReviewContext, apply_reviews
from inspection_examples import around, finding_of, ledger_of, observation_of, photo_of

APPLIED = ("made", "visit", "applied_to", "digest")
TIME = "2026-11-30T00:00:00+00:00"
PHOTOS = (photo_of(), photo_of(path="hall/b.jpg"), photo_of(path="loft/c.jpg", place="loft"))


def measure(photo: str, concept: str, rings: Any) -> Observation:
    """Measure nothing, but keep the rings."""
    return observation_of(around(1.0), photo=photo, polygon=rings, model="again", notes=(concept,))


CONTEXT = ReviewContext(measure, ["crack-width"], ["crack", "taping area"], TIME)


def decision(action: Any, finding: int = 0, row: int = 2, **values: Any) -> FiledReview:
    names = ("reviewer", "time", "photo", "concept")
    given = {name: values.pop(name, "Ann" if name == "reviewer" else "") for name in names}
    return FiledReview(Path("reviews.csv"), row, finding, action, detail=values, **given)


def house() -> Ledger:
    two_parts = observation_of(
        polygon=(((0.0, 0.0), (9.0, 0.0), (9.0, 9.0)), ((20.0, 0.0), (29.0, 0.0), (29.0, 9.0)))
    )
    return ledger_of(
        finding_of(1),
        finding_of(2, two_parts),
        finding_of(3, observation_of(photo="hall/b.jpg")),
        finding_of(4, observation_of(photo="loft/c.jpg"), place="loft"),
        finding_of(5, concept="taping area"),
        photos=PHOTOS,
    )


def states(ledger: Ledger) -> dict[int, tuple[str, tuple[int, ...]]]:
    return {finding.number: (finding.state, finding.into) for finding in ledger.findings}


def test_reject_delete_and_confirm() -> None:
    reviews = [
        decision("reject", 1),
        decision("delete", 2),
        decision("confirm", 2),
        decision("comment", 3, text="x"),
    ]
    after = apply_reviews(house(), reviews, CONTEXT)
    assert [states(after)[n][0] for n in (1, 2, 3)] == ["deleted", "open", "open"]
    assert [review.action for review in after.reviews] == ["reject", "delete", "confirm", "comment"]
    assert after.reviews[3].detail == {"text": "x", "visit": 1}
    assert {review.time for review in after.reviews} == {TIME}
    assert after.next_number == 6


def test_merge_on_one_photo_measures_again_and_points_to_the_successor() -> None:
    after = apply_reviews(house(), [decision("merge", 1, **{"with": [2]})], CONTEXT)
    assert states(after)[1] == states(after)[2] == ("merged", (6,))
    (united,) = after.findings[-1].observations
    assert len(united.polygon) == 3
    assert united.model == "compact"
    assert [f.observations for f in after.findings[:2]] == [f.observations for f in house().findings[:2]]
    assert after.next_number == 7


def test_merge_over_photos_keeps_both_observations() -> None:
    after = apply_reviews(house(), [decision("merge", 1, **{"with": [3]})], CONTEXT)
    assert [seen.photo for seen in after.findings[-1].observations] == ["hall/a.jpg", "hall/b.jpg"]
    assert after.findings[-1].observations[0] == house().findings[0].observations[0]


def test_split_into_parts_makes_new_numbers() -> None:
    after = apply_reviews(house(), [decision("split", 2)], CONTEXT)
    assert states(after)[2] == ("split", (6, 7))
    assert [len(f.observations[0].polygon) for f in after.findings[5:]] == [1, 1]
    assert [f.observations[0].model for f in after.findings[5:]] == ["compact", "compact"]
    assert after.next_number == 8
    assert after.reviews[0].detail["made"] == [6, 7]


def test_split_at_a_point() -> None:
    after = apply_reviews(house(), [decision("split", 1, points=[[35.0, 25.0]])], CONTEXT)
    assert states(after)[1] == ("split", (6, 7))
    lefts = [min(x for ring in f.observations[0].polygon for x, _ in ring) for f in after.findings[5:]]
    assert lefts[0] < 11
    assert lefts[1] > 20


def test_add_measures_the_outline() -> None:
    points = [[1.0, 2.0], [30.0, 2.0], [30.0, 9.0]]
    after = apply_reviews(house(), [decision("add", photo="loft/c.jpg", points=points)], CONTEXT)
    added = after.findings[-1]
    assert (added.number, added.place, added.concept) == (6, "loft", "crack")
    assert added.observations[0].polygon == (((1.0, 2.0), (30.0, 2.0), (30.0, 9.0)),)
    assert added.observations[0].model == ""
    review = after.reviews[0]
    assert (review.finding, review.detail["made"], review.detail["photo"]) == (0, [6], "loft/c.jpg")


FAULTS: list[tuple[FiledReview, str]] = [
    (decision("delete", 9, row=7), r"reviews\.csv, row 7: there is no finding 9; the highest number is 5"),
    (decision("merge", 1, **{"with": [9]}), "there is no finding 9"),
    (decision("merge", 1, **{"with": [1]}), "finding 1 is named twice"),
    (decision("merge", 1, **{"with": [2, 2]}), "finding 2 is named twice"),
    (decision("merge", 1, **{"with": [4]}), r"\(crack at loft\) .* \(crack at hall\) cannot be merged"),
    (decision("merge", 1, **{"with": [5]}), r"\(taping area at hall\) .* cannot be merged"),
    (decision("split", 1), "finding 1 is connected, so it needs points"),
    (decision("split", 1, points=[[400.0, 25.0]]), "finding 1 is 341 px away from the point 400,25"),
    (decision("confirm", 1, rule="width"), "there is no rule 'width'; the rules are crack-width"),
    (decision("confirm", 1, concept="taping area"), "finding 1 is a crack, not a taping area"),
    (decision("confirm", 1, photo="hall/b.jpg"), r"finding 1 was not found on the photo hall/b\.jpg"),
    (decision("add", photo="x.jpg", points=[[0, 0]] * 3), r"the newest visit has no inspected photo x\.jpg"),
    (decision("add", photo="hall/a.jpg", concept="crak", points=[[0, 0]] * 3), "'crak' is unknown; did"),
    (decision("add", photo="hall/a.jpg", points=[[0, 0], [4000, 0], [5, 5]]), "4000,0 lies outside"),
]  # fmt: skip


@pytest.mark.parametrize(("review", "message"), FAULTS)
def test_reviews_that_do_not_fit_name_the_row(review: FiledReview, message: str) -> None:
    with pytest.raises(ReviewError, match=message):
        apply_reviews(house(), [review], CONTEXT)


def test_an_outline_that_cannot_be_measured_names_the_row() -> None:
    def fail(photo: str, concept: str, rings: Any) -> Observation:
        raise DataError(f"an outline on {photo} contains no pixel")

    review = decision("add", row=5, photo="hall/a.jpg", points=[[0, 0], [1, 1], [2, 2]])
    with pytest.raises(ReviewError, match=r"row 5: an outline on hall/a\.jpg contains no pixel"):
        apply_reviews(house(), [review], replace(CONTEXT, measure=fail))


def test_findings_that_are_gone_cannot_change() -> None:
    merged = apply_reviews(house(), [decision("merge", 1, **{"with": [2]}), decision("delete", 3)], CONTEXT)
    with pytest.raises(ReviewError, match="finding 2 cannot change: it was merged into 6"):
        apply_reviews(merged, [decision("delete", 2)], CONTEXT)
    with pytest.raises(ReviewError, match="finding 2 cannot change: it was merged into 6"):
        apply_reviews(merged, [decision("confirm", 2)], CONTEXT)
    with pytest.raises(ReviewError, match="finding 3 cannot change: it was deleted"):
        apply_reviews(merged, [decision("merge", 6, **{"with": [3]})], CONTEXT)


def test_a_finding_on_several_photos_needs_one_photo_for_a_split() -> None:
    merged = apply_reviews(house(), [decision("merge", 2, **{"with": [3]})], CONTEXT)
    with pytest.raises(ReviewError, match="finding 6 is on several photos; name one"):
        apply_reviews(merged, [decision("split", 6)], CONTEXT)
    after = apply_reviews(merged, [decision("split", 6, photo="hall/a.jpg")], CONTEXT)
    assert states(after)[6] == ("split", (7, 8))
    later = replace(merged.visits[0], number=2)
    with pytest.raises(ReviewError, match="finding 6 is not on a photo of the newest visit"):
        apply_reviews(replace(merged, visits=(*merged.visits, later)), [decision("split", 6)], CONTEXT)


def test_older_visits_are_not_measured_again() -> None:
    old, new = observation_of(probability=0.5), observation_of(visit=2)
    ledger = ledger_of(finding_of(1, old, new), finding_of(2, replace(old, probability=0.4)), photos=PHOTOS)
    ledger = replace(ledger, visits=(*ledger.visits, replace(ledger.visits[0], number=2)))
    after = apply_reviews(ledger, [decision("merge", 1, **{"with": [2]})], CONTEXT)
    assert [seen.probability for seen in after.findings[-1].observations] == [0.5, 0.4, 0.9]


def test_the_same_decisions_change_nothing_the_second_time(tmp_path: Path) -> None:
    reviews = [
        decision("confirm", 1),
        decision("delete", 1),
        decision("confirm", 1),  # the same decision again, after another one
        decision("merge", 1, **{"with": [3]}),
        decision("split", 2),
        decision("add", photo="loft/c.jpg", points=[[1.0, 2.0], [30.0, 2.0], [30.0, 9.0]]),
        decision("reject", 4, time="2026-12-01T09:00:00+00:00"),
    ]
    once = apply_reviews(house(), reviews, CONTEXT)
    write_ledger(once, tmp_path / "inspection.json")
    reread = read_ledger(tmp_path / "inspection.json")
    assert reread == once
    never = replace(CONTEXT, measure=lambda *_: pytest.fail("measured"), time="2027-01-01T00:00:00+00:00")
    assert apply_reviews(reread, reviews, never) == once
    more = apply_reviews(reread, [*reviews, decision("comment", 1, text="new")], CONTEXT)
    assert len(more.reviews) == len(once.reviews) + 1
    assert more.findings == once.findings


def inspected_again(ledger: Ledger, photos: tuple[PhotoRecord, ...] = PHOTOS) -> Ledger:
    """The ledger after the model has seen the findings of `house` again on all photos."""
    seen = [
        PlacedObservation(f.place, f.concept, f.observations[0])
        for f in house().findings
        if f.observations[0].photo in {photo.path for photo in photos if not photo.refused}
    ]
    searched = {(photo.path, finding.concept) for photo in photos for finding in house().findings}
    return record_visit(ledger, replace(ledger.visits[0], photos=photos), ledger.places, searched, seen)


ALL_ACTIONS = [
    decision("reject", 3),
    decision("split", 1, points=[[35.0, 25.0]]),
    decision("merge", 6, **{"with": [2]}),
    decision("delete", 7),
    decision("add", photo="loft/c.jpg", points=[[1.0, 2.0], [30.0, 2.0], [30.0, 9.0]]),
    decision("reject", 4),
    decision("confirm", 4),
]


def test_a_new_inspection_of_the_same_photos_restores_reviews_and_numbers() -> None:
    once = apply_reviews(house(), ALL_ACTIONS, CONTEXT)
    again = inspected_again(once)
    assert states(again) != states(once)
    problems: list[str] = []
    restored = apply_reviews(again, ALL_ACTIONS, replace(CONTEXT, on_problem=problems.append))
    assert not problems
    assert states(restored) == states(once)
    assert restored == once


def test_restoring_reuses_no_number_of_a_new_finding() -> None:
    once = apply_reviews(house(), ALL_ACTIONS, CONTEXT)
    again = inspected_again(once)
    number = again.next_number
    new = finding_of(number, observation_of(photo="hall/b.jpg", box=(500, 500, 600, 600)))
    grown = replace(again, findings=(*again.findings, new), next_number=number + 1)
    restored = apply_reviews(grown, [], CONTEXT)
    assert restored.next_number == number + 1
    assert restored.findings[-1] == new


def test_what_no_longer_fits_a_changed_photo_is_reported_and_not_restored() -> None:
    once = apply_reviews(house(), ALL_ACTIONS, CONTEXT)
    changed = tuple(replace(photo, digest="f" * 64) for photo in PHOTOS)
    problems: list[str] = []
    restored = apply_reviews(inspected_again(once, changed), [], replace(CONTEXT, on_problem=problems.append))
    assert problems == [
        "review 2 (split by Ann) no longer fits: the photo hall/a.jpg has changed since the review",
        "review 5 (add by Ann) no longer fits: the photo loft/c.jpg has changed since the review",
    ]
    assert states(restored)[1] == ("open", ())
    assert states(restored)[3] == ("deleted", ())
    added = next(f for f in restored.findings if f.number == once.findings[-1].number)
    assert added.observations == ()


NUMBERS = st.integers(1, 9)
TRIANGLE = [[1.0, 1.0], [5.0, 1.0], [5.0, 5.0]]
MERGES = st.lists(NUMBERS, min_size=1, max_size=3)
SIMPLE = st.builds(decision, st.sampled_from(["confirm", "reject", "delete", "split"]), NUMBERS)
DECISIONS = st.lists(
    SIMPLE
    | st.builds(lambda finding, others: decision("merge", finding, **{"with": others}), NUMBERS, MERGES)
    | st.just(decision("add", photo="loft/c.jpg", points=TRIANGLE)),
    max_size=8,
)


@given(DECISIONS)
def test_numbers_are_unique_and_successors_exist(reviews: list[FiledReview]) -> None:
    ledger = house()
    for review in reviews:
        try:
            changed = apply_reviews(ledger, [*_filed_again(ledger), review], CONTEXT)
        except ReviewError:
            continue
        old = {finding.number for finding in ledger.findings}
        new = [finding.number for finding in changed.findings]
        assert new == sorted(set(new))
        assert old <= set(new)
        assert all(number >= ledger.next_number for number in set(new) - old)
        assert changed.next_number == max(new) + 1
        for finding in changed.findings:
            assert set(finding.into) <= set(new)
            assert bool(finding.into) == (finding.state in ("merged", "split"))
        ledger = changed


def _filed_again(ledger: Ledger) -> list[FiledReview]:
    """The decisions that a ledger contains, as a file would contain them again."""
    again = []
    for review in ledger.reviews:
        detail = {key: value for key, value in review.detail.items() if key not in APPLIED}
        photo, concept = detail.pop("photo", ""), detail.pop("concept", "")
        again.append(decision(review.action, review.finding, photo=photo, concept=concept, **detail))
    return again
