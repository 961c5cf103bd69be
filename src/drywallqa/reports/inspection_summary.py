"""The first chapters of the inspection report: verdict, worst findings, walls, and refused photos."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from drywallqa.inspection.ledger import Outcome
from drywallqa.inspection.ledger_verdicts import summarise_verdicts
from drywallqa.inspection.measure_text import range_text
from drywallqa.reports.document import (
    Badge,
    Banner,
    Block,
    BulletList,
    Callout,
    Cell,
    Chapter,
    Link,
    Paragraph,
    Table,
    Tiles,
    as_sentence,
    bold,
    code,
    escape,
)
from drywallqa.reports.inspection_cells import kind_text, size_text
from drywallqa.reports.inspection_material import InspectionMaterial
from drywallqa.reports.inspection_method import rule_remarks
from drywallqa.visualization.inspection_pictures import WORST_FIRST

_WORST = 10  # findings in the summary
_TITLES: dict[Outcome, str] = {
    "fail": "Fail",
    "monitor": "Monitor",
    "not assessable": "Not fully assessable",
    "pass": "Pass",
    "no rule": "No verdict",
}


def summary_chapters(material: InspectionMaterial) -> Iterator[Chapter]:
    """Yield the chapters "Summary" and "Photos that were not inspected"."""
    yield Chapter("Summary", list(_summary(material)))
    if material.refused:
        rows = [(code(record.path), as_sentence(record.refused)) for record in material.refused]
        text = "These photos were not inspected. The report says nothing about what they show."
        table = Table(("Photo", "Reason"), rows, words=2)
        yield Chapter("Photos that were not inspected", [Paragraph(text), table])


def _summary(material: InspectionMaterial) -> Iterator[Block]:
    yield _verdict(material)
    yield _numbers(material)
    if material.refused:
        count = len(material.refused)
        noun, them = ("1 photo was", "it") if count == 1 else (f"{count} photos were", "them")
        yield Callout(f"{noun} not inspected. The verdict says nothing about {them}.")
    noted = [photo for photo in material.photos if photo.record.quality]
    if noted:
        noun = "1 photo has" if len(noted) == 1 else f"{len(noted)} photos have"
        yield Callout(f"{noun} a defect, so cracks may be missing there. The pages of the photos name it.")
    if material.worst:
        yield _worst(material)
        yield from _rule_remarks(material)
    yield _walls(material)


def _verdict(material: InspectionMaterial) -> Banner:
    counts, limit = material.outcomes, overall_limit(material)
    outcome = summarise_verdicts(material.ledger).outcome
    if not material.photos:
        return Banner("No photo was inspected.", outcome="not assessable", title="Nothing was inspected")
    total = sum(counts.values())
    parts = [_sentence(name, counts[name]) for name in WORST_FIRST]
    text = " ".join(part for part in parts if part)
    if not total:
        return Banner(
            f"Nothing was found in {_count(len(material.photos), 'photo')}. {limit}",
            outcome=outcome,
            title=f"{_TITLES[outcome]}: nothing found",
        )
    return Banner(f"{text} {limit}", outcome=outcome, title=_TITLES[outcome])


def _sentence(outcome: Outcome, count: int) -> str:
    if not count:
        return ""
    noun = _count(count, "finding")
    one = count == 1
    return {
        "fail": f"{noun} {'exceeds' if one else 'exceed'} a limit of the rules.",
        "monitor": f"{noun} {'needs' if one else 'need'} monitoring or a measurement on site.",
        "not assessable": f"{noun} cannot be judged from the photos.",
        "pass": f"{noun} {'is' if one else 'are'} within the limits.",
        "no rule": f"No rule applies to {noun}.",
    }[outcome]


def overall_limit(material: InspectionMaterial) -> str:
    """Return a sentence about the cracks that would have been found in every inspected photo."""
    records = [photo.record for photo in material.photos]
    if not records:
        return "No photo could be inspected."
    scaled = [record for record in records if record.scale]
    limits = [(one.detection_limit_mm, one.detection_widest_mm) for one in scaled]
    if not scaled:
        limits = [(one.detection_limit_px, one.detection_widest_px) for one in records]
    lows, highs = ([end for end in ends if end is not None] for ends in zip(*limits, strict=True))
    if not len(limits) == len(lows) == len(highs) == len(records) or max(lows) > min(highs):
        return "The pages of the photos state which cracks would have been found."
    sizes = range_text(max(lows), min(highs), "mm" if scaled else "px", material.options.units)
    return (
        f"Cracks that are {sizes} wide are found in 90 % of cases in every photo (on rendered walls). "
        "Narrower and wider cracks are missed more often."
    )


def _numbers(material: InspectionMaterial) -> Tiles:
    counts = material.outcomes
    tiles = [
        ("photos" if len(material.photos) != 1 else "photo", len(material.photos)),
        ("findings" if len(material.worst) != 1 else "finding", len(material.worst)),
        *(
            (name, counts[name])
            for name in ("fail", "monitor", "pass", "not assessable")
            if material.rule_set
        ),
    ]
    return Tiles([name for name, _ in tiles], [[str(count) for _, count in tiles]])


def _worst(material: InspectionMaterial) -> Table:
    units = material.options.units
    keys = {wall.place.id: f"wall-{place}" for place, wall in enumerate(material.walls, 1)}
    rows = [
        (
            Link(f"{one.number}", photo.key), Badge(one.outcome), kind_text(one),
            Link(escape(wall.title), keys[wall.place.id]),
            size_text(one, "length", units), size_text(one, "width_max", units),
        )
        for one, photo, wall in islice(material.worst, _WORST)
    ]  # fmt: skip
    total = len(material.worst)
    caption = "Findings, the worst first" if total <= _WORST else f"The {_WORST} worst of {total} findings"
    return Table(("No.", "Verdict", "Finding", "Wall", "Length", "Largest width"), rows, caption, words=4)


def _rule_remarks(material: InspectionMaterial) -> Iterator[Block]:
    """State once what is the same for all findings."""
    rules = material.rule_set
    if rules is None:
        return
    used = {verdict.rule for one, _, _ in material.worst for verdict in one.observation.verdicts}
    remarks = [(rule, rule_remarks(rule)) for rule in rules.rules if rule.id in used]
    texts = [f"{bold(rule.title)}: {remark}" for rule, remark in remarks if remark]
    if rules.note:
        texts.insert(0, as_sentence(rules.note))
    if texts:
        yield Paragraph("For all verdicts:")
        yield BulletList(texts)


def _walls(material: InspectionMaterial) -> Table:
    rows: list[list[Cell]] = []
    for place, wall in enumerate(material.walls, 1):
        worst = wall.worst.values()
        counts = [sum(one.outcome == name for one, _ in worst) for name in ("fail", "monitor")]
        outcome = Badge(material.worst_outcome_of(wall.photos))
        link = Link(escape(wall.title), f"wall-{place}")
        rows.append([link, outcome, *(str(count) for count in (len(wall.photos), len(worst), *counts))])
    return Table(("Wall", "Verdict", "Photos", "Findings", "Fail", "Monitor"), rows, "Walls", words=2)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
