"""Apply the decisions of people to the findings of a ledger.

A review that merges, splits or adds *makes* findings: they get new numbers, and their observations are
measured anew. The findings that they replace stay in the ledger with the model's observations. If photos of
the newest visit are inspected again, `apply_reviews` restores the made findings under the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from drywallqa.errors import DataError, PhotoError
from drywallqa.inspection.finding_pieces import Rings, cut_observation
from drywallqa.inspection.ledger import Finding, Ledger, Observation, PhotoRecord, Review, State
from drywallqa.inspection.review_files import FiledReview
from drywallqa.inspection.rule_fields import nearest

Measurer = Callable[[str, str, Rings], Observation]
"""Measures the pixels inside rings: path of a photo of the newest visit, concept, rings → observation."""

# Keys of `Review.detail` that state how a review was applied. All other keys are the decision itself.
_MADE, _VISIT, _PHOTO, _DIGEST = _APPLIED = ("made", "visit", "applied_to", "digest")

_CONCEPT = "crack"  # concept of an added finding if none is given


@dataclass(frozen=True)
class ReviewContext:
    """What reviews need beside the ledger.

    Attributes:
        measure: Measures new outlines on photos of the newest visit.
        rules: Ids of the rules, whose conditions a person can confirm.
        concepts: Concepts that a finding can have.
        time: Time for reviews without a time: ISO with the offset from UTC.
        on_problem: Called with a sentence for each stored review that no longer fits its photo.
    """

    measure: Measurer
    rules: Collection[str]
    concepts: Collection[str]
    time: str
    on_problem: Callable[[str], None] = lambda sentence: None


def apply_reviews(ledger: Ledger, reviews: Sequence[FiledReview], context: ReviewContext) -> Ledger:
    """Restore the stored reviews of the newest visit, and apply new reviews in order.

    Reviews that the ledger already contains are not applied again. Made findings have no verdicts until
    `judge_ledger` runs.

    Raises:
        ReviewError: A new review does not fit the ledger. The message names the file and the row.
    """
    editor = _Editor(ledger, context)
    for number, review in enumerate(ledger.reviews):
        if review.detail.get(_VISIT) == ledger.visits[-1].number:
            editor.restore(number, review)
    contained = Counter(key for review in ledger.reviews for key in _keys_of(review))
    seen: Counter[str] = Counter()
    for filed in reviews:
        with_time, without_time = _keys_of(_as_review(filed, filed.time))
        key = with_time if filed.time else without_time
        seen[key] += 1
        if seen[key] > contained[key]:
            editor.add(filed)
    return editor.ledger()


def _as_review(filed: FiledReview, time: str) -> Review:
    """Return a decision as the ledger stores it."""
    detail = dict(filed.detail)
    if filed.action in ("add", "split"):
        detail |= {"photo": filed.photo} if filed.photo else {}
    if filed.action == "add":
        detail["concept"] = filed.concept or _CONCEPT
    return Review(filed.finding, filed.action, filed.reviewer, time, detail)


def _keys_of(review: Review) -> tuple[str, str]:
    """Return a key that identifies the decision with its time, and one without its time."""
    detail = sorted((name, repr(value)) for name, value in review.detail.items() if name not in _APPLIED)
    key = f"{review.finding} {review.action} {review.reviewer} {detail}"
    return f"{review.time} {key}", key


class _Editor:
    """A ledger while reviews change it."""

    def __init__(self, ledger: Ledger, context: ReviewContext) -> None:
        self._ledger = ledger
        self._context = context
        self._findings = {finding.number: finding for finding in ledger.findings}
        self._next = ledger.next_number
        self._reviews = list(ledger.reviews)
        self._visit = ledger.visits[-1]
        self._photos = {photo.path: photo for photo in self._visit.photos if not photo.refused}

    def ledger(self) -> Ledger:
        findings = tuple(self._findings[number] for number in sorted(self._findings))
        return replace(self._ledger, next_number=self._next, findings=findings, reviews=tuple(self._reviews))

    def add(self, filed: FiledReview) -> None:
        """Check a new review, apply it and store it."""
        review = _as_review(filed, filed.time or self._context.time)
        self._check(filed)
        try:
            applied = self._apply(review)
        except ValueError as error:
            raise filed.error(str(error)) from error
        self._reviews.append(replace(review, detail=review.detail | {_VISIT: self._visit.number} | applied))

    def _check(self, filed: FiledReview) -> None:
        """Check that a new review fits the findings.

        Raises:
            ReviewError: It does not fit.
        """
        if filed.action == "add":
            _check_points(filed, self._photos.get(filed.photo))
            _check_concept(filed, self._context.concepts)
            return
        finding = self._find(filed, filed.finding)
        # The template fills in these cells. They show whether a spreadsheet sorted only some columns.
        if filed.concept and filed.concept != finding.concept:
            raise filed.error(f"finding {finding.number} is a {finding.concept}, not a {filed.concept}")
        if filed.photo and filed.photo not in {seen.photo for seen in finding.observations}:
            raise filed.error(f"finding {finding.number} was not found on the photo {filed.photo}")
        rule = filed.detail.get("rule")
        if rule is not None and rule not in self._context.rules:
            raise filed.error(f"there is no rule '{rule}'; the rules are {', '.join(self._context.rules)}")
        others = [self._find(filed, number) for number in filed.detail.get("with", ())]
        counts = Counter([finding.number, *(other.number for other in others)])
        if counts.most_common(1)[0][1] > 1:
            raise filed.error(f"finding {counts.most_common(1)[0][0]} is named twice")
        for one in (finding, *others) if filed.action != "comment" else ():
            if one.state != "open" and not (filed.action == "confirm" and one.state == "deleted"):
                into = f" into {', '.join(map(str, one.into))}" if one.into else ""
                raise filed.error(f"finding {one.number} cannot change: it was {one.state}{into}")
            if (one.place, one.concept) != (finding.place, finding.concept):
                raise filed.error(
                    f"finding {one.number} ({one.concept} at {one.place}) and finding {finding.number} "
                    f"({finding.concept} at {finding.place}) cannot be merged"
                )

    def _find(self, filed: FiledReview, number: int) -> Finding:
        if number not in self._findings:
            known = f"the highest number is {self._next - 1}" if self._findings else "there are no findings"
            raise filed.error(f"there is no finding {number}; {known}")
        return self._findings[number]

    def restore(self, number: int, review: Review) -> None:
        """Restore the effect of a stored review after photos were inspected again."""
        try:
            applied = self._apply(review)
        except ValueError as error:
            if review.action == "split" and self._newest(review.finding):
                self._set(review.finding, "open")  # its pieces are gone
            who = f"review {number + 1} ({review.action} by {review.reviewer})"
            self._context.on_problem(f"{who} no longer fits: {error}")
        else:
            self._reviews[number] = replace(review, detail=review.detail | applied)

    def _apply(self, review: Review) -> dict[str, Any]:
        """Give a review its effect, as far as it lacks it, and return how it was applied.

        Raises:
            ValueError: The review does not fit. The message is a sentence without the place of the review.
        """
        if review.action == "add":
            return self._make_added(review)
        if review.action == "merge":
            return self._make_merged(review)
        if review.action == "split":
            return self._make_pieces(review)
        if review.action in ("reject", "delete"):
            self._set(review.finding, "deleted")
        elif review.action == "confirm" and self._findings[review.finding].observations:
            self._set(review.finding, "open")
        return {}

    def _set(self, number: int, state: State, into: tuple[int, ...] = ()) -> None:
        self._findings[number] = replace(self._findings[number], state=state, into=into)

    def _newest(self, number: int) -> list[Observation]:
        """Return a finding's observations of the newest visit; [] if the finding does not exist."""
        finding = self._findings.get(number)
        return [seen for seen in finding.observations if seen.visit == self._visit.number] if finding else []

    def _make(self, numbers: Iterator[int], like: Finding, observations: Sequence[Observation]) -> int:
        """Create an open finding, or open it again, with the next of the given numbers or a new number."""
        number = next(numbers, self._next)
        self._next = max(self._next, number + 1)
        self._findings[number] = Finding(number, like.place, like.concept, tuple(observations))
        return number

    def _make_added(self, review: Review) -> dict[str, Any]:
        photo, concept = self._photo(review.detail["photo"], review), review.detail["concept"]
        (number,) = numbers = review.detail.get(_MADE, [self._next])
        ring = tuple((float(x), float(y)) for x, y in review.detail["points"])
        seen = self._newest(number) or [replace(self._measure(photo.path, concept, (ring,)), model="")]
        self._make(iter(numbers), Finding(number, photo.place, concept), seen)
        return {_MADE: numbers, _DIGEST: photo.digest}

    def _make_pieces(self, review: Review) -> dict[str, Any]:
        finding, made = self._findings[review.finding], review.detail.get(_MADE, [])
        wanted = review.detail.get(_PHOTO) or review.detail.get("photo")
        candidates = [seen for seen in self._newest(finding.number) if wanted in (None, seen.photo)]
        if len(candidates) != 1:
            problem = "is on several photos; name one" if candidates else "is not on a photo"
            raise ValueError(f"finding {finding.number} {problem} of the newest visit")
        (cut,) = candidates
        photo = self._photo(cut.photo, review)
        pieces = [self._newest(number) for number in made]
        if not pieces or not all(pieces):
            try:
                parts = cut_observation(cut, review.detail.get("points", ()))
            except ValueError as error:
                raise ValueError(f"finding {finding.number} {error}") from error
            pieces = [
                [replace(self._measure(cut.photo, finding.concept, rings), model=cut.model)]
                for rings in parts
            ]
        numbers = iter(made)
        made = [self._make(numbers, finding, piece) for piece in pieces]
        self._set(finding.number, "split", tuple(made))
        return {_MADE: made, _PHOTO: cut.photo, _DIGEST: photo.digest}

    def _make_merged(self, review: Review) -> dict[str, Any]:
        members = [self._findings[number] for number in (review.finding, *review.detail["with"])]
        made = review.detail.get(_MADE, [])
        observations = [seen for number in made for seen in self._findings[number].observations]
        known = {(seen.visit, seen.photo) for seen in observations}
        groups: dict[tuple[int, str], list[Observation]] = {}
        for seen in (seen for member in members for seen in member.observations):
            groups.setdefault((seen.visit, seen.photo), []).append(seen)
        for (visit, photo), group in groups.items():
            if (visit, photo) in known:
                continue
            if len(group) > 1 and visit == self._visit.number:
                rings = tuple(ring for seen in group for ring in seen.polygon)
                group = [replace(self._measure(photo, members[0].concept, rings), model=group[0].model)]
            observations += group
        if made and not any(seen.visit == self._visit.number for seen in observations):
            raise ValueError(f"the findings that were merged into {made[0]} were not found again")
        observations.sort(key=lambda seen: (seen.visit, seen.photo))
        number = self._make(iter(made), members[0], observations)
        for member in members:
            self._set(member.number, "merged", (number,))
        return {_MADE: [number]}

    def _measure(self, photo: str, concept: str, rings: Rings) -> Observation:
        try:
            return self._context.measure(photo, concept, rings)
        except (DataError, PhotoError) as error:
            raise ValueError(str(error)) from error

    def _photo(self, path: str, review: Review) -> PhotoRecord:
        """Return an inspected photo of the newest visit, unless it changed since the review."""
        photo = self._photos.get(path)
        if photo is None:
            raise ValueError(f"the newest visit has no inspected photo {path}")
        if review.detail.get(_DIGEST, photo.digest) != photo.digest:
            raise ValueError(f"the photo {path} has changed since the review")
        return photo


def _check_points(filed: FiledReview, photo: PhotoRecord | None) -> None:
    """Check that the points of a new outline lie inside their photo.

    Raises:
        ReviewError: The photo is missing, or a point lies outside.
    """
    if photo is None:
        raise filed.error(f"the newest visit has no inspected photo {filed.photo}")
    for x, y in filed.detail["points"]:
        if not (-0.5 <= x <= photo.width - 0.5 and -0.5 <= y <= photo.height - 0.5):
            size = f"{photo.width}×{photo.height} px"
            raise filed.error(f"the point {x:g},{y:g} lies outside the photo of {size}")


def _check_concept(filed: FiledReview, known: Collection[str]) -> None:
    """Check that the concept of a new outline is known, because no rule is about a misspelt one.

    Raises:
        ReviewError: It is unknown.
    """
    concept = filed.concept or _CONCEPT
    if concept not in known:
        names = ", ".join(sorted(known))
        raise filed.error(
            f"the concept '{concept}' is unknown{nearest(concept, known)}; the concepts are {names}"
        )
