"""Judge the measures of a finding, or a photo without a finding, by a rule set."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

from drywallqa.inspection.ledger import Observation, Outcome, PhotoRecord, Verdict
from drywallqa.inspection.measures import Measure
from drywallqa.inspection.rules import QUANTITIES, Rule, RuleSet

# Limits narrower than this are close to the blur of lens and sensor. An undecided width is then the photo's
# fault: a closer photo can decide. Threshold and half-depth widths err by about 0.7-1 px below this width.
LEAST_LIMIT_PX = 3.0
_ADD_SCALE = "add a scale, for example with a printed marker (drywallqa marker) or --mm-per-pixel"


def judge_observation(
    observation: Observation,
    concept: str,
    photo: PhotoRecord,
    rule_set: RuleSet,
    conditions: Collection[str] = (),
) -> tuple[Verdict, ...]:
    """Judge one observation by each rule about its concept.

    A rule passes if the whole 95 % interval is within the limit, and fails if the whole interval is over it.
    An undecided rule is "not assessable" if the photo is too coarse for the limit, otherwise "monitor".

    Args:
        observation: The measures of a finding on the photo.
        concept: Concept of the finding.
        photo: The photo of the observation.
        rule_set: The rules.
        conditions: Ids of the rules whose condition a person has confirmed for this finding.
    """
    return tuple(
        _judge_rule(observation, photo, rule, rule.id in conditions)
        for rule in rule_set.rules
        if rule.concept == concept
    )


def judge_photo(photo: PhotoRecord, rule_set: RuleSet, concept: str = "crack") -> tuple[Verdict, ...]:
    """Judge a photo in which a concept was not found, by each measurable rule about the concept.

    A rule passes if a finding at its limit would have been seen. The reason states the narrowest crack that
    would have been seen.
    """
    return tuple(
        _judge_absence(photo, rule)
        for rule in rule_set.rules
        if rule.concept == concept and rule.quantity is not None
    )


def _judge_rule(observation: Observation, photo: PhotoRecord, rule: Rule, confirmed: bool) -> Verdict:
    if rule.quantity is None:
        return Verdict(rule.id, "not assessable", rule.not_assessable, rule.advice, decidable=False)
    sizes = observation.mm if rule.unit == "mm" else observation.px
    if observation.px is None or not observation.line_visible:
        reason = "The photo shows no line inside the outline, so nothing was measured."
        return Verdict(rule.id, "not assessable", reason, "take a closer and sharper photo")
    unit = "px" if sizes is None else rule.unit
    measure: Measure = getattr(sizes or observation.px, rule.quantity)
    found = f"The {QUANTITIES[rule.quantity]} is {describe_measure(measure, unit)}"
    if sizes is None:
        return _without_scale(rule, found)
    if photo.quality:
        return _poor_quality(rule, photo, f"{found}, but the photo has a fault: ")
    verdict = _judge_measure(measure, photo, rule, found)
    if verdict.outcome == "pass" and rule.condition and not confirmed:
        reason = (
            f"{verdict.reason} This is acceptable only if {rule.condition}, which the photo does not show."
        )
        advice = f"check whether {rule.condition}, and confirm it in a review"
        verdict = replace(verdict, outcome="monitor", reason=reason, advice=advice)
    notes = " ".join(filter(None, (verdict.reason, rule.note)))
    return replace(verdict, reason=notes)


def _judge_measure(measure: Measure, photo: PhotoRecord, rule: Rule, found: str) -> Verdict:
    low, high = (_grade_of(rule, value) for value in (measure.low, measure.high))
    grades = rule.grades[low : high + 1]
    decided = grades[0].outcome == grades[-1].outcome
    if rule.is_graded:
        names = [grade.name for grade in (grades[0], grades[-1])]
        severity = names[0] if low == high else f"{names[0]} to {names[1]}"
        end = rule.grades[-1].up_to
        if end is not None and measure.high > end:
            severity = f"{severity}, or beyond the scale, which ends at {format_size(end, rule.unit)}"
        reason = " ".join([f"{found}: {severity}.", *(g.note for g in grades if g.note)])
    else:
        severity, limit = "", format_size(rule.acceptable, rule.unit)
        reason = f"{found}, {_compare(grades[0].outcome, decided)} the limit of {limit}."
    if decided:
        return Verdict(rule.id, grades[0].outcome, reason, severity=severity)
    limit_between = next(
        grade.over
        for grade, before in zip(grades[1:], grades, strict=False)
        if grade.outcome != before.outcome
    )
    if advice := _advice_if_too_coarse(limit_between, photo, rule):
        return Verdict(rule.id, "not assessable", reason, advice, severity)
    return Verdict(rule.id, "monitor", reason, "measure on site, or monitor", severity)


def _compare(outcome: Outcome, decided: bool) -> str:
    if not decided:
        return "and this interval contains"
    return "which is within" if outcome == "pass" else "which is over"


def _grade_of(rule: Rule, value: float) -> int:
    """Return the index of the class that contains a value; the last class if the value is beyond it."""
    ends = [grade.up_to if grade.up_to is not None else math.inf for grade in rule.grades]
    return next((i for i, end in enumerate(ends) if value <= end), len(ends) - 1)


def _judge_absence(photo: PhotoRecord, rule: Rule) -> Verdict:
    what = f"No {rule.concept} was found"
    if photo.refused:
        reason = f"The photo was not inspected: {photo.refused}."
        return Verdict(rule.id, "not assessable", reason, "take the photo again")
    if photo.quality:
        return _poor_quality(rule, photo, f"{what}, but the photo has a fault: ")
    if rule.unit == "mm" and photo.scale is None:
        return _without_scale(rule, _describe_limit(what, rule.concept, photo.detection_limit_px, "px"))
    narrowest = photo.detection_limit_px if rule.unit == "px" else photo.detection_limit_mm
    reason = _describe_limit(what, rule.concept, narrowest, rule.unit)
    if narrowest is None:
        return Verdict(rule.id, "not assessable", f"{reason}.")
    limit = format_size(rule.acceptable, rule.unit)
    if rule.quantity == "length" or narrowest <= rule.acceptable:
        return Verdict(rule.id, "pass", f"{reason}; the limit is {limit}.")
    reason = f"{reason}, which does not suffice for the limit of {limit}."
    return Verdict(rule.id, "not assessable", reason, _advice_if_too_coarse(rule.acceptable, photo, rule))


def _describe_limit(what: str, concept: str, narrowest: float | None, unit: str) -> str:
    if narrowest is None:
        return f"{what}. The narrowest {concept} that would have been seen is unknown"
    size = format_size(narrowest, unit)
    return f"{what}. A {concept} would have been found in 90 % of cases from a width of {size}"


def _without_scale(rule: Rule, found: str) -> Verdict:
    reason = f"{found}. The photo has no scale, so this cannot be compared with a limit in millimetres."
    return Verdict(rule.id, "not assessable", reason, _ADD_SCALE)


def _poor_quality(rule: Rule, photo: PhotoRecord, found: str) -> Verdict:
    fault, _, remedy = photo.quality[0].rpartition("; ")
    return Verdict(rule.id, "not assessable", f"{found}{fault or remedy}.", remedy if fault else "")


def _advice_if_too_coarse(limit: float, photo: PhotoRecord, rule: Rule) -> str:
    """Advise how close to step if the photo shows a limit too small; "" if the photo is fine enough."""
    if rule.quantity == "length" or limit == 0:
        return ""
    needed_px = max(photo.detection_limit_px or 0.0, LEAST_LIMIT_PX)
    if rule.unit == "px":
        return f"use a limit of at least {needed_px:g} px" if limit < needed_px else ""
    assert photo.scale is not None, "sizes in mm need a scale"
    needed_scale = limit / (needed_px * (1 + 1.96 * photo.scale.relative_sigma))
    if photo.scale.mm_per_pixel <= needed_scale:
        return ""
    side = max(photo.width, photo.height)
    target, now = (side * scale / 1000 for scale in (needed_scale, photo.scale.mm_per_pixel))
    share = _round_down(needed_scale / photo.scale.mm_per_pixel)
    return (
        f"step closer, so that the longer side of the photo shows at most {_round_down(target):g} m of the "
        f"wall instead of {now:.2g} m ({share:g} times the present distance)"
    )


def _round_down(value: float) -> float:
    """Round down to two significant digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / step + 1e-9) * step:.3g}")


def describe_measure(measure: Measure, unit: str) -> str:
    """Describe a measure with its interval, such as "1.2 mm (1 to 1.4 mm)" or "at most 0.8 mm"."""
    if measure.value is None:
        return f"at most {format_size(measure.high, unit)}"
    low = format_size(measure.low, unit).removesuffix(f" {unit}")
    return f"{format_size(measure.value, unit)} ({low} to {format_size(measure.high, unit)})"


def format_size(value: float, unit: str) -> str:
    """Format a size with two decimals at most, and with two significant digits below 0.1."""
    number = f"{value:.2f}".rstrip("0").rstrip(".") if value >= 0.1 or value == 0 else f"{value:.2g}"
    return f"{number} {unit}"
