"""Judge the measures of a finding, or a photo without a finding, by a rule set."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from drywallqa.inspection.ledger import Observation, Outcome, PhotoRecord, Verdict
from drywallqa.inspection.measure_text import System, limit_text, measure_text, range_text
from drywallqa.inspection.measures import NORMAL_95, Measure
from drywallqa.inspection.rules import QUANTITIES, Rule, RuleSet
from drywallqa.inspection.several_findings import WideFindings

# Limits narrower than this are close to the blur of lens and sensor. An undecided width is then the photo's
# fault: a closer photo can decide. Threshold and half-depth widths err by about 0.7-1 px below this width.
LEAST_LIMIT_PX = 3.0
_ADD_SCALE = "add a scale: a printed marker (drywallqa marker) or --mm-per-pixel"
_LOOK = "look for wide cracks on site"
_FEET_PER_METRE = 1 / 0.3048


@dataclass(frozen=True)
class VerdictContext:
    """What a verdict on an observation needs beside its measures.

    Attributes:
        photo: The photo of the observation.
        conditions: Ids of the rules whose condition a person has confirmed for this finding.
        wide: Number of wide findings at the place, by the id of the rule.
        units: Units of the texts.
    """

    photo: PhotoRecord
    conditions: Collection[str] = ()
    wide: Mapping[str, WideFindings] = field(default_factory=dict)
    units: System = "metric"


def judge_observation(
    observation: Observation, concept: str, rule_set: RuleSet, context: VerdictContext
) -> tuple[Verdict, ...]:
    """Judge one observation of a concept by each rule about the concept.

    A rule passes if the whole 95 % interval is within the limit, and fails if the whole interval is over it.
    An undecided rule is "not assessable" if the photo is too coarse for the limit, otherwise "monitor".
    """
    return tuple(
        _judge_rule(observation, rule, context) for rule in rule_set.rules if rule.concept == concept
    )


def judge_photo(
    photo: PhotoRecord, rule_set: RuleSet, concept: str = "crack", units: System = "metric"
) -> tuple[Verdict, ...]:
    """Judge a photo in which a concept was not found, by each measurable rule about the concept.

    A rule passes if a finding at its limit would have been found in 90 % of cases on rendered walls. The
    reason states the widths for which this holds.
    """
    context = VerdictContext(photo, units=units)
    return tuple(
        _judge_absence(rule, context)
        for rule in rule_set.rules
        if rule.concept == concept and rule.quantity is not None
    )


def _judge_rule(observation: Observation, rule: Rule, context: VerdictContext) -> Verdict:
    if rule.quantity is None:
        reason = f"{rule.title}: not assessable from a photo"
        return Verdict(rule.id, "not assessable", reason, rule.advice, decidable=False)
    sizes = observation.mm if rule.unit == "mm" else observation.px
    if observation.px is None or not observation.line_visible:
        reason = "The photo shows no line inside the outline"
        return Verdict(rule.id, "not assessable", reason, "take a closer and sharper photo")
    measure: Measure = getattr(sizes or observation.px, rule.quantity)
    name = QUANTITIES[rule.quantity]
    size = measure_text(measure, "px" if sizes is None else rule.unit, context.units)
    found = f"{name[0].upper()}{name[1:]} {size}"
    if sizes is None:
        return Verdict(rule.id, "not assessable", f"{found}, but the photo has no scale", _ADD_SCALE)
    if context.photo.quality:
        return _poor_quality(rule, context.photo, found)
    verdict = _judge_measure(measure, rule, context, found)
    if verdict.outcome == "pass" and rule.condition and rule.id not in context.conditions:
        advice = "check the condition of the rule, and confirm it in a review"
        return replace(verdict, outcome="monitor", advice=advice)
    return verdict


def _judge_measure(measure: Measure, rule: Rule, context: VerdictContext, found: str) -> Verdict:
    wide, count = context.wide.get(rule.id, WideFindings()), rule.several.count if rule.several else math.inf
    least, most = (rule.lowered if number >= count else rule for number in (wide.least, wide.most))
    low, high = _grade_of(least, measure.low), _grade_of(most, measure.high)
    grades = most.grades[low : high + 1]
    decided = grades[0].outcome == grades[-1].outcome
    if rule.is_graded:
        severity = _name_classes(rule, low, high, measure, context.units)
        reason = f"{found}: {severity}"
        alone = _grade_of(rule, measure.low), _grade_of(rule, measure.high)
        if rule.several and alone != (low, high):
            size = limit_text(rule.several.over, rule.unit, context.units)
            reason = f"{reason}; {wide.text} {rule.concept}s over {size} at this place"
    else:
        severity, limit = "", limit_text(rule.acceptable, rule.unit, context.units)
        reason = f"{found}, {_compare(grades[0].outcome, decided)} {limit}"
    if decided:
        return Verdict(rule.id, grades[0].outcome, reason, severity=severity)
    limit_between = next(
        grade.over
        for grade, before in zip(grades[1:], grades, strict=False)
        if grade.outcome != before.outcome
    )
    if advice := _advice_if_too_coarse(limit_between, rule, context):
        return Verdict(rule.id, "not assessable", reason, advice, severity)
    return Verdict(rule.id, "monitor", reason, "measure on site, or monitor", severity)


def _name_classes(rule: Rule, low: int, high: int, measure: Measure, units: System) -> str:
    names = [rule.grades[index].name for index in (low, high)]
    severity = names[0] if low == high else f"{names[0]} to {names[1]}"
    end = rule.grades[-1].up_to
    if end is not None and measure.high > end:
        return f"{severity}, or beyond the scale, which ends at {limit_text(end, rule.unit, units)}"
    return severity


def _compare(outcome: Outcome, decided: bool) -> str:
    if not decided:
        return "possibly over"
    return "within" if outcome == "pass" else "over"


def _grade_of(rule: Rule, value: float) -> int:
    """Return the index of the class that contains a value; the last class if the value is beyond it."""
    ends = [grade.up_to if grade.up_to is not None else math.inf for grade in rule.grades]
    return next((i for i, end in enumerate(ends) if value <= end), len(ends) - 1)


def _judge_absence(rule: Rule, context: VerdictContext) -> Verdict:
    photo, units = context.photo, context.units
    what = f"No {rule.concept} found"
    if photo.refused:
        reason = f"The photo was not inspected: {photo.refused}"
        return Verdict(rule.id, "not assessable", reason, "take the photo again")
    if photo.quality:
        return _poor_quality(rule, photo, what)
    in_pixels = rule.unit == "px" or photo.scale is None
    narrowest = photo.detection_limit_px if in_pixels else photo.detection_limit_mm
    if narrowest is None:
        reason = f"{what}, but the narrowest {rule.concept} that would have been found is unknown"
        return Verdict(rule.id, "not assessable", reason)
    widest = photo.detection_widest_px if in_pixels else photo.detection_widest_mm
    sizes = range_text(narrowest, widest, "px" if in_pixels else rule.unit, units)
    reason = f"{what}; one that is {sizes} wide would have been found in 90 % of cases on rendered walls"
    if rule.unit == "mm" and photo.scale is None:
        return Verdict(rule.id, "not assessable", f"{reason}, but the photo has no scale", _ADD_SCALE)
    limit = limit_text(rule.acceptable, rule.unit, units)
    if rule.quantity == "length" or narrowest <= rule.acceptable <= (widest or math.inf):
        return Verdict(rule.id, "pass", f"{reason}, and the limit is {limit}")
    reason = f"{reason}, which does not suffice for the limit of {limit}"
    too_wide = widest is not None and rule.acceptable > widest
    advice = _LOOK if too_wide else _advice_if_too_coarse(rule.acceptable, rule, context)
    return Verdict(rule.id, "not assessable", reason, advice)


def _poor_quality(rule: Rule, photo: PhotoRecord, found: str) -> Verdict:
    fault, _, remedy = photo.quality[0].rpartition("; ")
    reason = f"{found}, but the photo has a fault: {(fault or remedy).split(':')[0]}"
    return Verdict(rule.id, "not assessable", reason, remedy if fault else "")


def _advice_if_too_coarse(limit: float, rule: Rule, context: VerdictContext) -> str:
    """Advise how close to step if the photo shows a limit too small; "" if the photo is fine enough."""
    photo = context.photo
    if rule.quantity == "length" or limit == 0:
        return ""
    needed_px = max(photo.detection_limit_px or 0.0, LEAST_LIMIT_PX)
    if rule.unit == "px":
        return f"use a limit of at least {needed_px:g} px" if limit < needed_px else ""
    assert photo.scale is not None, "sizes in mm need a scale"
    needed_scale = limit / (needed_px * (1 + NORMAL_95 * photo.scale.relative_sigma))
    if photo.scale.mm_per_pixel <= needed_scale:
        return ""
    unit, factor = ("ft", _FEET_PER_METRE) if context.units == "imperial" else ("m", 1.0)
    side = max(photo.width, photo.height) * factor / 1000
    target, now = (side * scale for scale in (needed_scale, photo.scale.mm_per_pixel))
    target = _round_down(target)
    return f"step closer: at most {target:g} {unit} of wall along the longer side, now {now:.2g} {unit}"


def _round_down(value: float) -> float:
    """Round down to two significant digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / step + 1e-9) * step:.3g}")
