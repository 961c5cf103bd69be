"""The last chapters of the inspection report: earlier findings, limits of the method, rules, reviews."""

from __future__ import annotations

from collections.abc import Iterator

from drywallqa.inspection.detection_limit import real_text
from drywallqa.inspection.ledger import Finding, Review
from drywallqa.inspection.measure_text import System, limit_text
from drywallqa.inspection.rules import Rule
from drywallqa.inspection.several_findings import several_text
from drywallqa.reports.document import (
    Block,
    BulletList,
    Chapter,
    Heading,
    Paragraph,
    Table,
    as_sentence,
    bold,
    code,
    escape,
)
from drywallqa.reports.inspection_cells import LIMIT_TERMS
from drywallqa.reports.inspection_material import InspectionMaterial

_ASSESSED = (
    "**Measured**: cracks and joints that a model marks in the photos. Length is measured along the centre "
    "line, width across it. The 95 % interval covers the uncertainty of the edges, the scale and the tilt. "
    "It holds for rendered cracks. On real walls, dirt, stains and chipped edges cause further errors, which "
    "the interval does not contain: measure on site where a width decides.",
    "**Verdict**: a rule passes if the whole interval is within its limit. It fails if the whole interval "
    "exceeds the limit. Otherwise the verdict is “monitor”, or “not assessable” if the photo is too coarse "
    "for the limit.",
    f"**Detected cracks**: the range of widths for which {LIMIT_TERMS}. Narrower and wider cracks are missed "
    "more often.",
)
_NOT_ASSESSED = (
    "The covering of joints with tape or compound.",
    "Flatness and level of the surfaces: a photo does not show them.",
    "Cracks behind furniture, wallpaper, fittings or fresh paint, and walls that no photo shows.",
    "The cause of a crack, its depth, and the load-bearing capacity of the wall.",
    "Whether two findings of overlapping photos are the same crack, if a remark says “may count twice”.",
)
_STATES = {"open": "not seen again", "repaired": "repaired"}


def closing_chapters(material: InspectionMaterial) -> Iterator[Chapter]:
    """Yield the chapters about earlier findings, the method, the rules, and the reviews."""
    if earlier := material.not_seen_again():
        text = "These findings of earlier visits were not observed at this visit."
        yield Chapter("Findings of earlier visits", [Paragraph(text), _earlier_table(earlier)])
    yield Chapter("Method and its limits", list(_method(material)), new_page=True)
    yield Chapter("Rules", list(_rules(material)))
    if material.ledger.reviews:
        yield Chapter("Reviews", list(_reviews(material)))


def _earlier_table(findings: list[Finding]) -> Table:
    rows = [
        (
            f"{finding.number}",
            escape(finding.concept),
            escape(finding.place),
            _STATES[finding.state],
            f"{max(one.visit for one in finding.observations)}",
        )
        for finding in findings
    ]
    return Table(("No.", "Finding", "Wall", "State", "Last visit"), rows, words=4)


def _method(material: InspectionMaterial) -> Iterator[Block]:
    visit = material.visit
    yield BulletList([*_ASSESSED, *filter(None, [real_text(visit.model)])])
    yield Heading("Not assessed")
    yield BulletList(_NOT_ASSESSED)
    reviewed = (
        f"{escape(visit.reviewer)} is responsible for this inspection."
        if visit.reviewer
        else "No person has reviewed this inspection. Have the findings checked before you act on them."
    )
    yield Paragraph(reviewed)
    if visit.model_digest:
        yield Paragraph(f"Model {bold(visit.model)}, SHA-256 {code(visit.model_digest)}.")
    yield Paragraph(
        "The file `inspection.json` beside this report contains all numbers, including the centre line of "
        "each finding with its width."
    )


def _rules(material: InspectionMaterial) -> Iterator[Block]:
    rules = material.rule_set
    if rules is None:
        yield Paragraph("No rules were applied, so there is no verdict.")
        return
    source = rules.source
    yield Table(
        ("", ""),
        [
            ("Rule set", f"{bold(rules.title)} ({escape(rules.label)})"),
            (
                "Source",
                f"{escape(source.document)}, {escape(source.clause)}, edition {escape(source.edition)}",
            ),
            ("Address", code(source.address)),
            ("Certainty", f"{escape(source.sure)}. {escape(source.verified)}"),
        ],
        words=2,
    )
    rows = [
        (
            escape(rule.title), escape(rule.concept or "wall"), _limit(rule, material.options.units),
            rule_remarks(rule),
        )
        for rule in rules.rules
    ]  # fmt: skip
    yield Table(("Rule", "Applies to", "Limit", "Remarks"), rows, words=4)
    if rules.note:
        yield Paragraph(as_sentence(rules.note))
    yield Heading("These rules do not apply to")
    yield BulletList([as_sentence(case) for case in rules.does_not_apply_to])


def _limit(rule: Rule, units: System) -> str:
    if rule.quantity is None:
        return "not assessable from a photo"
    if not rule.is_graded:
        return f"≤ {limit_text(rule.acceptable, rule.unit, units)}"
    ends = [f"≤ {limit_text(g.up_to, rule.unit, units)}" if g.up_to else "above" for g in rule.grades]
    classes = [f"{end}: {escape(g.name)} ({g.outcome})" for end, g in zip(ends, rule.grades, strict=True)]
    return "; ".join(filter(None, [*classes, escape(several_text(rule, units))]))


def rule_remarks(rule: Rule) -> str:
    """Return what is the same for all verdicts of a rule: its condition, its note, and what to do instead."""
    condition = rule.condition and f"Passes only if {rule.condition}; a person confirms this in a review."
    parts = (condition, rule.note, rule.not_assessable, as_sentence(rule.advice) if rule.advice else "")
    return escape(" ".join(part for part in parts if part))


def _reviews(material: InspectionMaterial) -> Iterator[Block]:
    rows = [
        (escape(one.time), f"{one.finding or 'new'}", one.action, escape(one.reviewer), _detail(one))
        for one in material.ledger.reviews
    ]
    yield Table(("Time", "Finding", "Decision", "Reviewer", "Detail"), rows, words=5)


def _detail(review: Review) -> str:
    texts = (f"{key}: {value}" for key, value in review.detail.items() if isinstance(value, str | int))
    lists = (
        f"{key}: {', '.join(map(str, value))}"
        for key, value in review.detail.items()
        if isinstance(value, list) and all(isinstance(item, int | str) for item in value)
    )
    return escape("; ".join((*texts, *lists)))
