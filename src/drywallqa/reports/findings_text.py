"""Format audits and diagnoses as text: first the measurements, then likely causes with remedies."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drywallqa.curation.audit import AuditReport
from drywallqa.curation.inventory import Remark
from drywallqa.curation.near_duplicates import NearDuplicate
from drywallqa.formats.problems import Problem

if TYPE_CHECKING:
    from drywallqa.checks.findings import Diagnosis

_MARKS = ((0.5, "excellent"), (0.3, "good"), (0.1, "basic"))
_SHOWN = 10  # number of findings to list per kind; the other findings are only counted


def audit_lines(report: AuditReport) -> Iterator[str]:
    """Format an audit as lines of text."""
    found, names = report.inventory, report.duplicate_names
    parts = Counter(photo.split or "no split" for photo in found.photos)
    listed = ", ".join(f"{name} {count}" for name, count in parts.most_common())
    photographs = _many(report.photographs, "source photo")
    yield f"{found.title}: {_many(len(found.photos), 'photo')} made from {photographs} ({listed})"
    yield f"{_many(found.annotations.total(), 'annotation')}, {found.boxes.total()} of which are boxes"
    for name, count in (+found.ignored).items():
        yield f"'{name}': nobody labelled {_many(count, 'pixel')}; training and figures leave them out"
    for leak in report.leaks:
        photographs = _many(len(leak.photographs), "source photo")
        yield (
            f"LEAK: {len(leak.photos)} of {leak.of} {leak.split} photos share a source photo "
            f"with {leak.other} ({photographs}); split again with: drywallqa data split"
        )
    yield from _near_duplicates(report)
    yield from map(str, report.agreements)
    if report.contradictions:
        yield f"contradictory labels of one photo: {_many(len(report.contradictions), 'pair')}"
        yield from _first(list(map(str, report.contradictions)))
    yield from (f"several photos share one name: {', '.join(each)}" for each in names[:_SHOWN])
    if len(names) > _SHOWN:
        yield f"... {len(names)} such names in total"
    problems: dict[str, list[Problem]] = defaultdict(list)
    for problem in found.problems:
        problems[problem.kind].append(problem)
    for kind, own in sorted(problems.items()):
        yield f"{kind}: {len(own)}"
        yield from _first(list(map(str, own)))
    yield from _remarks(report)
    if report.likely_causes:
        yield "causes, most likely first:"
    for finding in report.likely_causes:
        yield f"  {finding.name}: {finding.evidence}. {finding.fault.cause}"
        yield f"    remedy: {finding.fault.remedy}"
    yield "problems found, see above" if report.found_something else "no problems found"


def _near_duplicates(report: AuditReport) -> Iterator[str]:
    if report.near_duplicates:
        amount = _many(len(report.near_duplicates), "pair")
        yield (
            f"near-duplicates with different names: {amount} of source photos, {len(report.across)} of which "
            "are in different splits"
        )
        yield from (f"  {_pair(pair)}" for pair in [*report.across, *report.within[:_SHOWN]])
        if len(report.within) > _SHOWN:
            yield f"  ... and {len(report.within) - _SHOWN} more within one split; --json lists all pairs"


def _pair(found: NearDuplicate) -> str:
    turned = [f"rotated by {90 * found.pair.turns}°"] if found.pair.turns else []
    words = " and ".join([*turned, *(["mirrored"] if found.pair.flip else [])])
    how = f", {words}" if words else ""
    return f"{found.first.name} = {found.second.name} (agreement {found.pair.agreement:.2f}{how})"


def _remarks(report: AuditReport) -> Iterator[str]:
    kinds: dict[tuple[str, bool], list[Remark]] = defaultdict(list)
    for remark in report.inventory.remarks:
        kinds[remark.kind, report.is_finding(remark)].append(remark)
    for (kind, serious), own in sorted(kinds.items()):
        if serious:
            yield f"{kind}: {_many(len(own), 'annotation')}"
            yield from _first([remark.where for remark in own])
        else:
            named = ", ".join(sorted({f"'{remark.group}'" for remark in own if remark.group}))
            empty = "such photos count as photos without the object"
            why = f"most annotations of {named} are boxes" if named else empty
            yield f"{kind}: {len(own)} (not a problem: {why})"


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  ... and {len(lines) - _SHOWN} more; --json lists all findings"


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def diagnosis_lines(found: Diagnosis) -> Iterator[str]:
    """Format a diagnosis as lines of text."""
    counts = ", ".join(f"{part} {count}" for part, count in found.photos.items())
    yield f"{found.model} on {found.data}: {sum(found.photos.values())} photos examined ({counts})"
    for concept, figures in found.facts.items():
        yield f"{concept}: {', '.join(f'{name} {_figure(value)}' for name, value in figures.items())}"
        yield f"{concept}: IoU at the best threshold is {grade(figures['best mean IoU at any threshold'])}"
        sweep = "  ".join(f"{level:.1f} {value:.3f}" for level, value in found.sweep[concept])
        yield f"{concept}: IoU at thresholds  {sweep}"
    yield from (f"note: {note}" for note in found.notes)
    verdict = found.findings
    yield f"verdict: {verdict[0].fault.cause if verdict else 'no fault was found'}"
    for place, finding in enumerate(verdict, 1):
        yield f"{place}. {finding.name}"
        yield f"   evidence: {finding.evidence}"
        yield f"   cause:    {finding.fault.cause}"
        yield f"   remedy:   {finding.fault.remedy}"
        yield f"   command:  {finding.fault.command}"


def grade(iou: float) -> str:
    """Grade an IoU, for example as "good", by the scale of the training report of November 2025."""
    if math.isnan(iou):
        return "–"
    return next((word for mark, word in _MARKS if iou >= mark), "below basic")


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e6 else f"{value:.4g}"
