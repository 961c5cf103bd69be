"""The report of a comparison counts the changes and names what could not be compared."""

from __future__ import annotations

from pathlib import Path

from drywallqa.inspection.growth import Difference
from drywallqa.inspection.visit_changes import FindingChange
from drywallqa.reports.comparison_report import (
    ComparisonMaterial,
    comparison_chapters,
    write_comparison_report,
)
from drywallqa.reports.document import Table, Tiles
from visited_walls import ledger, observation, straight

GROWN = FindingChange(
    3, "hall", "crack", "grown", "…", "a.jpg", "b.jpg",
    width=Difference("mm", 1.0, 1.5, 0.5, 0.3, 0.7), pieces=2, merged=(1,),
)  # fmt: skip
LOST = FindingChange(2, "hall", "crack", "not comparable", "No later photo shows this place.", "a.jpg")


def material(folder: Path) -> ComparisonMaterial:
    one = ledger({1: observation(straight((0, 0), (50, 50)))})
    twice = type(one)(one.name, one.next_number, one.places, (*one.visits, *one.visits), one.findings)
    return ComparisonMaterial(twice, [LOST, GROWN], [], ["c.jpg"], ["d.jpg: the photo has changed"], folder)


def test_summary__counts_and_orders_the_changes(tmp_path: Path) -> None:
    blocks = next(comparison_chapters(material(tmp_path))).blocks
    (tiles,) = [one for one in blocks if isinstance(one, Tiles)]
    assert dict(zip(tiles.head, tiles.rows[0], strict=True))["Grown"] == "1"
    (table,) = [one for one in blocks if isinstance(one, Table) and not isinstance(one, Tiles)]
    assert [row[0] for row in table.rows] == ["3", "2"]
    assert table.rows[0][4] == "1.00 → 1.50 mm (change +0.50, 95 %: +0.30 to +0.70)"
    assert "2 pieces; it has grown together with 1" in str(table.rows[0][6])
    assert table.rows[1][6] == "No later photo shows this place."


def test_page__names_photos_that_were_not_compared(tmp_path: Path) -> None:
    page = write_comparison_report(material(tmp_path)).read_text("utf-8")
    assert "D.jpg: the photo has changed." in page
    assert "<code>c.jpg</code>" in page
