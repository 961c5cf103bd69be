"""Texts for the cells of an inspection report: kinds, sizes, detection limits and remarks of findings."""

from __future__ import annotations

from typing import Literal

from drywallqa.inspection.ledger import Observation, PhotoRecord, Verdict
from drywallqa.inspection.ledger_verdicts import worst_outcome
from drywallqa.inspection.measure_text import System, length_text, measure_text, range_text
from drywallqa.reports.document import as_sentence, escape
from drywallqa.visualization.inspection_pictures import Seen

Quantity = Literal["length", "area", "width_mean", "width_max"]

LIMIT_TERMS = "90 % of such cracks are found on rendered walls, with 95 % confidence"
"""What a range of detected widths means."""
_LEVEL = 22.5  # degrees; a finding within this angle is called horizontal or vertical


def kind_text(one: Seen) -> str:
    """Return the kind of a finding and its direction, such as "crack, vertical"."""
    angle = one.observation.orientation % 180
    if min(angle, 180 - angle) <= _LEVEL:
        direction = "horizontal"
    else:
        direction = "vertical" if abs(angle - 90) <= _LEVEL else "diagonal"
    branches = one.observation.branches
    parts = [escape(one.concept), direction, f"{branches} branch{'es' * (branches > 1)}" if branches else ""]
    return ", ".join(part for part in parts if part)


def size_text(one: Seen, quantity: Quantity, units: System) -> str:
    """Return a size of a finding with its interval, in millimetres or inches with a scale, else in pixels."""
    observation = one.observation
    sizes = observation.mm or observation.px
    if sizes is None:
        return "–"
    return measure_text(getattr(sizes, quantity), sizes.unit, units, 2 if quantity == "area" else 1)


def detection_text(record: PhotoRecord, units: System) -> str:
    """Return the widths of the cracks that would have been found: in px, and in mm with a scale."""
    if record.detection_limit_px is None:
        return "unknown"
    pixels = range_text(record.detection_limit_px, record.detection_widest_px, "px", units)
    if record.detection_limit_mm is None:
        return f"{pixels} wide"
    return f"{range_text(record.detection_limit_mm, record.detection_widest_mm, 'mm', units)} wide ({pixels})"


def remark_text(one: Seen, earlier: Observation | None, units: System) -> str:
    """Return why a finding has its verdict, what to do, how it changed, and further remarks.

    The summary states once what a person can do about rules that no photo can decide.
    """
    observation = one.observation
    parts = []
    for verdict in deciding_verdicts(observation.verdicts):
        parts.append(as_sentence(verdict.reason))
        parts.append(as_sentence(verdict.advice) if verdict.advice and verdict.decidable else "")
    if not observation.line_visible and not observation.verdicts:
        parts.append("The photo shows no line inside the outline.")
    if observation.straightness is not None:
        parts.append(f"Out of straight by {length_text(observation.straightness, 'px', units)}.")
    if earlier is not None:
        sizes = earlier.mm or earlier.px
        width = measure_text(sizes.width_max, sizes.unit, units) if sizes else "not measured"
        parts.append(f"Largest width at visit {earlier.visit}: {width}.")
    parts += map(as_sentence, observation.notes)
    return " ".join(escape(part) for part in parts if part)


def deciding_verdicts(verdicts: tuple[Verdict, ...]) -> list[Verdict]:
    """Return the verdicts with the worst outcome."""
    worst = worst_outcome(verdicts)
    return [verdict for verdict in verdicts if verdict.outcome == worst]
