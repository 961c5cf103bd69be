"""Apply the decisions of people to the findings of a ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from drywallqa.inspection.finding_pieces import Rings, cut_observation
from drywallqa.inspection.ledger import Finding, Ledger, Observation, PhotoRecord, Review
from drywallqa.inspection.review_files import FiledReview

Measurer = Callable[[str, str, Rings], Observation]
"""Measures the pixels inside rings: path of a photo of the newest visit, concept, rings → observation."""


@dataclass(frozen=True)
class ReviewContext:
    """What reviews need beside the ledger.

    Attributes:
        measure: Measures new outlines on photos of the newest visit.
        rules: Ids of the rules, whose conditions a person can confirm.
        time: Time for reviews without a time: ISO with the offset from UTC.
    """

    measure: Measurer
    rules: Collection[str]
    time: str


def apply_reviews(ledger: Ledger, reviews: Sequence[FiledReview], context: ReviewContext) -> Ledger:
    """Return the ledger with reviews applied in order. Reviews that it already contains change nothing.

    New findings get new numbers. Verdicts of measured findings are empty until `judge_ledger` runs.

    Raises:
        ReviewError: A review does not fit the ledger. The message names the file and the row.
    """
    editor = _Editor(ledger, context)
    contained = Counter(_keys_of(review) for review in ledger.reviews)
    contained.update(_key_without_time(review) for review in ledger.reviews)
    seen: Counter[str] = Counter()
    for filed in reviews:
        key = _keys_of(as_review(filed, "")) if filed.time else _key_without_time(as_review(filed, ""))
        seen[key] += 1
        if seen[key] > contained[key]:
            editor.apply(filed)
    return editor.ledger()


def as_review(filed: FiledReview, time: str) -> Review:
    """Return a decision as the ledger stores it, with a time for decisions without one."""
    detail = dict(filed.detail)
    if filed.action in ("add", "split") and filed.photo:
        detail["photo"] = filed.photo
    if filed.action == "add":
        detail["concept"] = filed.concept or "crack"
    return Review(filed.finding, filed.action, filed.reviewer, filed.time or time, detail)


def _keys_of(review: Review) -> str:
    return f"{review.time} {_key_without_time(review)}"


def _key_without_time(review: Review) -> str:
    detail = sorted((key, repr(value)) for key, value in review.detail.items() if key != "made")
    return f"{review.finding} {review.action} {review.reviewer} {detail}"


class _Editor:
    """A ledger while reviews change it."""

    def __init__(self, ledger: Ledger, context: ReviewContext) -> None:
        self._ledger = ledger
        self._context = context
        self._findings = {finding.number: finding for finding in ledger.findings}
        self._next = ledger.next_number
        self._reviews = list(ledger.reviews)
        self._visit = ledger.visits[-1]

    def ledger(self) -> Ledger:
        findings = tuple(self._findings[number] for number in sorted(self._findings))
        return replace(self._ledger, next_number=self._next, findings=findings, reviews=tuple(self._reviews))

    def apply(self, filed: FiledReview) -> None:
        review = as_review(filed, self._context.time)
        if filed.action == "add":
            made = self._add(filed)
        else:
            finding = self._find(filed, filed.finding)
            self._check_row(filed, finding)
            made = self._change(filed, finding)
        if made:
            review = replace(review, detail=review.detail | {"made": made})
        self._reviews.append(review)

    def _change(self, filed: FiledReview, finding: Finding) -> list[int]:
        """Apply a review to a finding, and return the numbers of new findings."""
        if filed.action == "comment":
            return []
        if filed.action == "confirm" and finding.state in ("open", "deleted"):
            self._put(finding, state="open")
            return []
        self._check_open(filed, finding)
        if filed.action == "split":
            return self._split(filed, finding)
        if filed.action == "merge":
            self._merge(filed, finding)
        else:
            self._put(finding, state="deleted")
        return []

    def _put(self, finding: Finding, **changes: object) -> None:
        self._findings[finding.number] = replace(finding, **changes)  # type: ignore[arg-type]

    def _find(self, filed: FiledReview, number: int) -> Finding:
        if number not in self._findings:
            known = f"the highest number is {self._next - 1}" if self._findings else "there are no findings"
            raise filed.error(f"there is no finding {number}; {known}")
        return self._findings[number]

    def _check_row(self, filed: FiledReview, finding: Finding) -> None:
        """Check cells that the template fills in: they show whether a spreadsheet mixed up the rows."""
        if filed.concept and filed.concept != finding.concept:
            raise filed.error(f"finding {finding.number} is a {finding.concept}, not a {filed.concept}")
        if filed.photo and filed.photo not in {seen.photo for seen in finding.observations}:
            raise filed.error(f"finding {finding.number} was not found on the photo {filed.photo}")
        rule = filed.detail.get("rule")
        if rule is not None and rule not in self._context.rules:
            raise filed.error(f"there is no rule '{rule}'; the rules are {', '.join(self._context.rules)}")

    def _check_open(self, filed: FiledReview, finding: Finding) -> None:
        if finding.state != "open":
            into = f" into {', '.join(map(str, finding.into))}" if finding.into else ""
            raise filed.error(f"finding {finding.number} cannot change: it was {finding.state}{into}")

    def _photo(self, filed: FiledReview) -> PhotoRecord:
        for photo in self._visit.photos:
            if photo.path == filed.photo and not photo.refused:
                return photo
        raise filed.error(f"the newest visit has no inspected photo {filed.photo}")

    def _new(self, place: str, concept: str, observation: Observation) -> int:
        number, self._next = self._next, self._next + 1
        self._findings[number] = Finding(number, place, concept, (observation,))
        return number

    def _add(self, filed: FiledReview) -> list[int]:
        photo, concept = self._photo(filed), filed.concept or "crack"
        points = tuple((x, y) for x, y in filed.detail["points"])
        for x, y in points:
            if not (-0.5 <= x <= photo.width - 0.5 and -0.5 <= y <= photo.height - 0.5):
                size = f"{photo.width}×{photo.height} px"
                raise filed.error(f"the point {x:g},{y:g} lies outside the photo of {size}")
        observation = replace(self._context.measure(photo.path, concept, (points,)), model="")
        return [self._new(photo.place, concept, observation)]

    def _split(self, filed: FiledReview, finding: Finding) -> list[int]:
        candidates = [
            seen for seen in finding.observations
            if seen.visit == self._visit.number and filed.photo in ("", seen.photo)
        ]  # fmt: skip
        if len(candidates) != 1:
            problem = "is on several photos; name one" if candidates else "is not on a photo"
            raise filed.error(f"finding {finding.number} {problem} of the newest visit")
        (cut,) = candidates
        try:
            pieces = cut_observation(cut, filed.detail.get("points", ()))
        except ValueError as error:
            raise filed.error(f"finding {finding.number} {error}") from error
        made = [
            self._new(finding.place, finding.concept, self._measure_again(cut, finding.concept, rings))
            for rings in pieces
        ]
        self._put(finding, state="split", into=tuple(made))
        return made

    def _merge(self, filed: FiledReview, finding: Finding) -> None:
        """Merge other findings into a finding, which keeps its number."""
        others = [self._find(filed, number) for number in filed.detail["with"]]
        numbers = [finding.number, *(other.number for other in others)]
        if len(set(numbers)) < len(numbers):
            raise filed.error(f"finding {Counter(numbers).most_common(1)[0][0]} is named twice")
        for other in others:
            self._check_open(filed, other)
            if (other.place, other.concept) != (finding.place, finding.concept):
                raise filed.error(
                    f"finding {other.number} ({other.concept} at {other.place}) and finding {finding.number} "
                    f"({finding.concept} at {finding.place}) cannot be merged"
                )
        seen = [each for member in (finding, *others) for each in member.observations]
        for other in others:
            self._put(other, state="merged", into=(finding.number,))
        self._put(finding, observations=self._unite(seen, finding.concept))

    def _unite(self, observations: Sequence[Observation], concept: str) -> tuple[Observation, ...]:
        """Measure observations on the same photo of the newest visit together; keep all others."""
        groups: dict[tuple[int, str], list[Observation]] = {}
        for seen in observations:
            groups.setdefault((seen.visit, seen.photo), []).append(seen)
        united: list[Observation] = []
        for (visit, _), group in sorted(groups.items()):
            if len(group) > 1 and visit == self._visit.number:
                rings = tuple(ring for seen in group for ring in seen.polygon)
                group = [self._measure_again(group[0], concept, rings)]
            united += group
        return tuple(united)

    def _measure_again(self, before: Observation, concept: str, rings: Rings) -> Observation:
        return replace(self._context.measure(before.photo, concept, rings), model=before.model)
