"""The training report's chapter that holds the model beside earlier runs and other models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drywallqa.reports.document import Block, Chapter, Paragraph, Table, escape
from drywallqa.reports.material import ReportMaterial, split_name
from drywallqa.reports.sources import EvaluationRecord


def comparison(material: ReportMaterial) -> Chapter:
    """The model beside other models and earlier runs."""
    measured = material.headline
    blocks: list[Block] = []
    same = [other for other in material.others if other.split == measured.split]
    if same:
        rows = [row for one in (measured, *same) for row in _compared(one, measured)]
        sources = ", ".join(one.source for one in (measured, *same))
        blocks.append(Table(
            ("model", "concept", "IoU", "Dice", "false alarms", "photos"), rows,
            f"{split_name(measured.split)}, with 95 % intervals", sources, 2,
        ))  # fmt: skip
    blocks += _differences(measured)
    left = [other for other in material.others if other.split != measured.split]
    if left:
        told = ", ".join(f"{escape(other.model)} ('{escape(other.split)}')" for other in left)
        blocks.append(Paragraph(f"Measured on another part, and so not comparable: {told}."))
    if not blocks:
        blocks.append(
            Paragraph(
                "Not measured: no evaluation of an earlier run or another model was given (`--against`)."
            )
        )
    own = measured.data.get("report_iou")
    if own is not None:
        blocks.append(Paragraph(
            f"Counted as the training report of November 2025 counted (batches of two averaged, two empty "
            f"masks count 1), this model's IoU would be {own:.3f}. That figure serves the comparison with "
            "that report alone.", measured.source,
        ))  # fmt: skip
    return Chapter("Comparison with earlier runs and other models", blocks)


def _compared(one: EvaluationRecord, headline: EvaluationRecord) -> Iterator[tuple[str, ...]]:
    photos = f"{one.data['photos']} of {one.data['photographs']}"
    if (one.data["photos"], one.data["photographs"]) != (
        headline.data["photos"],
        headline.data["photographs"],
    ):
        photos += " (others)"
    for cut in one.of("concept"):
        yield (
            escape(one.model), escape(cut.concept), cut.figure("IoU").shown(), cut.figure("Dice").shown(),
            cut.figure("false alarms").shown_percent(), photos,
        )  # fmt: skip


def _differences(measured: EvaluationRecord) -> Iterator[Block]:
    """The paired comparison that an evaluation `--against` another model holds."""
    against: dict[str, Any] | None = measured.data.get("against")
    if not against:
        return
    rows = []
    for entry in against.get("differences", ()):
        if entry["kind"] != "concept":
            continue
        cells = [_difference(entry["figures"].get(name)) for name in ("IoU", "Dice", "false alarms")]
        rows.append((escape(entry["concept"]), *cells))
    yield Table(
        ("concept", "IoU", "Dice", "false alarms"), rows,
        f"{escape(measured.model)} less {escape(str(against['model']))}, same pairs, with 95 % intervals",
        measured.source,
    )  # fmt: skip


def _difference(entry: dict[str, Any] | None) -> str:
    if not entry or entry["value"] is None:
        return "–"
    interval = "" if entry["low"] is None else f" ({entry['low']:+.3f} to {entry['high']:+.3f})"
    return f"{entry['value']:+.3f}{interval}"
