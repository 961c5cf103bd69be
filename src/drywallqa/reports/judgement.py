"""Derive strengths, limits and next steps from an evaluation's metrics by fixed rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drywallqa.reports.document import escape
from drywallqa.reports.sources import EvaluationRecord, FigureSlice

FEW = 30
"""Minimum number of source photos. With fewer source photos, the intervals of any model are wide."""

_QUIET, _LOUD = 0.02, 0.05  # false-alarm rates: a strength is at most the first, a limit is above the second
_GAP = 0.1  # minimum difference between two metrics that the report mentions
_SURE_QUIET = 0.1  # for a strength, the interval of the false-alarm rate must end below this
_CALIBRATED, _UNCALIBRATED = 0.05, 0.1
_BINS = ("predicted", "observed", "pixels")  # the keys of a calibration curve in evaluation.json
_FOREGROUND = 0.1  # calibration uses only pixels with a higher predicted probability
_EVALUATE = "drywallqa evaluate --data DATA --model BUNDLE --choose"
_TRAIN = "drywallqa train --data DATA --out RUN --set"
_LARGER = "Train with a larger window, so that thin objects stay visible."
_BOTH = "Train on pictures that show both objects."
_CAUSE_STEPS = {
    "doubtful label": "Correct the doubtful labels (failures/to-labelling.csv).",
    "taken for another": _BOTH,
    "lighting or texture": "Add more training photos with poor light and rough texture.",
    "missed thin": _LARGER,
    "missed": "Look at the missed objects. If most are of one kind, label more objects of this kind.",
    "broken": "Join broken masks in post-processing, and train with a centreline loss.",
    "false edge": "Train on more photos of edges, cables and shadows, which resemble the object.",
    "wrong extent": "Check whether all labels have the same extent. Inconsistent labels cause bad masks.",
}
_UNEVEN_STEPS = {
    "set": "Add more training photos that resemble the set with the lowest IoU.",
    "setting": "Add more training photos of the setting with the lowest IoU.",
    "width": _LARGER,
}


@dataclass(frozen=True)
class Statement:
    """One conclusion from the metrics.

    Attributes:
        good: Whether the conclusion is a strength.
        text: The conclusion, with the numbers that support it.
        step: Recommended action; "" if there is none.
        command: Command for the recommended action; "" if there is none.
        weight: Expected gain, roughly in IoU. Steps with a larger gain come first.
    """

    good: bool
    text: str
    step: str = ""
    command: str = ""
    weight: float = 0.0


def judge(measured: EvaluationRecord) -> list[Statement]:
    """Draw conclusions from the metrics of one evaluation, concept by concept."""
    statements = list(_general(measured))
    for part in measured.of("concept"):
        name = escape(part.concept)
        for rule in (_overlap, _alarms, _balance, _evidence):
            statements += rule(part, name)
        statements += _unevenness(measured, part, name)
        statements += _calibration(measured, part, name)
    return [*statements, *_confusion(measured), *_causes(measured)]


def steps(statements: Sequence[Statement]) -> list[Statement]:
    """Return the statements that recommend a step. Each step occurs once, and the most promising is first."""
    first: dict[str, Statement] = {}
    for statement in sorted((s for s in statements if s.step), key=lambda s: -s.weight):
        first.setdefault(statement.step, statement)
    return list(first.values())


def _general(measured: EvaluationRecord) -> Iterator[Statement]:
    if leaking := int(measured.data.get("leaking_photos", 0)):
        yield Statement(
            False, f"{leaking} evaluated photos are copies of training photos, so every metric is too "
            "optimistic.", "Split the data set by source photo, then train and evaluate again.",
            "drywallqa data split DATA --group near-duplicates", 1.0,
        )  # fmt: skip
    if skipped := int(measured.data.get("skipped", 0)):
        yield Statement(
            False, f"{skipped} photos could not be evaluated.", "Repair or remove the skipped photos.",
            "drywallqa data audit DATA", 0.5,
        )  # fmt: skip


def _overlap(part: FigureSlice, name: str) -> Iterator[Statement]:
    iou = part.figure("IoU")
    sure = iou.value if math.isnan(iou.low) else iou.low
    mark = 0.5 if sure > 0.5 else 0.3
    if sure > mark:
        yield Statement(
            True, f"{name}: IoU {part.text('IoU')}, above {mark} even at the lower end of the interval."
        )
    elif not math.isnan(sure):
        yield Statement(
            False, f"{name}: IoU {part.text('IoU')}; the lower end of the interval is below 0.3.",
            f"Train longer, with more photos of {name} and a larger window.",
            f"{_TRAIN} optimisation.epochs=24", 0.5 - sure,
        )  # fmt: skip


def _alarms(part: FigureSlice, name: str) -> Iterator[Statement]:
    alarms = part.figure("false alarms")
    rate = part.text("false alarms", ".1%")
    text = f"{name}: false alarms on {rate} of {part.absent_pairs} photos without {name}."
    if not part.absent_pairs:
        yield Statement(
            False, f"{name}: false alarms are unknown, because no evaluated photo is labelled without it.",
            f"Import photos that do not show any {name}, and declare it absent.",
            f'drywallqa data import EXPORT --out DATA --absent "{name}"', 0.2,
        )  # fmt: skip
    elif alarms.value <= _QUIET and alarms.high <= _SURE_QUIET:
        yield Statement(True, text)
    elif alarms.value > _LOUD:
        yield Statement(
            False, text, f"Train on more photos without {name}, and raise its presence threshold.",
            f"{_EVALUATE} precision=0.9", alarms.value,
        )  # fmt: skip


def _balance(part: FigureSlice, name: str) -> Iterator[Statement]:
    excess = part.figure("precision").value - part.figure("recall").value
    figures = f"(precision {part.text('precision')}, recall {part.text('recall')})"
    if excess > _GAP:
        yield Statement(
            False, f"{name}: the model misses more pixels than it marks falsely {figures}.",
            f"If missed pixels are worse, lower the mask threshold of {name} to reach a chosen recall.",
            f"{_EVALUATE} recall=0.9", excess / 4,
        )  # fmt: skip
    elif excess < -_GAP:
        yield Statement(
            False, f"{name}: the model falsely marks more pixels than it misses {figures}.",
            f"If false marks are worse, raise the mask threshold of {name} to reach a chosen precision.",
            f"{_EVALUATE} precision=0.8", -excess / 4,
        )  # fmt: skip


def _evidence(part: FigureSlice, name: str) -> Iterator[Statement]:
    iou = part.figure("IoU")
    if part.figure("clDice").value > iou.value + 1.5 * _GAP:
        yield Statement(
            True, f"{name}: centre lines agree better (clDice {part.text('clDice')}) than areas. "
            "The model finds the position, but its masks differ from the labels in width."
        )  # fmt: skip
    if part.pairs > 0 and iou.photographs < FEW:
        yield Statement(
            False, f"{name}: its metrics are based on only {iou.photographs} source photos.",
            "Label more source photos for the evaluated split. Copies of a photo add no evidence.", "", 0.15,
        )  # fmt: skip


def _unevenness(measured: EvaluationRecord, part: FigureSlice, name: str) -> Iterator[Statement]:
    for kind, step in _UNEVEN_STEPS.items():
        parts = [each for each in measured.of(kind, part.concept) if each.pairs]
        parts.sort(key=lambda each: each.figure("IoU").value)
        gap = parts[-1].figure("IoU").value - parts[0].figure("IoU").value if parts else 0.0
        if gap <= _GAP:
            continue
        command = f"{_TRAIN} data.window=448" if kind == "width" else ""
        if kind == "width" and parts[0].name.startswith("wide"):
            step = "Check the labels of the widest objects. No model can match far too large outlines."
            command = ""
        yield Statement(
            False, f"{name}: IoU depends on {kind}: {parts[0].text('IoU')} for '{escape(parts[0].name)}' "
            f"and {parts[-1].text('IoU')} for '{escape(parts[-1].name)}'.", step, command, gap / 3,
        )  # fmt: skip


def _calibration(measured: EvaluationRecord, part: FigureSlice, name: str) -> Iterator[Statement]:
    curves = measured.data.get("curves") or {}
    prompts = [q["prompt"] for q in measured.data["questions"] if q["concept"] == part.concept]
    found = [curves[prompt]["calibration"] for prompt in prompts if "calibration" in curves.get(prompt, {})]
    error = _foreground_error(found[0]) if found else math.nan
    text = f"{name}: probabilities over {_FOREGROUND} differ from true shares by {error:.2f} on average"
    if error > _UNCALIBRATED:
        yield Statement(False, f"{text}. Use them only for ranking.")
    elif error < _CALIBRATED:
        yield Statement(True, f"{text}.")


def _foreground_error(found: Mapping[str, Sequence[float | None]]) -> float:
    """Return the calibration error of probabilities above `_FOREGROUND`, to exclude most background."""
    bins = [
        (abs(predicted - observed), pixels)
        for predicted, observed, pixels in zip(*(found[key] for key in _BINS), strict=True)
        if predicted is not None and observed is not None and pixels and predicted > _FOREGROUND
    ]
    total = sum(pixels for _, pixels in bins)
    return sum(error * pixels for error, pixels in bins) / total if total else math.nan


def _confusion(measured: EvaluationRecord) -> Iterator[Statement]:
    regions = measured.data.get("regions") or {}
    for truth, row in regions.items():
        for other in regions:
            if truth == "background" or other in ("background", truth) or not sum(row.values()):
                continue
            share = row.get(other, 0) / sum(row.values())
            text = f"{escape(truth)}: {share:.1%} of its pixels are marked only as {escape(other)}."
            if share > _LOUD:
                yield Statement(False, text, _BOTH, f"{_TRAIN} data.composite_share=0.3", share)
            else:
                yield Statement(True, text)


def _causes(measured: EvaluationRecord) -> Iterator[Statement]:
    total = sum(measured.causes.values())
    for cause, count in measured.causes.items():
        if cause in _CAUSE_STEPS and count > 1:
            text = f"{count} of the {total} worst masks look like: {escape(cause)}."
            yield Statement(False, text, _CAUSE_STEPS[cause], "", 0.2 * count / total)
