"""The training report as a document: its head, its chapters in their order, and the commands behind it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from drywallqa._version import __version__
from drywallqa.datasets.dataset import Dataset
from drywallqa.reports.document import Document
from drywallqa.reports.judgement import judge
from drywallqa.reports.material import ReportMaterial, count_parameters, file_sizes, split_name
from drywallqa.reports.report_closing import next_steps, reproduction, runtime, strengths
from drywallqa.reports.report_comparison import comparison
from drywallqa.reports.report_course import course
from drywallqa.reports.report_model import approach, data, goal, models
from drywallqa.reports.report_request import ReportRequest
from drywallqa.reports.report_results import failures, results, summary
from drywallqa.reports.sources import CONFIG, EvaluationRecord, RunRecord, is_bundle


def compose(material: ReportMaterial, today: str) -> Document:
    """Write the whole report.

    Args:
        material: What it is made from.
        today: The day it is written, as text.
    """
    statements = judge(material.headline)
    return Document(
        f"Training report: {material.name}",
        "Prompted segmentation of cracks and taping areas on walls: how the model was made, what it reaches, "
        "and where it fails.",
        _facts(material, today),
        (
            summary(material, statements),
            goal(material),
            approach(material),
            models(material),
            data(material),
            course(material),
            results(material),
            comparison(material),
            strengths(material, statements),
            failures(material),
            runtime(material),
            next_steps(material, statements),
            reproduction(material),
        ),
    )


def _facts(material: ReportMaterial, today: str) -> list[tuple[str, str]]:
    counts, _ = count_parameters(material)
    sizes = file_sizes(material)
    measured = material.headline
    photos = f"{measured.data['photos']} photos ({split_name(measured.split).lower()})"
    return [
        ("model", material.name),
        ("parameters", f"{sum(counts.values()):,}" if counts else "not measured"),
        ("size on disk", f"{sum(sizes.values()) / 1e6:.1f} MB" if sizes else "not measured"),
        ("measured on", photos),
        ("written", today),
        ("package", f"drywallqa {__version__}"),
    ]


def commands(
    request: ReportRequest,
    known: Dataset | None,
    runs: Sequence[RunRecord],
    evaluations: Sequence[EvaluationRecord],
    out: Path,
) -> Iterator[str]:
    """Say how everything is made again, in the order in which it was."""
    folder, subject = _typed(known.folder) if known else "DATA", _typed(request.subject)
    trained_on = "DATA"
    for run in runs:
        trained_on = _typed(Path(str(run.environment.get("data", "DATA"))))
        yield f"drywallqa train --data {trained_on} --config {_typed(run.folder / CONFIG)} --out {run.name}"
    if runs and is_bundle(request.subject):
        yield f"drywallqa export {runs[-1].name} --data {trained_on} --out {subject}"
    for one in evaluations:
        yield (
            f"drywallqa evaluate --model {subject} --data {folder} --split {shlex.quote(one.split)} "
            f"--out {_typed(one.folder)}"
        )
    options = [f"--data {folder}", f"--out {_typed(out)}"]
    options += [f"--run {_typed(path)}" for path in request.runs]
    options += [f"--evaluation {_typed(path)}" for path in request.evaluations]
    options += [f"--against {_typed(path)}" for path in request.against]
    options += [f"--prompt {shlex.quote(prompt)}" for prompt in request.prompts]
    yield f"drywallqa report {subject} {' '.join(options)}"


def _typed(path: Path) -> str:
    """Write a path as it is typed; of an absolute one, which is another's elsewhere, only its last name."""
    return shlex.quote(path.name if path.is_absolute() else path.as_posix())
