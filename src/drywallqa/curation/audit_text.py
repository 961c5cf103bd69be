"""An audit's report as text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from drywallqa.curation import inventory as inventories
from drywallqa.curation.audit import AuditReport, NearDuplicate
from drywallqa.datasets.problems import Problem

_SHOWN = 10


def lines(report: AuditReport, shown: int = _SHOWN) -> Iterator[str]:
    """Write the report line by line.

    Args:
        report: The report.
        shown: How many of a kind are listed; the others are counted.
    """
    found = report.inventory
    parts = Counter(photo.split or "no part" for photo in found.photos)
    listed = ", ".join(f"{name} {count}" for name, count in parts.most_common())
    yield f"{found.title}: {len(found.photos)} photos of {report.photographs()} photographs ({listed})"
    yield f"{found.annotations} annotations, {found.boxes} of them boxes"
    yield from _leaks(report)
    yield from _near_duplicates(report, shown)
    for names in report.duplicate_names[:shown]:
        yield f"one name for several photos: {', '.join(names)}"
    if len(report.duplicate_names) > shown:
        yield f"... {len(report.duplicate_names)} names in all"
    yield from _problems(report, shown)
    yield from _remarks(report, shown)
    yield "found something, see above" if report.found_something else "found nothing: clean"


def _leaks(report: AuditReport) -> Iterator[str]:
    for leak in report.leaks:
        yield (
            f"LEAK: {len(leak.photos)} of {leak.of} {leak.split} photos share their photograph "
            f"with {leak.other} ({len(leak.photographs)} photographs); split again with: drywallqa data split"
        )


def _near_duplicates(report: AuditReport, shown: int) -> Iterator[str]:
    pairs = report.near_duplicates
    if not pairs:
        return
    across = [pair for pair in pairs if pair.across]
    amount = f"{len(pairs)} pairs of photographs, {len(across)} of them across parts"
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
    kinds = Counter(remark.kind for remark in report.inventory.remarks)
    serious = {remark.kind for remark in report.findings}
    for kind, count in sorted(kinds.items()):
        if kind not in serious:
            why = (
                "most annotations here are boxes"
                if kind == inventories.BOX_LIKE
                else "taken as showing nothing"
            )
            yield f"{kind}: {count} (no finding: {why})"
            continue
        yield f"{kind}: {count} annotations"
        listed = [remark for remark in report.findings if remark.kind == kind]
        for remark in listed[:shown]:
            yield f"  {remark.where}"
        if count > shown:
            yield f"  ... and {count - shown} more; --json lists them all"
