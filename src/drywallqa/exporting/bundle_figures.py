"""Measured figures, written into a bundle and its card."""

from __future__ import annotations

import dataclasses

from drywallqa.bundle.bundle import Bundle
from drywallqa.evaluation.phone_size import TITLES, PhoneSize, share_text
from drywallqa.evaluation.release_figures import ReleaseFigures, false_alarm_counts
from drywallqa.exporting.export_run import save_with_card


def write_figures(bundle: Bundle, measured: ReleaseFigures) -> Bundle:
    """Put a benchmark's figures into the bundle's metrics and card."""
    table = {
        what: f"{alarms} of {pairs} ({alarms / max(pairs, 1):.1%})"
        for what, (alarms, pairs) in false_alarm_counts(measured).items()
    }
    for concept, kept in measured.composites.items():
        table[f"{concept} on composites: share of IoU kept"] = f"{kept.kept:.1%}"
        table[f"{concept} on composites: other's truth marked"] = f"{kept.other_marked:.1%}"
        if kept.other_before is not None:
            table[f"{concept} on composites: same pixels marked before"] = f"{kept.other_before:.1%}"
    for concept, bases in measured.baselines.items():
        for name, value in bases.items():
            table[f"{concept}: baseline {name}, IoU"] = f"{value:.3f}"
    for concept, error in measured.calibration.items():
        table[f"{concept}: expected calibration error of its pixels"] = f"{error:.3f}"
    for where, seams in measured.seams.items():
        what = f"lines of seams on {where}, from '{seams.asked}'"
        table[f"{what}: found within 5 px"] = f"{seams.found:.1%}"
        table[f"{what}: of what was found true"] = f"{seams.true:.1%}"
    if measured.robustness:
        for concept, ious in measured.robustness.ious.items():
            least = min(ious, key=lambda name: ious[name])
            share = measured.robustness.share(concept, least)
            table[f"{concept}: least of the clean IoU under a change"] = f"{share:.1%} ({least})"
            agreed = measured.robustness.agreements[concept].iou
            table[f"{concept}: masks under two phrasings agree, IoU"] = f"{agreed:.3f}"
    figures = {name: summary.to_json() for name, summary in measured.concepts.items()}
    metrics = {**bundle.metrics, measured.split: figures, "benchmark": table}
    return save_with_card(dataclasses.replace(bundle, metrics=metrics))


def write_phone_size(bundle: Bundle, measured: PhoneSize) -> Bundle:
    """Put figures of photos at a phone's size into the bundle and its card, section by section."""
    known = dict(bundle.metrics.get("phone size", {}))
    for section, figures in measured.sections.items():
        known[TITLES[section]] = {name: share_text(figure) for name, figure in figures.items()}
    return save_with_card(dataclasses.replace(bundle, metrics={**bundle.metrics, "phone size": known}))
