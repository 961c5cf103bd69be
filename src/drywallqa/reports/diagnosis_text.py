"""A diagnosis as text: figures first, then the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator

from drywallqa.diagnosis.verdict import Diagnosis

MARKS = ((0.5, "excellent"), (0.3, "good"), (0.1, "basic"), (0.0, "below basic"))
"""IoU from which a model is called so; the original report's own marks."""


def diagnosis_lines(found: Diagnosis) -> Iterator[str]:
    """Write a diagnosis line by line."""
    counts = ", ".join(f"{part} {count}" for part, count in found.photos.items())
    yield f"{found.model} on {found.data}: {sum(found.photos.values())} photos looked at ({counts})"
    for concept, figures in found.facts.items():
        told = ", ".join(f"{name} {_figure(value)}" for name, value in figures.items())
        yield f"{concept}: {told}"
        reached = figures["best mean IoU at any threshold"]
        yield f"{concept}: {next(word for mark, word in MARKS if reached >= mark)} at its best threshold"
        sweep = "  ".join(f"{level:.1f} {value:.3f}" for level, value in found.sweep[concept])
        yield f"{concept}: IoU at thresholds  {sweep}"
    for note in found.notes:
        yield f"note: {note}"
    verdict = found.verdict()
    if not verdict:
        yield "verdict: nothing wrong was found"
        return
    yield f"verdict: {verdict[0].fault.cause}"
    for place, each in enumerate(verdict, 1):
        case = each.fault
        yield f"{place}. {each.name}"
        yield f"   evidence: {each.evidence}"
        yield f"   cause:    {case.cause}"
        yield f"   remedy:   {case.remedy}"
        yield f"   command:  {case.command}"


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e6 else f"{value:.4g}"
