"""What an evaluation's figures mean: strengths, limits, and what to do next, each with its evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drywallqa.reports.document import escape
from drywallqa.reports.sources import EvaluationRecord, FigureSlice

FEW = 30
"""Photographs below which an interval is wide whatever the model."""

_QUIET, _LOUD = 0.02, 0.05  # shares of photos with a false alarm
_GAP = 0.1  # between two figures, from which on it is worth a word
_SURE_QUIET = 0.1  # upper end of an interval
_CALIBRATED, _UNCALIBRATED = 0.05, 0.1
_BINS = ("predicted", "observed", "pixels")  # of a calibration curve
_ANSWERED = 0.1  # probability from which on the model sees something


@dataclass(frozen=True)
class Statement:
    """One thing that figures say.

    Attributes:
        good: Whether it is a strength.
        text: What they say, figures included.
        step: What to do about it; "" where there is nothing to do.
        command: What to type for that; "" where no command helps.
        weight: How much there is to gain, to order the steps by; about a share of IoU.
    """

    good: bool
    text: str
    step: str = ""
    command: str = ""
    weight: float = 0.0


def judge(measured: EvaluationRecord) -> list[Statement]:
    """Say what the figures of one evaluation mean, concept by concept."""
    statements = list(_general(measured))
    for cut in measured.of("concept"):
        for find in (_overlap, _alarms, _balance, _lines, _evidence):
            statements += find(cut)
        statements += _unevenness(measured, cut)
        statements += _calibration(measured, cut)
    return statements + list(_confusion(measured)) + list(_causes(measured))


def steps(statements: Sequence[Statement]) -> list[Statement]:
    """The statements that ask for something, the most promising first; each step once."""
    asked: dict[str, Statement] = {}
    for statement in sorted((s for s in statements if s.step), key=lambda s: -s.weight):
        asked.setdefault(statement.step, statement)
    return list(asked.values())


def _general(measured: EvaluationRecord) -> Iterator[Statement]:
    if leaking := int(measured.data.get("leaking_photos", 0)):
        yield Statement(
            False, f"{leaking} measured photos show photographs that the model was trained on: every figure "
            "flatters.", "Split the data set by photograph, train and measure again.",
            "drywallqa data split DATA --group near-duplicates", 1.0,
        )  # fmt: skip
    if skipped := int(measured.data.get("skipped", 0)):
        yield Statement(
            False, f"{skipped} photos could not be measured.", "Mend or remove the photos that were skipped.",
            "drywallqa data audit DATA", 0.5,
        )  # fmt: skip


def _overlap(cut: FigureSlice) -> Iterator[Statement]:
    iou = cut.figure("IoU")
    if math.isnan(iou.value):
        return
    sure = iou.low if not math.isnan(iou.low) else iou.value
    name = escape(cut.concept)
    if sure > 0.5:
        yield Statement(True, f"{name}: IoU {iou.shown()}, above 0.5 even at the interval's lower end.")
    elif sure > 0.3:
        yield Statement(True, f"{name}: IoU {iou.shown()}, above 0.3 even at the interval's lower end.")
    else:
        yield Statement(
            False, f"{name}: IoU {iou.shown()}; the interval reaches below 0.3.",
            f"Train longer on {name}, on more photos and at a larger window.",
            "drywallqa train --data DATA --out RUN --set optimisation.epochs=24", 0.5 - sure,
        )  # fmt: skip


def _alarms(cut: FigureSlice) -> Iterator[Statement]:
    alarms, name = cut.figure("false alarms"), escape(cut.concept)
    if not cut.absent_pairs:
        yield Statement(
            False, f"{name}: no measured photo is known to be without it, so false alarms are not measured.",
            f"Import photos that are known to show no {name}.",
            f'drywallqa data import EXPORT --out DATA --absent "{name}"', 0.2,
        )  # fmt: skip
        return
    told = f"{name}: false alarms {alarms.shown_percent()}, of {cut.absent_pairs} photos without it"
    if alarms.value <= _QUIET and alarms.high <= _SURE_QUIET:
        yield Statement(True, f"{told}.")
    elif alarms.value > _LOUD:
        yield Statement(
            False, f"{told}.", f"Train on more photos without {name}, and raise its presence threshold.",
            "drywallqa evaluate --data DATA --model BUNDLE --choose precision=0.9", alarms.value,
        )  # fmt: skip


def _balance(cut: FigureSlice) -> Iterator[Statement]:
    precision, recall, name = cut.figure("precision"), cut.figure("recall"), escape(cut.concept)
    told = f"precision {precision.shown()}, recall {recall.shown()}"
    if precision.value > recall.value + _GAP:
        yield Statement(
            False, f"{name}: it leaves out more than it adds ({told}).",
            f"Lower the mask threshold of {name} to a wanted recall, where missing costs more.",
            "drywallqa evaluate --data DATA --model BUNDLE --choose recall=0.9",
            (precision.value - recall.value) / 4,
        )  # fmt: skip
    elif recall.value > precision.value + _GAP:
        yield Statement(
            False, f"{name}: it adds more than it leaves out ({told}).",
            f"Raise the mask threshold of {name} to a wanted precision, where adding costs more.",
            "drywallqa evaluate --data DATA --model BUNDLE --choose precision=0.8",
            (recall.value - precision.value) / 4,
        )  # fmt: skip


def _lines(cut: FigureSlice) -> Iterator[Statement]:
    lines, iou = cut.figure("clDice"), cut.figure("IoU")
    if lines.value > iou.value + 1.5 * _GAP:
        yield Statement(
            True, f"{escape(cut.concept)}: middle lines agree better (clDice {lines.shown()}) than areas do: "
            "it finds where, and differs from the labels in how wide."
        )  # fmt: skip


def _evidence(cut: FigureSlice) -> Iterator[Statement]:
    if cut.pairs > 0 and cut.photographs < FEW:
        yield Statement(
            False, f"{escape(cut.concept)}: only {cut.photographs} photographs stand behind its figures.",
            "Label more photographs for the measured part; copies tell nothing new.", "", 0.15,
        )  # fmt: skip


def _unevenness(measured: EvaluationRecord, cut: FigureSlice) -> Iterator[Statement]:
    words = {
        "set": "Bring more photos like those of its weakest set into training.",
        "setting": "Bring more photos of its weakest setting into training.",
        "width": "Train at a larger window, so that thin objects keep their pixels.",
    }
    for kind, step in words.items():
        parts = [part for part in measured.of(kind, cut.concept) if part.pairs]
        if len(parts) < 2:
            continue
        ordered = sorted(parts, key=lambda part: part.figure("IoU").value)
        worst, best = ordered[0], ordered[-1]
        gap = best.figure("IoU").value - worst.figure("IoU").value
        if gap > _GAP:
            wide = kind == "width" and worst.name.startswith("wide")
            yield Statement(
                False, f"{escape(cut.concept)}: uneven by {kind}: IoU {worst.figure('IoU').shown()} for "
                f"'{escape(worst.name)}', {best.figure('IoU').shown()} for '{escape(best.name)}'.",
                "Look at the labels of the widest objects: outlines drawn far around them cannot be met."
                if wide else step,
                "drywallqa train --data DATA --out RUN --set data.window=448" if kind == "width" and not wide
                else "", gap / 3,
            )  # fmt: skip


def _calibration(measured: EvaluationRecord, cut: FigureSlice) -> Iterator[Statement]:
    curves = measured.data.get("curves") or {}
    for question in measured.data["questions"]:
        found = (curves.get(question["prompt"]) or {}).get("calibration")
        if question["concept"] != cut.concept or not found:
            continue
        error = _answered_error(found)
        name = escape(cut.concept)
        told = f"where it sees something, probabilities differ from shares by {error:.2f} on average"
        if error > _UNCALIBRATED:
            yield Statement(False, f"{name}: {told}; read them as an order, not as probabilities.")
        elif error < _CALIBRATED:
            yield Statement(True, f"{name}: {told}.")
        return


def _answered_error(found: Mapping[str, Sequence[float | None]]) -> float:
    """Mean error of the bins above `_ANSWERED`: over all of them, the background would drown the rest."""
    bins = [
        (predicted, observed, pixels)
        for predicted, observed, pixels in zip(*(found[key] for key in _BINS), strict=True)
        if predicted is not None and observed is not None and pixels and predicted > _ANSWERED
    ]  # fmt: skip
    total = sum(pixels for _, _, pixels in bins)
    return sum(abs(p - o) * n for p, o, n in bins) / total if total else math.nan


def _confusion(measured: EvaluationRecord) -> Iterator[Statement]:
    regions = measured.data.get("regions") or {}
    for truth, row in regions.items():
        total = sum(row.values())
        for other in regions:
            if truth == "background" or other in ("background", truth) or not total:
                continue
            share = row.get(other, 0) / total
            told = f"{escape(truth)}: {share:.1%} of its pixels are marked as {escape(other)} alone"
            if share > _LOUD:
                yield Statement(
                    False, f"{told}.", "Train on pictures that show both objects at once.",
                    "drywallqa train --data DATA --out RUN --set data.composite_share=0.3", share,
                )  # fmt: skip
            else:
                yield Statement(True, f"{told}.")


_CAUSE_STEPS = {
    "doubtful label": "Send the list of doubtful labels back to labelling (failures/to-labelling.csv).",
    "taken for another": "Train on pictures that show both objects at once.",
    "lighting or texture": "Bring more photos of poor light and rough texture into training.",
    "missed thin": "Train at a larger window, so that thin objects keep their pixels.",
    "missed": "Look at the missed objects; if they are of one kind, label more of that kind.",
    "broken": "Join broken pieces after the model, and train with a loss that follows middle lines.",
    "false edge": "Train on more photos of what resembles the object (edges, cables, shadows).",
    "wrong extent": "Hold the labels' extents against each other: where they differ, so will the masks.",
}


def _causes(measured: EvaluationRecord) -> Iterator[Statement]:
    total = sum(measured.causes.values())
    for cause, count in measured.causes.items():
        if cause in _CAUSE_STEPS and count > 1:
            yield Statement(
                False, f"{count} of the {total} worst masks look like: {escape(cause)}.",
                _CAUSE_STEPS[cause], "", 0.2 * count / total,
            )  # fmt: skip
