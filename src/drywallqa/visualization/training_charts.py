"""Draw charts of a training run, of a learning-rate search, and of the trials of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drywallqa.files import write_whole
from drywallqa.visualization.charts import Chart, Line, Point, chart_png

if TYPE_CHECKING:
    from drywallqa.experiments.optuna_sweep import Field, SweepTrial
    from drywallqa.training.rate_finder import RateCurve

_SMOOTHED = 10  # number of logged steps per moving average
_LOSSES = {"loss/mask": "mask loss", "loss/presence": "presence loss"}


def write_rate_curve(curve: RateCurve, run: Path) -> Path:
    """Plot the loss against the decoder's learning rate, and save the chart in the run's folder.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        OutputError: The picture cannot be written.
    """
    rates = [factor * curve.decoder_rate for factor in curve.factors]
    low, high = min(curve.losses), max(curve.losses[: max(2, len(curve.losses) // 2)])
    margin = 0.15 * max(high - low, 1e-6)
    best = curve.best * curve.decoder_rate
    chart = Chart(
        title="Loss at increasing learning rates",
        x_title="learning rate of the decoder",
        y_title="smoothed loss",
        lines=[Line("loss", list(zip(rates, curve.losses, strict=True)))],
        mark=(best, f"steepest decrease: {best:.2g}"),
        x_range=(rates[0], rates[-1]),
        y_range=(low - margin, high + margin),
        notes=[
            f"The encoder's rate is always {curve.encoder_rate / curve.decoder_rate:.3g} times the decoder's "
            f"rate. Suggested settings: {' '.join(f'--set {s}' for s in curve.settings())}"
        ],
        log=True,
    )
    path = run / "rates.png"
    write_whole(path, chart_png(chart))
    return path


def trials_png(trials: Sequence[SweepTrial], fields: Sequence[Field]) -> bytes:
    """Plot the IoU of a sweep's trials, in order and against each varied setting, as one PNG.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    ordered = sorted(trials, key=lambda trial: trial.number)
    done = [(trial, trial.iou) for trial in ordered if trial.iou is not None]
    ious = [iou for _, iou in done]
    margin = max(0.1 * (max(ious, default=1.0) - min(ious, default=0.0)), 0.005)
    y_range = (max(0.0, min(ious, default=0.0) - margin), max(ious, default=1.0) + margin)
    best: list[Point] = []
    for trial, iou in done:
        before = best[-1][1] if best else iou
        best += [(float(trial.number), before), (float(trial.number), max(before, iou))]
    charts = [Chart(
        "Trials in order", "trial", "val IoU",
        [Line("best so far", best), _dots([(float(trial.number), iou) for trial, iou in done])],
        x_range=(0.0, max([1.0, *(float(trial.number) for trial in ordered)])), y_range=y_range,
    )]  # fmt: skip
    for field in fields:
        values = [trial.settings[field.name] for trial, _ in done]
        places = [float(field.values.index(value) if field.values else value) for value in values]
        last = len(field.values) - 0.5
        charts.append(
            Chart(
                title=f"IoU over {field.name}",
                x_title=field.name,
                y_title="val IoU",
                lines=[_dots(list(zip(places, ious, strict=True)))],
                x_range=(-0.5, last) if field.low is None or field.high is None else (field.low, field.high),
                y_range=y_range,
                log=field.log,
                x_names=[str(value) for value in field.values],
            )
        )
    return chart_png(*charts)


def _dots(points: Sequence[Point]) -> Line:
    return Line("trial", points, markers=True, joined=False)


def course_charts(events: Sequence[Mapping[str, Any]]) -> dict[str, Chart]:
    """Create charts of a run's logged losses, validation IoU and learning rates over its steps.

    Args:
        events: The entries of the run's log.

    Returns:
        The charts by name.
    """
    steps = [event for event in events if event.get("event") == "step"]
    validations = [event for event in events if event.get("event") == "validation"]
    losses = []
    for key, name in _LOSSES.items():
        points = _points(steps, key)
        if len(points) > 1:
            losses += [Line("", points), Line(f"{name}, mean of {_SMOOTHED} entries", _smoothed(points))]
    keys = dict.fromkeys(key for event in validations for key in event if key.endswith("/iou"))
    # `val/crack/iou` is the IoU of one concept. `val/iou` is the mean over all concepts.
    names = {key: " ".join(key.split("/")[1:-1]) or "mean" for key in keys}
    scores = [Line(f"{names[key]} IoU", _points(validations, key), markers=True) for key in keys]
    rates = [Line("highest learning rate of all parameter groups", _points(steps, "rate"))]
    last = max((float(event.get("step", 0)) for event in events), default=0.0)
    charts = {}
    for name, title, unit, lines in (
        ("losses", "Losses", "loss", losses),
        ("validations", "Validation during training", "IoU", scores),
        ("rates", "Learning rate", "rate", rates),
    ):
        points = [point for line in lines for point in line.points]
        if any(x > 0 for x, _ in points):
            top = 1.0 if name == "validations" else 1.05 * max(y for _, y in points) or 1.0
            charts[name] = Chart(title, "step", unit, lines, x_range=(0.0, last), y_range=(0.0, top))
    return charts


def _points(events: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    return [(float(event["step"]), float(event[key])) for event in events if event.get(key) is not None]


def _smoothed(points: Sequence[Point]) -> list[Point]:
    lasts = (points[max(0, place - _SMOOTHED + 1) : place + 1] for place in range(len(points)))
    return [(last[-1][0], sum(value for _, value in last) / len(last)) for last in lasts]
