"""Format the results of an evaluation as a text table, JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from drywallqa._version import __version__
from drywallqa.evaluation import curves
from drywallqa.evaluation.evaluation import Difference, Evaluation
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.slices import MEANINGS, PairSlice
from drywallqa.intervals import Figure
from drywallqa.reports.sweep_table import columns_text, csv_text

_SHOWN = ("IoU", "Dice", "precision", "recall", "false alarms")
_FURTHER = ("pixel accuracy", "pixel accuracy of all background", "clDice", "F1 within 3 px")
_COLUMNS = (
    "model", "split", "kind", "concept", "name", "figure", "value", "low", "high", "photographs", "pairs",
    "notes",
)  # fmt: skip


def evaluation_table(evaluation: Evaluation) -> list[str]:
    """Format an evaluation as lines of text: notes, and a table with one row per slice and 95 % intervals."""
    part, rows, further = evaluation.part, [], []
    for each in evaluation.slices:
        figures = each.figures()
        cells = [figure_cell(figures.get(name)) for name in _SHOWN]
        rows.append([_title(each), *cells, f"{each.pairs} ({each.absent_pairs})"])
        if each.kind == "concept":
            texts = [f"{name} {figure_cell(figures[name])}" for name in _FURTHER if name in figures]
            further.append(f"{each.concept}: {', '.join(texts)}")
    return [
        f"{evaluation.model.name} on {part.dataset.folder}, split '{part.split}': "
        f"{len(part.dataset)} photos made from {len(set(part.clusters.values()))} source photos",
        *(f"note: {note}" for note in evaluation.notes),
        "",
        *columns_text(["", *_SHOWN, "pairs (absent)"], rows).split("\n"),
        "",
        *further,
        "IoU by the method of the training report of November 2025 (mean over batches of 2; two empty masks "
        f"count as 1), only for comparison with that report: {evaluation.report_iou:.3f}",
        "Brackets: 95 % bootstrap intervals over source photos. Near-duplicates are resampled together.",
    ]


def difference_lines(compared: Sequence[Difference], first: str, second: str) -> list[str]:
    """Format the comparison of two models as lines of text."""
    lines = ["", f"{first} minus {second}, on the same pairs of photo and prompt:"]
    for each, gains in compared:
        if each.kind in ("overall", "concept"):
            found = {name: gains[name] for name in _SHOWN if name in gains}
            texts = [f"{name} {figure_cell(figure, '+.3f')}" for name, figure in found.items()]
            lines.append(f"  {_title(each)}: {', '.join(texts)}")
    return lines


def _title(each: PairSlice) -> str:
    return each.kind if each.kind == "overall" else f"{each.concept}, {each.kind}: {each.name}"


def figure_cell(figure: Figure | None, form: str = ".3f") -> str:
    """Format a metric and its 95 % interval with a format specification; "–" if the metric is missing."""
    if figure is None or math.isnan(figure.value):
        return "–"
    interval = "" if math.isnan(figure.low) else f" [{figure.low:{form}}, {figure.high:{form}}]"
    return f"{figure.value:{form}}{interval}"


def evaluation_json(
    evaluation: Evaluation, against: Evaluation | None = None, compared: Sequence[Difference] = ()
) -> dict[str, Any]:
    """Convert an evaluation, with an optional comparison, to data for JSON."""
    data = {
        **bundle_metrics(evaluation),
        "seconds": round(evaluation.seconds, 2),
        "regions": {truth: dict(row) for truth, row in evaluation.measurements.regions.items()},
        "curves": {query.prompt: _curves(evaluation.pairs(query.prompt)) for query in evaluation.queries},
        "skipped_photos": [{"photo": photo, "reason": why} for photo, why in evaluation.measurements.skipped],
        "leaks": dict(evaluation.leaks),
    }
    if against:
        differences = [_slice_json(each, gains) for each, gains in compared]
        data["against"] = {**evaluation_json(against), "differences": differences}
    return data


def bundle_metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Return the JSON data that is stored in a bundle: notes, photo counts and metrics per slice."""
    part = evaluation.part
    return {
        "format_version": 1,
        "package": __version__,
        "model": evaluation.model.name,
        "split": part.split,
        "photos": len(part.dataset),
        "photographs": len(set(part.clusters.values())),
        "skipped": len(evaluation.measurements.skipped),
        "leaking_photos": len(evaluation.leaks),
        "notes": list(evaluation.notes),
        "questions": [
            {
                "prompt": query.prompt,
                "concept": query.concept,
                "threshold": query.threshold,
                "presence_threshold": query.presence_threshold,
                "scale": query.scale,
                "refine": str(query.refinement),
            }
            for query in evaluation.queries
        ],
        "meanings": MEANINGS,
        "slices": [
            _slice_json(
                each, each.figures(), pairs=each.pairs, absent_pairs=each.absent_pairs,
                counts=asdict(each.counts),
            )
            for each in evaluation.slices
        ],
        "report_iou": round(evaluation.report_iou, 6),
    }  # fmt: skip


def _slice_json(each: PairSlice, figures: dict[str, Figure], **more: Any) -> dict[str, Any]:
    named = {name: figure.to_json() for name, figure in figures.items()}
    return {"kind": each.kind, "concept": each.concept, "name": each.name, **more, "figures": named}


def _curves(pairs: Sequence[PairMeasurement]) -> dict[str, Any]:
    if not pairs:
        return {}
    return {
        "average precision": round(curves.precision_recall(pairs).average_precision, 6),
        "calibration": curves.calibration(pairs).to_json(),
        "thresholds": _rows(curves.threshold_sweep(pairs)),
        "percentiles": _rows(curves.percentile_sweep(pairs)),
        "presence thresholds": _rows(curves.presence_sweep(pairs)),
    }


def _rows(rows: Sequence[curves.SweepRow]) -> list[dict[str, float | None]]:
    return [{k: None if math.isnan(v) else round(v, 6) for k, v in asdict(r).items()} for r in rows]


def figures_csv(evaluation: Evaluation) -> str:
    """Format all metrics as CSV, one metric per row. The last column repeats the evaluation's notes."""
    rows: list[tuple[object, ...]] = [_COLUMNS]
    notes = "; ".join(evaluation.notes)
    for each in evaluation.slices:
        head = (evaluation.model.name, evaluation.part.split, each.kind, each.concept, each.name)
        for name, figure in each.figures().items():
            numbers = [_number(value) for value in (figure.value, figure.low, figure.high)]
            rows.append((*head, name, *numbers, figure.photographs, figure.pairs, notes))
        for name, count in asdict(each.counts).items():
            rows.append((*head, name, count, "", "", "", "", notes))
    return csv_text(rows)


def pairs_csv(evaluation: Evaluation) -> str:
    """Format the result of each pair of photo and prompt as CSV, one pair per row."""
    rows = [_pair(pair, pair.sample.key in evaluation.leaks) for pair in evaluation.measurements.pairs]
    return csv_text([rows[0], *(row.values() for row in rows)])


def _pair(pair: PairMeasurement, leaking: bool) -> dict[str, Any]:
    sample, counts, thin = pair.sample, pair.counts, pair.thin
    return {
        "photo": sample.photo,
        "set": sample.set_name,
        "setting": sample.setting or "",
        "photograph": pair.photograph,
        "prompt": pair.query.prompt,
        "concept": pair.query.concept,
        "absent": int(pair.absent),
        "iou": "" if pair.absent else _number(counts.iou),
        "dice": "" if pair.absent else _number(counts.dice),
        "cldice": _number(thin.cldice) if thin else "",
        "f1_within_3_px": _number(thin.tolerant_f1) if thin else "",
        "width_px_at_640": _number(thin.width) if thin else "",
        "presence": _number(pair.presence),
        **asdict(counts),
        "false_alarm": int(counts.false_alarm) if pair.absent else "",
        "trained_on": int(leaking),
    }


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
