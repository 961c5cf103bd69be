"""The report of a comparison of two visits, and its chapters for other reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drywallqa.files import write_whole
from drywallqa.inspection.growth import Difference
from drywallqa.inspection.ledger import Ledger
from drywallqa.inspection.visit_changes import Change, FindingChange
from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    Chapter,
    Document,
    Paragraph,
    Picture,
    Pictures,
    Table,
    Tiles,
    as_sentence,
    code,
    escape,
)
from drywallqa.reports.document_html import render_html
from drywallqa.visualization.comparison_pictures import ComparisonPicture

HTML = "comparison.html"
_ORDER: tuple[Change, ...] = ("new", "grown", "repaired", "unchanged", "not comparable")


@dataclass(frozen=True)
class ComparisonMaterial:
    """The input of the report.

    Attributes:
        ledger: The ledger with both visits as the last two.
        changes: Changes of the findings.
        pictures: Pictures of aligned photos.
        unmatched: Later photos that could not be aligned.
        problems: One sentence for each photo that could not be compared.
        folder: Folder of the results.
    """

    ledger: Ledger
    changes: Sequence[FindingChange]
    pictures: Sequence[ComparisonPicture]
    unmatched: Sequence[str]
    problems: Sequence[str]
    folder: Path


def write_comparison_report(material: ComparisonMaterial) -> Path:
    """Write the report as HTML. The same input gives the same bytes.

    Raises:
        OutputError: The report cannot be written.
    """
    before, after = material.ledger.visits[-2:]
    facts = [("Earlier visit", before.date), ("Later visit", after.date), ("Model", escape(after.model))]
    subtitle = f"{escape(material.ledger.name)}: {before.date} and {after.date}"
    document = Document("Comparison of two visits", subtitle, facts, list(comparison_chapters(material)))
    write_whole(material.folder / HTML, render_html(document))
    return material.folder / HTML


def comparison_chapters(material: ComparisonMaterial) -> Iterator[Chapter]:
    """Yield the chapters: what changed, the photos side by side, and how visits are compared."""
    yield Chapter("What changed", list(_summary(material)))
    pictures = [_picture(one, material.folder) for one in material.pictures]
    if pictures:
        yield Chapter("Photos side by side", pictures, new_page=True)
    yield Chapter("How visits are compared", [BulletList(_METHOD)])


def _summary(material: ComparisonMaterial) -> Iterator[Block]:
    counts = Counter(one.change for one in material.changes)
    yield Tiles([name.capitalize() for name in _ORDER], [[str(counts[name]) for name in _ORDER]], words=0)
    for sentence in material.problems:
        yield Callout(as_sentence(sentence))
    if material.unmatched:
        names = ", ".join(code(path) for path in material.unmatched)
        yield Callout(f"No earlier photo shows the same part of a wall as {names}.")
    if not material.changes:
        yield Paragraph("Neither visit shows a finding.")
        return
    ordered = sorted(material.changes, key=lambda one: (_ORDER.index(one.change), one.number))
    rows = [
        (
            str(one.number), code(one.place), escape(one.concept), one.change.capitalize(),
            _difference(one.width), _difference(one.length), _reason(one),
        )
        for one in ordered
    ]  # fmt: skip
    head = ("Finding", "Place", "Concept", "Change", "Mean width", "Length", "Reason")
    yield Table(head, rows, words=4, last_words=1)


def _reason(one: FindingChange) -> str:
    """Return the reason; the numbers of grown and unchanged findings have their own columns."""
    parts = [] if one.width is not None else [one.reason]
    if one.pieces > 1:
        parts.append(f"the later photo shows it in {one.pieces} pieces")
    if one.merged:
        numbers = ", ".join(map(str, one.merged))
        parts.append(f"it has grown together with {numbers}")
    return as_sentence("; ".join(part.rstrip(".") for part in parts)) if parts else "–"


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    digits = 2 if abs(difference.before) < 100 else 0
    before, after = (f"{number:.{digits}f}" for number in (difference.before, difference.after))
    change = (difference.value, difference.low, difference.high)
    value, low, high = (f"{number:+.{digits}f}" for number in change)
    return f"{before} → {after} {difference.unit} (change {value}, 95 %: {low} to {high})"


def _picture(one: ComparisonPicture, folder: Path) -> Pictures:
    caption = f"{code(one.before)} and {code(one.after)}"
    alt = f"{one.before} and {one.after} side by side"
    return Pictures([Picture((folder / one.path).read_bytes(), Path(one.path).name, alt, caption)])


_METHOD = (
    "Each pair of photos is aligned by features of the wall and by the lines of its cracks and joints. "
    "Photos that do not surely show the same part of a wall are not compared.",
    "Sizes of the later visit are converted to the earlier photo, so errors of the scale cancel. Widths are "
    "compared where both photos show the line. Brackets contain the 95 % interval of the change.",
    "A finding has grown if the whole interval of its width or of its gained length lies above zero. Length "
    "counts only where the earlier photo could have shown it and shows no line.",
    "A finding is new or repaired only if the other photo could show it and shows no line there.",
)
