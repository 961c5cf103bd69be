"""An audit's report as text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from drywallqa.curation.audit import AuditReport
from drywallqa.curation.inventory import Remark
from drywallqa.curation.near_duplicates import NearDuplicate
from drywallqa.datasets.problems import Problem

_SHOWN = 10


def audit_lines(report: AuditReport, shown: int = _SHOWN) -> Iterator[str]:
    """Write the report line by line.

    Args:
        report: The report.
        shown: How many of a kind are listed; the others are counted.
    """
    found = report.inventory
    parts = Counter(photo.split or "no part" for photo in found.photos)
    listed = ", ".join(f"{name} {count}" for name, count in parts.most_common())
    photographs = _many(report.photographs(), "photograph")
    yield f"{found.title}: {_many(len(found.photos), 'photo')} of {photographs} ({listed})"
    yield f"{_many(found.annotations.total(), 'annotation')}, {found.boxes.total()} of them boxes"
    yield from _leaks(report)
    yield from _near_duplicates(report, shown)
    for each in report.agreements:
        yield str(each)
    for names in report.duplicate_names[:shown]:
        yield f"one name for several photos: {', '.join(names)}"
    if len(report.duplicate_names) > shown:
        yield f"... {len(report.duplicate_names)} names in all"
    yield from _problems(report, shown)
    yield from _remarks(report, shown)
    causes = report.likely_causes()
    if causes:
        yield "likely causes, the surest first:"
    for finding in causes:
        yield f"  {finding.name}: {finding.evidence}. {finding.fault.cause}"
        yield f"    remedy: {finding.fault.remedy}"
    yield "found something, see above" if report.found_something else "found nothing: clean"


def _leaks(report: AuditReport) -> Iterator[str]:
    for leak in report.leaks:
        photographs = _many(len(leak.photographs), "photograph")
        yield (
            f"LEAK: {len(leak.photos)} of {leak.of} {leak.split} photos share their photograph "
            f"with {leak.other} ({photographs}); split again with: drywallqa data split"
        )


def _near_duplicates(report: AuditReport, shown: int) -> Iterator[str]:
    pairs = report.near_duplicates
    if not pairs:
        return
    across = [pair for pair in pairs if pair.across]
    amount = f"{_many(len(pairs), 'pair')} of photographs, {len(across)} of them across parts"
    yield f"near-duplicates under other names: {amount}"
    within = [pair for pair in pairs if not pair.across]
    for pair in [*across, *within[:shown]]:
        yield f"  {_pair(pair)}"
    if len(within) > shown:
        yield f"  ... and {len(within) - shown} within a part; --json lists them all"


def _pair(found: NearDuplicate) -> str:
    words = []
    if found.pair.turns:
        words.append(f"turned {90 * found.pair.turns}°")
    if found.pair.flip:
        words.append("mirrored")
    how = f", {' and '.join(words)}" if words else ""
    return f"{found.first.name} = {found.second.name} (agreement {found.pair.agreement:.2f}{how})"


def _problems(report: AuditReport, shown: int) -> Iterator[str]:
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in report.inventory.problems:
        kinds[problem.kind].append(problem)
    for kind, listed in sorted(kinds.items()):
        yield f"{kind}: {len(listed)}"
        for problem in listed[:shown]:
            yield f"  {problem}"
        if len(listed) > shown:
            yield f"  ... and {len(listed) - shown} more; --json lists them all"


def _remarks(report: AuditReport, shown: int) -> Iterator[str]:
    kinds: dict[tuple[str, bool], list[Remark]] = defaultdict(list)
    for remark in report.inventory.remarks:
        kinds[remark.kind, report.is_finding(remark)].append(remark)
    for (kind, serious), listed in sorted(kinds.items()):
        if not serious:
            named = ", ".join(sorted({f"'{remark.group}'" for remark in listed if remark.group}))
            why = f"most annotations of {named} are boxes" if named else "taken as showing nothing"
            yield f"{kind}: {len(listed)} (no finding: {why})"
            continue
        yield f"{kind}: {_many(len(listed), 'annotation')}"
        for remark in listed[:shown]:
            yield f"  {remark.where}"
        if len(listed) > shown:
            yield f"  ... and {len(listed) - shown} more; --json lists them all"


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
