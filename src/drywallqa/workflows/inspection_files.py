"""Write the files of an inspection: ledger, tables, pictures and report."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from drywallqa.inspection.finding_geojson import write_findings_geojson
from drywallqa.inspection.finding_tables import write_findings_csv, write_findings_parquet
from drywallqa.inspection.ledger import Ledger
from drywallqa.inspection.ledger_file import write_ledger

LEDGER = "inspection.json"


def write_inspection(ledger: Ledger, folder: Path) -> None:
    """Write the ledger and its tables into a folder. `findings.parquet` is written if pyarrow is installed.

    Raises:
        OutputError: A file cannot be written.
    """
    write_ledger(ledger, folder / LEDGER)
    write_findings_csv(ledger, folder / "findings.csv")
    write_findings_geojson(ledger, folder / "findings.geojson")
    if importlib.util.find_spec("pyarrow") is not None:
        write_findings_parquet(ledger, folder / "findings.parquet")
