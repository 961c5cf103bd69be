"""The tables contain every observation with units in the column names, and run no formula."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from drywallqa.errors import MissingExtraError
from drywallqa.inspection.finding_tables import (
    finding_columns,
    finding_rows,
    write_findings_csv,
    write_findings_parquet,
)
from drywallqa.inspection.ledger import Ledger, Place, Verdict
from drywallqa.inspection.measures import Measure
from inspection_examples import around, finding_of, ledger_of, observation_of, photo_of


def example() -> Ledger:
    narrow = observation_of(Measure(None, 0.0, 0.25), notes=("=HYPERLINK(1)", "may count twice"))
    verdicts = (
        Verdict("width", "pass", "Fine."),
        Verdict("covering", "not assessable", "Not shown.", "look", decidable=False),
    )
    wide = observation_of(around(1.5, 0.1), verdicts=verdicts)
    ledger = ledger_of(
        finding_of(1, narrow),
        finding_of(2, wide, state="merged", into=(3, 4)),
        finding_of(3, observation_of()),
    )
    return replace(ledger, places=(Place("hall", "=cmd|' /C calc'!A0", "-north"),))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_units_intervals_and_at_most(tmp_path: Path) -> None:
    write_findings_csv(example(), tmp_path / "findings.csv")
    narrow, wide, pixels = read_csv(tmp_path / "findings.csv")
    assert list(narrow) == list(finding_columns())
    assert narrow["width_max_mm"] == ""
    assert (narrow["width_max_mm_low"], narrow["width_max_mm_high"]) == ("0", "0.25")
    assert narrow["width_max_mm_at_most"] == "0.25"
    assert (wide["width_max_mm"], wide["width_max_mm_at_most"], wide["width_max_px_low"]) == ("1.5", "", "14")
    assert wide["area_mm2"] == "200"
    assert (wide["state"], wide["into"], wide["date"]) == ("merged", "3 4", "2026-11-30")
    assert wide["verdict"] == "pass"
    assert wide["reasons"] == "[width: pass] Fine. [covering: not assessable] Not shown."
    assert pixels["width_max_mm"] == ""
    assert pixels["width_max_px"] == "5"
    assert (pixels["line_visible"], pixels["mm_per_pixel"]) == ("yes", "0.1")


def test_no_cell_starts_a_formula(tmp_path: Path) -> None:
    write_findings_csv(example(), tmp_path / "findings.csv")
    rows = read_csv(tmp_path / "findings.csv")
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t\r" and cell]
    assert rows[0]["room"] == "'=cmd|' /C calc'!A0"
    assert rows[0]["wall"] == "'-north"


def test_same_ledger_same_bytes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_findings_csv(example(), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_numbers_have_decimal_points_and_no_exponent(tmp_path: Path) -> None:
    ledger = ledger_of(
        finding_of(1, observation_of(around(1234567.0), probability=0.00001)), photos=(photo_of(1e-5),)
    )
    write_findings_csv(ledger, tmp_path / "findings.csv")
    (row,) = read_csv(tmp_path / "findings.csv")
    assert (row["width_max_mm"], row["probability"], row["mm_per_pixel"]) == ("1234570", "0.00001", "0.00001")


def test_every_row_has_only_known_columns() -> None:
    for row in finding_rows(example()):
        assert set(row) <= set(finding_columns())


def test_parquet_has_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_findings_parquet(example(), tmp_path / "findings.parquet")
    rows = parquet.read_table(tmp_path / "findings.parquet").to_pylist()
    assert [row["finding"] for row in rows] == [1, 2, 3]
    assert list(rows[0]) == list(finding_columns())
    assert rows[0]["width_max_mm"] is None
    assert rows[0]["width_max_mm_at_most"] == 0.25
    assert rows[0]["room"] == "=cmd|' /C calc'!A0"


def test_tables__of_a_file_name_that_is_not_text(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    ledger = ledger_of(finding_of(1))
    place = Place("bad\udcff")
    ledger = replace(ledger, places=(place,), findings=(replace(ledger.findings[0], place=place.id),))
    write_findings_parquet(ledger, tmp_path / "findings.parquet")
    write_findings_csv(ledger, tmp_path / "findings.csv")
    (row,) = parquet.read_table(tmp_path / "findings.parquet").to_pylist()
    assert row["place"] == "bad\\udcff"
    assert "bad\\udcff" in (tmp_path / "findings.csv").read_text("utf-8-sig")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"findings.parquet needs the optional extra 'fleet'"):
        write_findings_parquet(example(), tmp_path / "findings.parquet")
