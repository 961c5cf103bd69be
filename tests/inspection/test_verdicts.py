"""A verdict follows from the whole interval, and never claims more than the photo can show."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drywallqa.inspection.ledger import ScaleRecord, Verdict
from drywallqa.inspection.measures import Measure
from drywallqa.inspection.rules import RuleSet, load_rule_set
from drywallqa.inspection.several_findings import WideFindings
from drywallqa.inspection.verdicts import LEAST_LIMIT_PX, VerdictContext, judge_observation, judge_photo
from inspection_examples import around, observation_of, photo_of, sizes_of

FINE = photo_of(0.001)  # fine enough for every limit


def crack_verdict(rules: str | RuleSet, width: Measure, photo=FINE, confirmed: bool = True) -> Verdict:  # type: ignore[no-untyped-def]
    rule_set = load_rule_set(rules) if isinstance(rules, str) else rules
    conditions = [rule.id for rule in rule_set.rules] if confirmed else []
    context = VerdictContext(photo, conditions)
    verdict, *others = judge_observation(observation_of(width), "crack", rule_set, context)
    assert not others
    return verdict


LIMITS = {
    "nhbc-9.1": 2.0, "aci-224r:dry-air": 0.41, "aci-224r:humid-air": 0.30, "aci-224r:de-icing": 0.18,
    "aci-224r:seawater": 0.15, "aci-224r:water-retaining": 0.10, "en-1992:x0-xc1": 0.4, "en-1992:xc2-xs": 0.3,
}  # fmt: skip


@pytest.mark.parametrize(("rules", "limit"), LIMITS.items())
def test_limits_of_presets_at_both_sides(rules: str, limit: float) -> None:
    assert crack_verdict(rules, around(limit * 0.98, limit * 0.01)).outcome == "pass"
    assert crack_verdict(rules, Measure(limit, limit * 0.9, limit)).outcome == "pass"
    assert crack_verdict(rules, around(limit * 1.02, limit * 0.01)).outcome == "fail"
    assert crack_verdict(rules, around(limit * 0.98, limit * 0.05)).outcome == "monitor"
    assert crack_verdict(rules, around(limit * 1.02, limit * 0.05)).outcome == "monitor"


SCALES = {
    "burland": ((0.1, 1, 5, 15, 25), ("pass", "monitor", "monitor", "fail", "fail", "fail")),
    "as-2870": ((0.1, 1, 5, 15, 25), ("pass", "monitor", "monitor", "fail", "fail", "fail")),
}


@pytest.mark.parametrize("rules", SCALES)
def test_classes_of_presets_at_both_sides(rules: str) -> None:
    ends, outcomes = SCALES[rules]
    for number, end in enumerate(ends):
        below, above = crack_verdict(rules, around(end * 0.99)), crack_verdict(rules, around(end * 1.01))
        assert (below.outcome, above.outcome) == (outcomes[number], outcomes[number + 1])
        assert str(number) in below.severity
        if number + 1 < len(ends) or rules == "burland":
            assert str(number + 1) in above.severity
    assert crack_verdict(rules, around(0.1)).severity.endswith("0 (negligible)")


def test_beyond_a_scale_that_ends() -> None:
    verdict = crack_verdict("as-2870", around(30.0))
    assert verdict.outcome == "fail"
    assert "beyond the scale, which ends at 25 mm" in verdict.severity


def test_an_interval_over_two_classes_names_both() -> None:
    verdict = crack_verdict("burland", Measure(5.0, 4.5, 5.5))
    assert verdict.outcome == "monitor"
    assert verdict.severity == "Burland 2 (slight) to Burland 3 (moderate)"
    decided = crack_verdict("burland", Measure(15.0, 14.0, 16.0))
    assert decided.outcome == "fail"


def test_the_default_does_not_pass_a_crack_whose_place_is_unknown() -> None:
    verdict = crack_verdict("nhbc-9.1", around(0.5), confirmed=False)
    assert (verdict.outcome, verdict.reason) == ("monitor", "Largest width 0.50 mm (0.50–0.50), within 2 mm")
    assert "confirm it in a review" in verdict.advice
    assert crack_verdict("nhbc-9.1", around(2.5), confirmed=False).outcome == "fail"


def test_at_most_never_fails_and_passes_only_below_the_limit() -> None:
    assert crack_verdict("nhbc-9.1", Measure(None, 0.0, 1.9)).outcome == "pass"
    assert "≤ 1.9 mm, within 2 mm" in crack_verdict("nhbc-9.1", Measure(None, 0.0, 1.9)).reason
    assert crack_verdict("nhbc-9.1", Measure(None, 0.0, 2.1), photo_of(1.5)).outcome == "not assessable"


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0, 50), st.floats(0.001, 20), st.floats(0, 20))
def test_pass_and_fail_need_the_whole_interval(
    a: float, b: float, c: float, scale: float, detection: float
) -> None:
    low, value, high = sorted((a, b, c))
    photo = photo_of(scale, detection_limit_px=detection)
    verdict = crack_verdict("nhbc-9.1", Measure(value, low, high), photo)
    assert (verdict.outcome == "pass") == (high <= 2)
    assert (verdict.outcome == "fail") == (low > 2)
    if verdict.outcome == "not assessable":
        assert max(detection, LEAST_LIMIT_PX) * scale > 2
        assert "step closer" in verdict.advice
    if verdict.outcome == "monitor":
        assert max(detection, LEAST_LIMIT_PX) * scale <= 2


def test_advice_names_the_field_that_suffices() -> None:
    photo = photo_of(2.0)  # 8 m of wall; 2 mm in 3 px need 0.667 mm a pixel, which is 2.67 m
    verdict = crack_verdict("nhbc-9.1", Measure(3.0, 1.0, 5.0), photo)
    assert verdict.outcome == "not assessable"
    assert verdict.advice == "step closer: at most 2.6 m of wall along the longer side, now 8 m"
    closer = photo_of(2.6 / 4)
    assert crack_verdict("nhbc-9.1", Measure(3.0, 1.0, 5.0), closer).outcome == "monitor"


def test_without_a_scale() -> None:
    observation = observation_of(None, around(7.0, 1.0))
    context = VerdictContext(photo_of(None))
    (verdict,) = judge_observation(observation, "crack", load_rule_set("nhbc-9.1"), context)
    assert verdict.outcome == "not assessable"
    assert verdict.advice.startswith("add a scale")
    assert verdict.reason == "Largest width 7.0 px (6.0–8.0), but the photo has no scale"


def test_a_fault_of_the_photo_is_not_assessable_with_its_remedy() -> None:
    photo = replace(FINE, quality=("may be blurred by movement: its edges are soft; hold the camera steady",))
    verdict = crack_verdict("nhbc-9.1", around(1.0), photo)
    assert verdict.outcome == "not assessable"
    assert verdict.reason.endswith(", but the photo has a fault: may be blurred by movement")
    assert verdict.advice == "hold the camera steady"
    (absent,) = judge_photo(photo, load_rule_set("nhbc-9.1"))
    assert (absent.outcome, absent.advice) == ("not assessable", "hold the camera steady")


def test_an_outline_without_a_line_is_not_assessable() -> None:
    for observation in (observation_of(around(1.0), line_visible=False), replace(observation_of(), px=None)):
        (verdict,) = judge_observation(observation, "crack", load_rule_set("nhbc-9.1"), VerdictContext(FINE))
        assert verdict.outcome == "not assessable"
        assert "no line inside the outline" in verdict.reason


def test_joints_are_not_assessed_and_other_concepts_have_no_rule() -> None:
    rules = load_rule_set("nhbc-9.1")
    context = VerdictContext(FINE)
    (verdict,) = judge_observation(observation_of(around(1.0)), "taping area", rules, context)
    assert (verdict.rule, verdict.outcome) == ("joint-covering", "not assessable")
    assert verdict.reason == "Covering of jointing tape: not assessable from a photo"
    assert judge_observation(observation_of(around(1.0)), "stain", rules, context) == ()
    assert judge_photo(FINE, rules, "taping area") == ()


@pytest.mark.parametrize(("mm_per_pixel", "outcome"), [(0.99, "pass"), (1.01, "not assessable")])
def test_nothing_found_names_the_narrowest_crack(mm_per_pixel: float, outcome: str) -> None:
    photo = photo_of(mm_per_pixel, detection_limit_px=2.0)  # 1.98 or 2.02 mm, against 2 mm
    (verdict,) = judge_photo(photo, load_rule_set("nhbc-9.1"))
    assert verdict.outcome == outcome
    found = f"one that is at least {mm_per_pixel * 2:g} mm wide would have been found in 90 % of cases"
    assert found in verdict.reason
    assert bool(verdict.advice) == (outcome != "pass")


@pytest.mark.parametrize(("widest", "outcome"), [(21.0, "pass"), (19.0, "not assessable")])
def test_nothing_found_in_a_photo_that_misses_wide_cracks(widest: float, outcome: str) -> None:
    photo = photo_of(0.1, detection_widest_px=widest)  # 2.1 or 1.9 mm, against 2 mm
    (verdict,) = judge_photo(photo, load_rule_set("nhbc-9.1"))
    assert verdict.outcome == outcome
    assert f"one that is 0.2 mm to {widest / 10:g} mm wide would have been found" in verdict.reason
    assert verdict.advice == ("" if outcome == "pass" else "look for wide cracks on site")


def test_nothing_found_counts_the_uncertainty_of_the_scale() -> None:
    photo = replace(photo_of(), scale=ScaleRecord(0.99, 0.02, "given"))
    assert judge_photo(photo, load_rule_set("nhbc-9.1"))[0].outcome == "not assessable"


def test_nothing_found_without_scale_or_limit() -> None:
    rules = load_rule_set("nhbc-9.1")
    (verdict,) = judge_photo(photo_of(None), rules)
    assert verdict.outcome == "not assessable"
    assert "one that is at least 2 px wide" in verdict.reason
    (unknown,) = judge_photo(photo_of(0.1, detection_limit_px=None), rules)
    assert unknown.outcome == "not assessable"
    assert "is unknown" in unknown.reason
    (refused,) = judge_photo(photo_of(refused="the file is damaged"), rules)
    assert refused.reason == "The photo was not inspected: the file is damaged"


def test_a_limit_in_pixels(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "px.yaml"
    source = "{document: a, clause: b, edition: c, address: d, sure: low, verified: e}"
    path.write_text(
        f"name: px\nversion: 1\ntitle: t\nsource: {source}\ndoes_not_apply_to: [x]\nrules:\n"
        "- {id: a, title: t, concept: crack, measure: width_mean, limit: 5 px}\n"
        "- {id: b, title: t, concept: crack, measure: length, limit: 90 px}\n"
    )
    rules = load_rule_set(path)
    observation = replace(observation_of(), px=sizes_of("px", around(4.0, 0.5), around(100.0, 20.0)))
    context = VerdictContext(photo_of(None))
    assert [v.outcome for v in judge_observation(observation, "crack", rules, context)] == [
        "pass",
        "monitor",
    ]
    assert [v.outcome for v in judge_photo(photo_of(None), rules)] == ["pass", "pass"]
    assert [v.outcome for v in judge_photo(photo_of(None, detection_limit_px=6.0), rules)] == [
        "not assessable", "pass",
    ]  # fmt: skip


def test_texts_in_inches() -> None:
    context = VerdictContext(photo_of(2.0), units="imperial")
    rules = load_rule_set("nhbc-9.1")
    (verdict,) = judge_observation(observation_of(Measure(4.6, 2.8, 6.3)), "crack", rules, context)
    assert verdict.reason == "Largest width 0.18 in [3/16] (0.11–0.25), over 0.079 in [5/64]"
    (unsure,) = judge_observation(observation_of(Measure(3.0, 1.0, 5.0)), "crack", rules, context)
    assert unsure.advice == "step closer: at most 8.7 ft of wall along the longer side, now 26 ft"
    (absent,) = judge_photo(photo_of(), rules, units="imperial")
    assert " mm" not in absent.reason
    assert "0.079 in" in absent.reason


@pytest.mark.parametrize(
    ("wide", "outcome", "severity"),
    [
        (WideFindings(2, 2), "monitor", "Burland 2 (slight)"),
        (WideFindings(2, 3), "monitor", "Burland 2 (slight) to Burland 3 (moderate)"),
        (WideFindings(3, 3), "fail", "Burland 3 (moderate)"),
    ],
)
def test_several_wide_cracks_are_a_higher_class(wide: WideFindings, outcome: str, severity: str) -> None:
    context = VerdictContext(FINE, wide={"damage-category": wide})
    rules = load_rule_set("burland")
    (verdict,) = judge_observation(observation_of(around(4.0, 0.1)), "crack", rules, context)
    assert (verdict.outcome, verdict.severity) == (outcome, severity)
    assert (f"; {wide.text} cracks over 3 mm at this place" in verdict.reason) == (wide.most >= 3)
    (narrow,) = judge_observation(observation_of(around(2.0, 0.1)), "crack", rules, context)
    assert (narrow.outcome, narrow.severity) == ("monitor", "Burland 2 (slight)")
    (wider,) = judge_observation(observation_of(around(20.0, 0.1)), "crack", rules, context)
    assert wider.reason == "Largest width 20.00 mm (19.90–20.10): Burland 4 (severe)"
