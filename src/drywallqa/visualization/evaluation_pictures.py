"""An evaluation's pictures: curves, confusion, examples, one photo under several prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from PIL import Image

from drywallqa.evaluation import curves
from drywallqa.evaluation.evaluation import Evaluation
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.threshold_choice import CHOSEN_ON, ChosenThresholds
from drywallqa.imaging import mask_files
from drywallqa.inference.queries import PromptQuery
from drywallqa.metrics import BINS
from drywallqa.visualization.charts import Chart, Line, Mark, draw_chart, draw_shares
from drywallqa.visualization.panels import example_panels, panel_sheet, under_prompts

_FINE = tuple(step / 64 for step in range(1, 64))
_MANY = 4


def evaluation_pictures(evaluation: Evaluation) -> Iterator[tuple[str, Image.Image]]:
    """Draw every picture but the failures; yields (file name, picture)."""
    for question in evaluation.questions:
        if not any(not pair.absent for pair in evaluation.pairs(question.prompt)):
            continue
        slug = mask_files.slug_of(question.prompt)
        yield f"precision-recall__{slug}.png", _precision_recall(evaluation, question)
        yield f"calibration__{slug}.png", _calibration(evaluation, question)
        yield f"thresholds__{slug}.png", _thresholds(evaluation, question)
        yield f"presence__{slug}.png", _presence(evaluation, question)
        yield f"percentiles__{slug}.png", _percentiles(evaluation, question)
        yield f"examples__{slug}.png", _examples(evaluation, question)
    if evaluation.examination.regions:
        yield "confusion.png", _confusion(evaluation)
    if len(evaluation.questions) > 1:
        yield "prompts.png", _under_prompts(evaluation)


def _title(evaluation: Evaluation, question: PromptQuery, what: str) -> str:
    return f'"{question.prompt}" on {evaluation.part.split}: {what}'


def _precision_recall(evaluation: Evaluation, question: PromptQuery) -> Image.Image:
    pairs = evaluation.pairs(question.prompt)
    present = [pair for pair in pairs if not pair.absent]
    lines, marks = [], []
    for name, chosen in (("photos that show it", present), ("all photos", pairs)):
        curve = curves.precision_recall(chosen)
        points = [(float(r), float(p)) for r, p in zip(curve.recall[1:], curve.precision[1:], strict=True)]
        lines.append(Line(f"{name}, AP {curve.average_precision:.2f}", points))
        if chosen is present:
            used = min(BINS - 1, round(question.threshold * BINS))
            marks.append(Mark(float(curve.recall[used]), f"threshold {question.threshold:.2f}"))
    title = _title(evaluation, question, "precision and recall of pixels")
    return draw_chart(Chart(title, "recall", "precision", lines, marks, notes=evaluation.notes))


def _calibration(evaluation: Evaluation, question: PromptQuery) -> Image.Image:
    found = curves.calibration(evaluation.pairs(question.prompt))
    points = [(float(x), float(y)) for x, y in zip(found.predicted, found.observed, strict=True)]
    lines = [
        Line("", [(0.0, 0.0), (1.0, 1.0)]),
        Line(f"measured, mean error {found.error:.3f}", points, markers=True),
    ]
    title = _title(evaluation, question, "calibration")
    chart = Chart(title, "predicted probability", "share foreground", lines, notes=evaluation.notes)
    return draw_chart(chart)


def _sweep_lines(rows: list[curves.SweepRow]) -> list[Line]:
    names = {
        "IoU": "iou", "Dice": "dice", "precision": "precision", "recall": "recall",
        "false alarms": "false_alarms",
    }  # fmt: skip
    return [Line(name, [(row.level, getattr(row, field)) for row in rows]) for name, field in names.items()]


def _thresholds(evaluation: Evaluation, question: PromptQuery) -> Image.Image:
    title = _title(evaluation, question, "mask threshold")
    return _mask_curve(title, evaluation.pairs(question.prompt), question, "in use", evaluation.notes)


def _presence(evaluation: Evaluation, question: PromptQuery) -> Image.Image:
    title = _title(evaluation, question, "presence threshold")
    return _presence_curve(title, evaluation.pairs(question.prompt), question, "in use", evaluation.notes)


def choosing_pictures(chosen: ChosenThresholds) -> Iterator[tuple[str, Image.Image]]:
    """Draw what the thresholds were chosen from; yields (file name, picture)."""
    for asked, closer in product(chosen.questions, (False, True)):
        pairs = [pair for pair in chosen.pairs if (pair.concept, pair.closer) == (asked.concept, closer)]
        if not pairs:
            continue
        question = asked.for_closer_views() if closer else asked
        slug = mask_files.slug_of(asked.prompt) + ("__large-photos" if closer else "")
        about = f'"{asked.prompt}" on {CHOSEN_ON}' + (", large photos" if closer else "")
        title = f"{about}: mask threshold by {chosen.rule}"
        yield f"chosen-threshold__{slug}.png", _mask_curve(title, pairs, question, "chosen", ())
        title = f"{about}: presence threshold by {chosen.presence_rule}"
        yield f"chosen-presence__{slug}.png", _presence_curve(title, pairs, question, "chosen", ())


def _mask_curve(
    title: str, pairs: Sequence[PairMeasurement], question: PromptQuery, word: str, notes: Sequence[str]
) -> Image.Image:
    rows = curves.threshold_sweep(pairs, question.presence_threshold, sorted({*_FINE, *curves.SWEEP}))
    marks = [Mark(question.threshold, f"{word} {question.threshold:.2f}")]
    return draw_chart(Chart(title, "mask threshold", "", _sweep_lines(rows), marks, notes=notes))


def _presence_curve(
    title: str, pairs: Sequence[PairMeasurement], question: PromptQuery, word: str, notes: Sequence[str]
) -> Image.Image:
    rows = curves.presence_sweep(pairs, question.threshold, _FINE)
    marks = [Mark(question.presence_threshold, f"{word} {question.presence_threshold:.2f}")]
    return draw_chart(Chart(title, "presence threshold", "", _sweep_lines(rows), marks, notes=notes))


def _percentiles(evaluation: Evaluation, question: PromptQuery) -> Image.Image:
    levels = tuple(float(level) for level in np.linspace(70, 99.5, 40))
    rows = curves.percentile_sweep(evaluation.pairs(question.prompt), None, levels)
    title = _title(evaluation, question, "each photo's own percentile as threshold")
    chart = Chart(title, "percentile", "", _sweep_lines(rows), x_range=(70.0, 100.0), notes=evaluation.notes)
    return draw_chart(chart)


def _confusion(evaluation: Evaluation) -> Image.Image:
    regions = evaluation.examination.regions
    columns = list(next(iter(regions.values())))
    shares = []
    for row in regions.values():
        total = sum(row.values())
        shares.append([row[name] / total if total else float("nan") for name in columns])
    title = f"What the pixels of each truth were marked as, on {evaluation.part.split}"
    return draw_shares(title, list(regions), columns, shares, evaluation.notes)


def _examples(evaluation: Evaluation, question: PromptQuery) -> Image.Image:
    """Show a good, two middling and a poor one: what a user can expect, not what looks best."""
    own = [p for p in evaluation.examination.pairs if p.question == question and not p.absent]
    own.sort(key=lambda pair: pair.counts.iou)
    chosen: dict[int, str] = {}
    for percent in (90, 50, 25, 10):
        chosen.setdefault(round(percent / 100 * (len(own) - 1)), f"better than {percent} % of photos")
    cells = [_example(evaluation, own[place], label) for place, label in chosen.items()]
    title = _title(evaluation, question, "examples")
    return panel_sheet(title, [("Chosen by rank of IoU, not by eye", cells)], 1, evaluation.notes)


def _example(evaluation: Evaluation, pair: PairMeasurement, label: str) -> Image.Image:
    return example_panels(evaluation.looker.look(pair.sample), pair, label)


def _under_prompts(evaluation: Evaluation) -> Image.Image:
    """Show photos under every prompt, evenly spread over the part."""
    measured = {pair.sample.key: pair.sample for pair in evaluation.examination.pairs}
    samples = list(measured.values())
    places = sorted({round(place) for place in np.linspace(0, len(samples) - 1, _MANY)})
    cells = [under_prompts(evaluation.looker.look(samples[place]), evaluation.questions) for place in places]
    return panel_sheet(
        "One photo under several prompts",
        [("The photo, then what is marked under each", cells)],
        1,
        evaluation.notes,
        errors=False,
    )
