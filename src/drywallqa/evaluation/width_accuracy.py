"""Calibrate the intervals of crack sizes, and test them: errors and coverage for each width class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.known_findings import KnownFinding
from drywallqa.inspection.crack_sizes import (
    QUANTITIES,
    UNTOLD,
    Calibration,
    RawSize,
    RawSizes,
    calibrated,
)
from drywallqa.synthetic.known_cracks import KNOWN_WIDTHS

_NODES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 12.0, 20.0, 30.0)  # px, measured widths
_FEWEST = 40  # findings at a node
_TAIL = 0.025
_SHARE = 0.04  # least share of a class among the findings at a node
_WHOLE = ("length", "area")  # quantities that are calibrated on cracks whose branches were all found
_ANGLES = 12


def fit_calibration(findings: Iterable[KnownFinding]) -> Calibration:
    """Fit the table from which `inspection.crack_sizes` makes intervals.

    For each quantity and each measured width, the table contains quantiles of how far the truth lies from the
    measured value, in units of the value's uncertainty. Widths that the photo cannot tell are separate.
    """
    found = [finding for finding in findings if finding.found]
    table: dict[str, dict[str, list[float]]] = {}
    for name in QUANTITIES:
        for told in (True, False):
            chosen = [
                one for one in found if one.told == told and (one.complete or name not in _WHOLE)
            ]  # fmt: skip
            table[name if told else name + UNTOLD] = _quantiles(name, told, chosen)
    return table


def _quantiles(name: str, told: bool, findings: Sequence[KnownFinding]) -> dict[str, list[float]]:
    widths = np.array([one.width_px for one in findings])
    classes = np.array([one.width for one in findings])
    surfaces = np.array([one.surface for one in findings])
    scores = np.array([(one.truths[name] - one.values[name]) / one.sigmas[name] for one in findings])
    nearest = np.abs(np.log(np.maximum(widths, 1e-3))[:, None] - np.log(_NODES)).argmin(axis=1)
    rows: dict[str, list[float]] = {"width_px": [], "middle": [], "low": [], "high": []}
    for number, node in enumerate(_NODES):
        own = nearest == number
        if own.sum() >= _FEWEST:
            low, high = _limits(scores[own], [classes[own], surfaces[own]])
            middle = float(np.median(scores[own])) if told else 0.0
            for part, value in zip(rows, (node, middle, low, high), strict=True):
                rows[part].append(round(value, 3))
    return rows


def _limits(scores: NDArray[np.float64], groupings: Sequence[NDArray[np.generic]]) -> tuple[float, float]:
    """Return limits that hold 95 % of the scores of each group of each grouping.

    Narrow classes look alike, and a coarse surface blurs edges; the intervals must hold for each of them.
    """
    limits = []
    for groups in groupings:
        kinds = [scores[groups == one] for one in np.unique(groups)]
        limits += [np.quantile(own, (_TAIL, 1 - _TAIL)) for own in kinds if len(own) >= _SHARE * len(scores)]
    return float(min(low for low, _ in limits)), float(max(high for _, high in limits))


@dataclass(frozen=True)
class ClassAccuracy:
    """Errors and coverage of one width class.

    Attributes:
        width: The class in px; 0 for all classes.
        count: Number of cracks.
        found: Share of cracks of which lines were found.
        told: Share of the found cracks whose width is a number.
        width_error: Mean absolute error of the mean width in px, where it is a number.
        width_bias: Mean error of the mean width in px, where it is a number.
        point_error: Mean absolute error of the width at a point in px, where it is a number.
        complete: Share of the found cracks of which all branches were found.
        length_error: Median relative error of the length of complete cracks.
        area_error: Median relative error of the area of complete cracks whose width is a number.
        coverage: Share of intervals that contain the truth by quantity; lengths and areas of complete cracks.
        coverage_of_all: The same for lengths and areas of all found cracks.
    """

    width: float
    count: int
    found: float
    told: float
    width_error: float
    width_bias: float
    point_error: float
    complete: float
    length_error: float
    area_error: float
    coverage: dict[str, float]
    coverage_of_all: dict[str, float]


def class_accuracies(findings: Sequence[KnownFinding], table: Calibration) -> list[ClassAccuracy]:
    """Measure each width class."""
    return [
        _class_accuracy(width, [one for one in findings if one.width == width], table)
        for width in KNOWN_WIDTHS
        if any(one.width == width for one in findings)
    ]


def _class_accuracy(width: float, findings: Sequence[KnownFinding], table: Calibration) -> ClassAccuracy:
    found = [one for one in findings if one.found]
    numbers, complete = [one for one in found if one.told], [one for one in found if one.complete]
    errors = np.array([_measured(one, "width_mean", table) - one.truths["width_mean"] for one in numbers])
    lengths = [_measured(one, "length", table) / one.truths["length"] - 1 for one in complete]
    areas = [_measured(one, "area", table) / one.truths["area"] - 1 for one in complete if one.told]
    return ClassAccuracy(
        width,
        len(findings),
        len(found) / len(findings),
        _mean([one.told for one in found]),
        _mean(np.abs(errors)),
        _mean(errors),
        _mean([one.point_error for one in numbers]),
        _mean([one.complete for one in found]),
        _median(np.abs(lengths)),
        _median(np.abs(areas)),
        {name: _coverage(complete if name in _WHOLE else found, name, table) for name in QUANTITIES},
        {name: _coverage(found, name, table) for name in _WHOLE},
    )


def length_bias(findings: Sequence[KnownFinding], table: Calibration) -> dict[float, float]:
    """Return the median relative error of the length of straight cracks for each range of directions.

    The keys are the middles of the ranges in degrees.
    """
    step = 180 / _ANGLES
    errors: dict[float, list[float]] = {(number + 0.5) * step: [] for number in range(_ANGLES)}
    for one in findings:
        if one.found and one.complete and one.form == "straight":
            number = min(int(one.angle / step), _ANGLES - 1)
            errors[(number + 0.5) * step].append(_measured(one, "length", table) / one.truths["length"] - 1)
    return {angle: _median(values) for angle, values in errors.items()}


def _raw(finding: KnownFinding) -> RawSizes:
    sizes = {name: RawSize(finding.values[name], finding.sigmas[name]) for name in QUANTITIES}
    return RawSizes(sizes, finding.width_px, finding.told)


def _measured(finding: KnownFinding, name: str, table: Calibration) -> float:
    measure = calibrated(name, _raw(finding), table)
    return measure.high if measure.value is None else measure.value


def _coverage(findings: Sequence[KnownFinding], name: str, table: Calibration) -> float:
    measures = [calibrated(name, _raw(one), table) for one in findings]
    truths = [one.truths[name] for one in findings]
    return _mean([each.low <= truth <= each.high for each, truth in zip(measures, truths, strict=True)])


def _mean(values: Iterable[float]) -> float:
    numbers = np.asarray(list(values), float)
    return float(numbers.mean()) if len(numbers) else float("nan")


def _median(values: Iterable[float]) -> float:
    numbers = np.asarray(list(values), float)
    return float(np.median(numbers)) if len(numbers) else float("nan")


def accuracy_table(accuracies: Sequence[ClassAccuracy]) -> str:
    """Return the accuracies as a Markdown table."""
    names = ("mean", "median", "95th percentile", "largest")
    head = ["width (px)", "cracks", "found", "width is a number", "MAE of the mean width (px)", "bias (px)",
            "MAE at a point (px)", *(f"coverage: {name} width" for name in names), "all branches found",
            "length: median error", "coverage: length", "area: median error", "coverage: area",
            "coverage with missed branches: length, area"]  # fmt: skip
    rows = [head, ["---:"] * len(head)]
    for one in accuracies:
        cover = one.coverage
        rows.append(
            [f"{one.width:g}", str(one.count), _percent(one.found), _percent(one.told)]
            + [_pixels(value) for value in (one.width_error, one.width_bias, one.point_error)]
            + [_percent(cover[name]) for name in QUANTITIES[2:]]
            + [_percent(one.complete), _percent(one.length_error, 2), _percent(cover["length"])]
            + [_percent(one.area_error, 1), _percent(cover["area"])]
            + [", ".join(_percent(one.coverage_of_all[name]) for name in _WHOLE)]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def bias_table(biases: dict[float, float]) -> str:
    """Return the bias of lengths by direction as a Markdown table."""
    rows = ["| direction | bias of the length |", "|---:|---:|"]
    return "\n".join(rows + [f"| {angle:.1f}° | {_percent(bias, 2)} |" for angle, bias in biases.items()])


def _percent(value: float, digits: int = 1) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.{digits}f} %"


def _pixels(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
