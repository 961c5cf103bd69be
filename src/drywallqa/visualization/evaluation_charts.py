"""Draw the charts of an evaluation: metrics over thresholds, calibration curves and a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from drywallqa.evaluation import curves
from drywallqa.evaluation.evaluation import Evaluation
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.measured_model import CHOSEN_ON, ChosenThresholds
from drywallqa.imaging import mask_files
from drywallqa.inference.queries import PromptQuery
from drywallqa.metrics import BINS
from drywallqa.visualization.charts import Chart, Line, chart_png, shares_png

_FINE = tuple(step / 64 for step in range(1, 64))
_PERCENTILES = tuple(np.linspace(70, 99.5, 40).tolist())
_SWEPT = {
    "IoU": "iou", "Dice": "dice", "precision": "precision", "recall": "recall",
    "false alarms": "false_alarms",
}  # fmt: skip


def evaluation_charts(evaluation: Evaluation) -> Iterator[tuple[str, bytes]]:
    """Draw all charts of an evaluation. Yield the file name and the PNG of each chart.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    split, notes = evaluation.part.split, evaluation.notes
    for query in evaluation.queries:
        pairs = evaluation.pairs(query.prompt)
        if all(pair.absent for pair in pairs):
            continue
        charts = {
            "precision-recall": _precision_recall(pairs, query),
            "calibration": _calibration(pairs),
            "thresholds": _mask_curve("mask threshold", pairs, query, "in use"),
            "presence": _presence_curve("presence threshold", pairs, query, "in use"),
            "percentiles": replace(
                _sweep("percentile", curves.percentile_sweep(pairs, None, _PERCENTILES)),
                title="percentile of each photo's probabilities as threshold", x_range=(70.0, 100.0),
            ),
        }  # fmt: skip
        for name, chart in charts.items():
            titled = replace(chart, title=f'"{query.prompt}" on {split}: {chart.title}', notes=notes)
            yield f"{name}__{mask_files.slug_of(query.prompt)}.png", chart_png(titled)
    if regions := evaluation.measurements.regions:
        columns = list(next(iter(regions.values())))
        counts = np.array([[row[name] for name in columns] for row in regions.values()], np.float64)
        total = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
        title = f"Predictions for the pixels of each concept, on the split {split}"
        yield "confusion.png", shares_png(title, list(regions), columns, shares.tolist(), notes)


def choosing_charts(chosen: ChosenThresholds) -> Iterator[tuple[str, bytes]]:
    """Draw the curves from which thresholds were chosen. Yield the file name and the PNG of each chart.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    for query, closer in product(chosen.queries, (False, True)):
        pairs = [pair for pair in chosen.pairs if (pair.concept, pair.closer) == (query.concept, closer)]
        if not pairs:
            continue
        applied = query.for_closer_views() if closer else query
        slug = mask_files.slug_of(query.prompt) + ("__large-photos" if closer else "")
        about = f'"{query.prompt}" on {CHOSEN_ON}' + (", large photos" if closer else "")
        title = f"{about}: mask threshold by {chosen.rule}"
        yield f"chosen-threshold__{slug}.png", chart_png(_mask_curve(title, pairs, applied, "chosen"))
        title = f"{about}: presence threshold by {chosen.presence_rule}"
        yield f"chosen-presence__{slug}.png", chart_png(_presence_curve(title, pairs, applied, "chosen"))


def _precision_recall(pairs: Sequence[PairMeasurement], query: PromptQuery) -> Chart:
    present = curves.precision_recall([pair for pair in pairs if not pair.absent])
    parts = {"photos that show it": present, "all photos": curves.precision_recall(pairs)}
    lines = [
        Line(
            f"{name}, AP {curve.average_precision:.2f}",
            list(zip(curve.recall[1:].tolist(), curve.precision[1:].tolist(), strict=True)),
        )
        for name, curve in parts.items()
    ]
    used = float(present.recall[min(BINS - 1, round(query.threshold * BINS))])
    mark = (used, f"threshold {query.threshold:.2f}")
    return Chart("precision and recall of pixels", "recall", "precision", lines, mark)


def _calibration(pairs: Sequence[PairMeasurement]) -> Chart:
    found = curves.calibration(pairs)
    points = list(zip(found.predicted.tolist(), found.observed.tolist(), strict=True))
    measured = Line(f"measured, mean error {found.error:.3f}", points, markers=True)
    lines = [Line("", [(0.0, 0.0), (1.0, 1.0)]), measured]
    return Chart("calibration", "predicted probability", "share foreground", lines)


def _mask_curve(title: str, pairs: Sequence[PairMeasurement], query: PromptQuery, verb: str) -> Chart:
    rows = curves.threshold_sweep(pairs, query.presence_threshold, sorted({*_FINE, *curves.SWEEP}))
    mark = (query.threshold, f"{verb}: {query.threshold:.2f}")
    return replace(_sweep("mask threshold", rows), title=title, mark=mark)


def _presence_curve(title: str, pairs: Sequence[PairMeasurement], query: PromptQuery, verb: str) -> Chart:
    rows = curves.presence_sweep(pairs, query.threshold, _FINE)
    mark = (query.presence_threshold, f"{verb}: {query.presence_threshold:.2f}")
    return replace(_sweep("presence threshold", rows), title=title, mark=mark)


def _sweep(x_title: str, rows: Sequence[curves.SweepRow]) -> Chart:
    lines = [Line(name, [(row.level, getattr(row, field)) for row in rows]) for name, field in _SWEPT.items()]
    return Chart("", x_title, "", lines)
