"""What a sweep ends in: a table as text, CSV and JSON, and a picture of every varied setting."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from drywallqa.files import write_whole
from drywallqa.visualization.charts import Chart, Line, draw_chart, png_bytes
from drywallqa.visualization.lettering import PAPER

if TYPE_CHECKING:
    from drywallqa.experiments.optuna_sweep import SweepTrial
    from drywallqa.experiments.sweep_fields import Field

NAME = "trials"


def write_sweep_table(trials: Sequence[SweepTrial], fields: Sequence[Field], out: Path) -> str:
    """Write `trials.txt`, `.csv`, `.json` and `.png` into a sweep's folder, the best trial first.

    Returns:
        The table as text.

    Raises:
        OutputError: A file cannot be written.
    """
    ranked = sorted(trials, key=lambda t: (-(t.iou if t.iou is not None else -math.inf), t.number))
    names = [field.name for field in fields]
    head = ["trial", "val IoU", *names, "seconds", "problem"]
    rows = [[t.number, t.iou, *(t.settings[name] for name in names), t.seconds, t.problem] for t in ranked]
    text = columns_text(head, rows)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([head, *rows])
    listed = json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1)
    write_whole(out / f"{NAME}.txt", (text + "\n").encode())
    write_whole(out / f"{NAME}.csv", stream.getvalue().encode())
    write_whole(out / f"{NAME}.json", (listed + "\n").encode())
    write_whole(out / f"{NAME}.png", png_bytes(draw_trials(trials, fields)))
    return text


def columns_text(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay a table out in columns for a terminal."""

    def cell(value: object) -> str:
        if value is None:
            return "–"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [list(head), *([cell(value) for value in row] for row in rows)]
    # the last column is prose and needs no width
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def draw_trials(trials: Sequence[SweepTrial], fields: Sequence[Field]) -> Image.Image:
    """Draw IoU over the trials, and over each varied setting."""
    done = [trial for trial in trials if trial.iou is not None]
    charts = [_progress(trials), *(_of_field(done, field) for field in fields)]
    pictures = [draw_chart(chart) for chart in charts]
    sheet = Image.new("RGB", (pictures[0].width, sum(p.height for p in pictures)), PAPER)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def _progress(trials: Sequence[SweepTrial]) -> Chart:
    best, so_far = 0.0, list[tuple[float, float]]()
    for trial in sorted(trials, key=lambda trial: trial.number):
        place = float(trial.number)
        so_far += [(place, best)] if so_far else []
        best = max(best, trial.iou or 0.0)
        so_far.append((place, best))
    points = [(float(t.number), t.iou) for t in trials if t.iou is not None]
    last = max(1.0, float(max((t.number for t in trials), default=1)))
    return Chart(
        title="Trials in their order",
        x_title="trial",
        y_title="val IoU",
        lines=[Line("best so far", so_far), Line("trial", _apart(points))],
        x_range=(0.0, last),
        y_range=_room([iou for _, iou in points]),
    )


def _of_field(done: Sequence[SweepTrial], field: Field) -> Chart:
    values = [trial.settings[field.name] for trial in done]
    notes: list[str] = []
    if field.low is None or field.high is None:
        places = {value: float(number) for number, value in enumerate(field.values)}
        across = [places[value] for value in values]
        ends = (-0.5, len(places) - 0.5)
        notes = ["; ".join(f"{number:g}: {value}" for value, number in places.items())]
        title = field.name
    elif field.log:
        across = [math.log10(value) for value in values]
        ends = (math.log10(field.low), math.log10(field.high))
        title = f"{field.name}, as a power of ten"
    else:
        across, ends, title = [float(v) for v in values], (float(field.low), float(field.high)), field.name
    ious = [trial.iou for trial in done if trial.iou is not None]
    return Chart(
        title=f"IoU over {field.name}",
        x_title=title,
        y_title="val IoU",
        lines=[Line("trial", _apart(list(zip(across, ious, strict=True))))],
        x_range=ends,
        y_range=_room(ious),
        notes=notes,
    )


def _apart(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Put a gap after each point, so that each is drawn as a marker of its own."""
    return [place for point in points for place in (point, (math.nan, math.nan))]


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Give an axis of IoU some room around its values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max(0.1 * (high - low), 0.005)
    return max(0.0, low - room), high + room
