"""Writes the results of an ablation as tables in text, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drywallqa.files import json_bytes, write_whole

Row = dict[str, Any]
_MEANS = {
    "iou": "IoU", "dice": "Dice", "pixel_accuracy": "accuracy", "background_accuracy": "all background",
    "false_alarm_rate": "false alarms",
}  # fmt: skip
_OF_CONCEPT = (
    "iou", "dice", "pixel_accuracy", "background_accuracy", "false_alarm_rate", "threshold", "presence",
    "pairs", "photographs",
)  # fmt: skip


def write_ablation_tables(folder: Path, rows: Sequence[Row]) -> None:
    """Write the tables `table.txt`, `table.csv` and `table.json` atomically."""
    write_whole(folder / "table.txt", ("\n".join(ablation_lines(rows)) + "\n").encode())
    write_whole(folder / "table.csv", ablation_csv(rows).encode())
    write_whole(folder / "table.json", json_bytes(list(rows)))


def ablation_lines(rows: Sequence[Row]) -> list[str]:
    """Format rows as text, with one line per recipe and threshold rule, and a legend with the alarms."""
    concepts = list(dict.fromkeys(c for row in rows for m in row.get("measured", ()) for c in m["concepts"]))
    head = ["recipe", "threshold", *(f"IoU {c}" for c in concepts), *_MEANS.values(), "loss", "training loss"]
    table = [head]
    for row in rows:
        if "stopped" in row:
            table.append([row["name"], "-", *["-"] * (len(head) - 4), "-", _cell(row["training_loss"])])
        for measured in row.get("measured", ()):
            own = measured["concepts"]
            levels = ", ".join(f"{own[c]['threshold']:.2f}" for c in concepts if c in own)
            table.append([
                row["name"], f"{measured['rule']}: {levels}" if measured["rule"] != "0.5" else "0.5",
                *(_cell(own[c]["iou"] if c in own else None) for c in concepts),
                *(_cell(measured["means"][name]) for name in _MEANS),
                _cell(row["loss"]), _cell(row["training_loss"]),
            ])  # fmt: skip
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in table]
    return [*(line.rstrip() for line in lines), "", *_legend(rows)]


def _legend(rows: Sequence[Row]) -> list[str]:
    splits = sorted({row["split"] for row in rows if "split" in row})
    lines = [
        f"Measured on split '{', '.join(splits)}'. Columns after the concepts are means over concepts. The "
        "loss is BCE + Dice for every recipe. The training loss is a recipe's own loss in its last epoch.",
    ]
    for row in rows:
        alarms = f"; alarms: {', '.join(row['alarms'])}" if row.get("alarms") else ""
        own = ", ".join(f"{_cell(m['report_iou'])} ({m['rule']})" for m in row.get("measured", ()))
        own = f"; IoU as in the report (batches of 2, two empty masks count as 1): {own}" if own else ""
        lines.append(
            f"{row['name']}: {row['title']}; {row['steps']} steps, {row['epochs']} epochs{own}{alarms}"
        )
        if "stopped" in row:
            lines.append(f"{row['name']}: {row['stopped']}")
    return lines


def ablation_csv(rows: Sequence[Row]) -> str:
    """Format rows as CSV with one line per recipe, threshold rule and concept."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([
        "recipe", "title", "rule", "concept", *_OF_CONCEPT, "report_iou", "loss", "training_loss", "steps",
        "epochs", "alarms",
    ])  # fmt: skip
    for row in rows:
        ending = [row["training_loss"], row["steps"], row["epochs"], " ".join(row["alarms"])]
        for measured in row.get("measured", ()):
            for concept, own in measured["concepts"].items():
                writer.writerow([
                    row["name"], row["title"], measured["rule"], concept, *(own[n] for n in _OF_CONCEPT),
                    measured["report_iou"], row["loss"], *ending,
                ])  # fmt: skip
        if "stopped" in row:
            writer.writerow([row["name"], row["title"], "stopped", *[""] * (len(_OF_CONCEPT) + 3), *ending])
    return stream.getvalue()


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
