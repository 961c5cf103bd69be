"""Format tables as text or CSV, and write the result of a hyperparameter sweep."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drywallqa.files import json_bytes, write_whole
from drywallqa.visualization.training_charts import trials_png

if TYPE_CHECKING:
    from drywallqa.experiments.optuna_sweep import Field, SweepTrial

NAME = "trials"


def write_sweep_table(trials: Sequence[SweepTrial], fields: Sequence[Field], out: Path) -> str:
    """Write the trials, best first, to `trials.txt`, `trials.csv`, `trials.json` and `trials.png`.

    Returns:
        The table as text.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        OutputError: A file cannot be written.
    """
    ranked = sorted(trials, key=lambda t: (-(t.iou if t.iou is not None else -math.inf), t.number))
    names = [field.name for field in fields]
    head = ["trial", "val IoU", *names, "seconds", "problem"]
    rows = [[t.number, t.iou, *(t.settings[name] for name in names), t.seconds, t.problem] for t in ranked]
    text = columns_text(head, rows)
    write_whole(out / f"{NAME}.txt", (text + "\n").encode())
    write_whole(out / f"{NAME}.csv", csv_text([head, *rows]).encode())
    write_whole(out / f"{NAME}.json", json_bytes([dict(zip(head, row, strict=True)) for row in rows]))
    write_whole(out / f"{NAME}.png", trials_png(trials, fields))
    return text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Format rows as CSV with Unix line endings."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def columns_text(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table as aligned columns of text for a terminal."""

    def cell(value: object) -> str:
        if value is None:
            return "–"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [list(head), *([cell(value) for value in row] for row in rows)]
    # The last column needs no padding.
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )
