"""An evaluation as a table, JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from drywallqa._version import __version__
from drywallqa.evaluation import curves
from drywallqa.evaluation.evaluation import Difference, Evaluation
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.slices import MEANINGS, PairSlice
from drywallqa.inference.queries import PromptQuery
from drywallqa.intervals import Figure

_SHOWN = ("IoU", "Dice", "precision", "recall", "false alarms")
_TELLING = ("pixel accuracy", "pixel accuracy of all background", "clDice", "F1 within 3 px")


def evaluation_table(evaluation: Evaluation) -> list[str]:
    """Describe an evaluation as lines of text: notes, then a row a slice, with 95 % intervals."""
    part = evaluation.part
    lines = [
        f"{evaluation.model.name} on {part.dataset.folder}, split '{part.split}': "
        f"{len(part.dataset)} photos of {len(set(part.clusters.values()))} photographs",
        *(f"note: {note}" for note in evaluation.notes),
        "",
    ]
    names = ["", *_SHOWN, "pairs (absent)"]
    rows = [names]
    for each in evaluation.slices:
        figures = each.figures()
        cells = [_cell(figures.get(name)) for name in _SHOWN]
        rows.append([_title(each), *cells, f"{each.pairs} ({each.absent_pairs})"])
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.append("")
    for each in evaluation.slices:
        if each.kind == "concept":
            figures = each.figures()
            told = [f"{name} {_cell(figures[name])}" for name in _TELLING if name in figures]
            lines.append(f"{each.concept}: {', '.join(told)}")
    lines.append(
        f"the original report's own IoU (batches of 2 averaged, two empty masks count 1; no headline): "
        f"{evaluation.report_iou:.3f}"
    )
    lines.append("In brackets: 95 % interval, photographs resampled, near-duplicates together.")
    return [line.rstrip() for line in lines]


def difference_lines(compared: Sequence[Difference], first: str, second: str) -> list[str]:
    """Describe a comparison as lines of text."""
    lines = ["", f"{first} less {second}, on the same pairs:"]
    for each in compared:
        if each.slice.kind in ("overall", "concept"):
            told = [
                f"{name} {_cell(each.figures[name], sign=True)}" for name in _SHOWN if name in each.figures
            ]
            lines.append(f"  {_title(each.slice)}: {', '.join(told)}")
    return lines


def _title(each: PairSlice) -> str:
    return each.kind if each.kind == "overall" else f"{each.concept}, {each.kind}: {each.name}"


def _cell(figure: Figure | None, *, sign: bool = False) -> str:
    if figure is None or math.isnan(figure.value):
        return "–"
    form = "+.3f" if sign else ".3f"
    interval = "" if math.isnan(figure.low) else f" [{figure.low:{form}}, {figure.high:{form}}]"
    return f"{figure.value:{form}}{interval}"


def evaluation_json(
    evaluation: Evaluation, against: Evaluation | None = None, compared: Sequence[Difference] = ()
) -> dict[str, Any]:
    """Describe everything as plain data."""
    data = _describe(evaluation)
    if against:
        data["against"] = {
            **_describe(against),
            "differences": [{**_head(each.slice), "figures": _figures(each.figures)} for each in compared],
        }
    return data


def bundle_metrics(evaluation: Evaluation) -> dict[str, Any]:
    """What a bundle keeps: notes, photos, and the figures by slice."""
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
        "questions": [_question(question) for question in evaluation.queries],
        "meanings": MEANINGS,
        "slices": [_slice(each) for each in evaluation.slices],
        "report_iou": round(evaluation.report_iou, 6),
    }


def _question(question: PromptQuery) -> dict[str, Any]:
    return {
        "prompt": question.prompt,
        "concept": question.concept,
        "threshold": question.threshold,
        "presence_threshold": question.presence_threshold,
        "scale": question.scale,
        "refine": str(question.refinement),
    }


def _describe(evaluation: Evaluation) -> dict[str, Any]:
    regions = evaluation.measurements.regions
    return {
        **bundle_metrics(evaluation),
        "seconds": round(evaluation.seconds, 2),
        "regions": {truth: dict(row) for truth, row in regions.items()},
        "curves": {question.prompt: _curves(evaluation, question.prompt) for question in evaluation.queries},
        "skipped_photos": [{"photo": photo, "reason": why} for photo, why in evaluation.measurements.skipped],
        "leaks": dict(evaluation.leaks),
    }


def _curves(evaluation: Evaluation, prompt: str) -> dict[str, Any]:
    pairs = evaluation.pairs(prompt)
    if not pairs:
        return {}
    recall = curves.precision_recall(pairs)
    return {
        "average precision": round(recall.average_precision, 6),
        "calibration": curves.calibration(pairs).to_json(),
        "thresholds": _rows(curves.threshold_sweep(pairs)),
        "percentiles": _rows(curves.percentile_sweep(pairs)),
        "presence thresholds": _rows(curves.presence_sweep(pairs)),
    }


def _rows(rows: Sequence[curves.SweepRow]) -> list[dict[str, float | None]]:
    return [
        {k: None if math.isnan(v) else round(v, 6) for k, v in dataclasses.asdict(r).items()} for r in rows
    ]


def _head(each: PairSlice) -> dict[str, Any]:
    return {"kind": each.kind, "concept": each.concept, "name": each.name}


def _figures(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: figure.to_json() for name, figure in figures.items()}


def _slice(each: PairSlice) -> dict[str, Any]:
    return {
        **_head(each),
        "pairs": each.pairs,
        "absent_pairs": each.absent_pairs,
        "counts": dataclasses.asdict(each.counts),
        "figures": _figures(each.figures()),
    }


def figures_csv(evaluation: Evaluation) -> str:
    """List every figure, a row each; the last column repeats the notes that a reader must know."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            "model",
            "split",
            "kind",
            "concept",
            "name",
            "figure",
            "value",
            "low",
            "high",
            "photographs",
            "pairs",
            "notes",
        ]
    )
    head, notes = [evaluation.model.name, evaluation.part.split], "; ".join(evaluation.notes)
    for each in evaluation.slices:
        for name, figure in each.figures().items():
            numbers = ["" if math.isnan(v) else f"{v:.6f}" for v in (figure.value, figure.low, figure.high)]
            row = [
                each.kind,
                each.concept,
                each.name,
                name,
                *numbers,
                figure.photographs,
                figure.pairs,
                notes,
            ]
            writer.writerow([*head, *row])
        for name, count in dataclasses.asdict(each.counts).items():
            writer.writerow([*head, each.kind, each.concept, each.name, name, count, "", "", "", "", notes])
    return stream.getvalue()


def pairs_csv(evaluation: Evaluation) -> str:
    """List every pair, a row each."""
    stream = io.StringIO()
    columns = [*_pair(evaluation, evaluation.measurements.pairs[0])]
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for pair in evaluation.measurements.pairs:
        writer.writerow(_pair(evaluation, pair))
    return stream.getvalue()


def _pair(evaluation: Evaluation, pair: PairMeasurement) -> dict[str, Any]:
    sample, counts, thin = pair.sample, pair.counts, pair.thin
    shares = {
        "iou": math.nan if pair.absent else counts.iou,
        "dice": math.nan if pair.absent else counts.dice,
        "cldice": thin.cldice if thin else math.nan,
        "f1_within_3_px": thin.tolerant_f1 if thin else math.nan,
        "width_px_at_640": thin.width if thin else math.nan,
        "presence": pair.presence,
    }
    return {
        "photo": sample.photo,
        "set": sample.set_name,
        "setting": sample.setting or "",
        "photograph": pair.photograph,
        "prompt": pair.query.prompt,
        "concept": pair.query.concept,
        "absent": int(pair.absent),
        **{name: "" if math.isnan(value) else f"{value:.6f}" for name, value in shares.items()},
        **dataclasses.asdict(counts),
        "false_alarm": int(counts.false_alarm) if pair.absent else "",
        "trained_on": int(sample.key in evaluation.leaks),
    }
