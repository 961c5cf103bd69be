"""The training report's chapter on how training went: losses, validations, rates, findings, settings."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    Chapter,
    CodeBlock,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    code,
    escape,
)
from drywallqa.reports.material import ReportMaterial
from drywallqa.reports.sources import CONFIG, LOG, RunRecord
from drywallqa.visualization.charts import Chart, Line, chart_png

_SHEET = "batch.png"
_SMOOTHED = 10  # logged steps
_TOLD_SETTINGS = ("model", "data", "loss", "optimisation")


def course(material: ReportMaterial) -> Chapter:
    """How training went."""
    if not material.runs:
        return Chapter("Course of training", [Paragraph(
            "Not recorded here: a bundle does not hold the log of its training. Give the run with `--run`."
        )])  # fmt: skip
    blocks: list[Block] = []
    for run in material.runs:
        if len(material.runs) > 1:
            blocks.append(Heading(f"Run {escape(run.name)}"))
        blocks += _course(run)
    return Chapter("Course of training", blocks)


def _course(run: RunRecord) -> Iterator[Block]:
    yield Paragraph(_duration(run), run.source(LOG))
    charts = [chart for chart in (_losses(run), _validations(run), _rates(run)) if chart]
    if charts:
        yield Pictures(charts)
    found = [event for kind in ("check", "alarm") for event in run.of(kind) if event.get("finding")]
    if found:
        yield Callout(f"The run's own watch found {len(found)}:", run.source(LOG))
        yield BulletList([f"**{escape(str(e['finding']))}**: {escape(str(e['evidence']))}" for e in found])
    elif run.events:
        yield Paragraph(
            "The run watched itself before and during training, and found nothing wrong.", run.source(LOG)
        )
    sheet = run.folder / _SHEET
    if sheet.is_file():
        yield Picture(
            _smaller(sheet), f"{run.name}-{_SHEET}".replace(".png", ".jpg"),
            "Training pictures as the model sees them, with their truth drawn in",
            "What the model saw first: training pictures with their truth drawn in.", run.source(_SHEET),
        )  # fmt: skip
    yield CodeBlock(_settings(run), run.source(CONFIG))


def _duration(run: RunRecord) -> str:
    steps = run.of("step")
    if not run.events or run.seconds is None:
        return f"{code(run.name)}: duration and losses were not logged."
    speeds = sorted(float(step["photos_per_second"]) for step in steps if step.get("photos_per_second"))
    speed = f", at {speeds[len(speeds) // 2]:.1f} photos a second (median)" if speeds else ""
    starts = len(run.of("start"))
    resumed = f", resumed {starts - 1} times" if starts > 2 else ", resumed once" if starts == 2 else ""
    last = f"{steps[-1]['step']:,} steps, " if steps else ""
    end = "" if run.ended else " It has not come to its end."
    threads = run.environment.get("threads", "unknown")
    took = f"{duration(run.seconds)} of training"
    return f"{code(run.name)}: {last}{took}, threads: {threads}{speed}{resumed}.{end}"


def duration(seconds: float) -> str:
    """Write a time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _losses(run: RunRecord) -> Picture | None:
    steps = run.of("step")
    names = {"loss/mask": "mask loss", "loss/presence": "presence loss"}
    lines = []
    for key, name in names.items():
        points = [(float(s["step"]), float(s[key])) for s in steps if s.get(key) is not None]
        if len(points) > 1:
            lines += [Line("", points), Line(f"{name}, mean of {_SMOOTHED} entries", _smoothed(points))]
    return _over_steps(run, lines, "Losses", "loss", "losses")


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    smooth = []
    for place, (step, _) in enumerate(points):
        window = [value for _, value in points[max(0, place - _SMOOTHED + 1) : place + 1]]
        smooth.append((step, sum(window) / len(window)))
    return smooth


def _validations(run: RunRecord) -> Picture | None:
    events = run.of("validation")
    keys = [key for key in dict.fromkeys(k for event in events for k in event) if key.endswith("/iou")]
    lines = [
        Line(
            _line_name(key),
            [(float(e["step"]), float(e[key])) for e in events if e.get(key) is not None], markers=True,
        )
        for key in keys
    ]  # fmt: skip
    return _over_steps(run, lines, "Validation during training", "IoU", "validations", (0.0, 1.0))


def _line_name(key: str) -> str:
    """`val/crack/iou` is a concept's figure, `val/iou` the mean of all."""
    parts = key.split("/")
    return f"{parts[1]} IoU" if len(parts) > 2 else "mean IoU"


def _rates(run: RunRecord) -> Picture | None:
    points = [(float(s["step"]), float(s["rate"])) for s in run.of("step") if s.get("rate") is not None]
    return _over_steps(run, [Line("highest rate of a group", points)], "Learning rate", "rate", "rates")


def _over_steps(
    run: RunRecord,
    lines: Sequence[Line],
    title: str,
    unit: str,
    name: str,
    y_range: tuple[float, float] | None = None,
) -> Picture | None:
    points = [point for line in lines for point in line.points]
    if len({x for x, _ in points}) < 1 or max(x for x, _ in points) <= 0:
        return None
    highest = max(y for _, y in points)
    last = max(float(event.get("step", 0)) for event in run.events)
    reach = y_range or (0.0, (highest if highest > 0 else 1.0) * 1.05)
    chart = Chart(title, "step", unit, lines, x_range=(0.0, last), y_range=reach)
    return Picture(
        chart_png(chart),
        f"{run.name}-{name}.png",
        f"{title}, over the steps of training",
        "",
        run.source(LOG),
    )


def _settings(run: RunRecord) -> str:
    lines = [f"seed: {run.settings.get('seed')}"]
    for part in _TOLD_SETTINGS:
        values = run.settings.get(part)
        if isinstance(values, dict):
            told = ", ".join(f"{name} {_value(value)}" for name, value in values.items() if value is not None)
            lines.append(f"{part}: {told}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "–".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(one)}" for name, one in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _smaller(path: Path, width: int = 1000) -> bytes:
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((width, 4 * width), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=75, optimize=True)
    return stream.getvalue()
