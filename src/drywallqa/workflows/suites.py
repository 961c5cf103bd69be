"""The suites of `drywallqa evaluate --suite`: metrics for a release, and tests with phone-sized photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from drywallqa.bundle.bundle import FAILURES, Bundle, load_bundle
from drywallqa.datasets import dataset as datasets
from drywallqa.errors import ConfigError
from drywallqa.evaluation.phone_size import LARGE, TITLES, measure_phone_size, phone_size_lines, share_text
from drywallqa.evaluation.release_figures import (
    ReleaseFigures,
    false_alarm_counts,
    measure_release,
    release_lines,
)
from drywallqa.files import json_bytes, write_whole
from drywallqa.inference.segmenter import Segmenter
from drywallqa.synthetic.walls import CRACK, TAPING_AREA

SUITES = ("release", "phone")


def run_suite(
    suite: str,
    data: Path,
    model: Path | None = None,
    split: str = "test",
    *,
    count: int | None = None,
    robustness: bool = False,
    sections: Sequence[str] = (),
    elsewhere: Path | None = None,
    json_file: Path | None = None,
    write: bool = False,
    report: Callable[[str], None] = print,
) -> list[str]:
    """Measure a bundle with a fixed suite. Write the requested files and return a text summary.

    Args:
        suite: One of `SUITES`.
        data: Folder of the data set.
        model: Folder of a bundle; None for the bundled model.
        split: Name of the split to measure.
        count: Number of composites in the suite "release"; by default 200. For the suite "phone", see
            `measure_phone_size`.
        robustness: Whether the suite "release" also measures changed photos and other phrasings.
        sections: Sections of the suite "phone"; by default all sections for which there is data.
        elsewhere: Folder of photos from outside the data set, for the section "large-walls".
        json_file: JSON file for the metrics.
        write: Whether to write the metrics into the bundle and its model card.
        report: Function that is called with a description of each step.

    Raises:
        ConfigError: The suite, the split or a section is unknown.
        DataError: The split is empty, or the folder `elsewhere` is invalid.
    """
    if suite not in SUITES:
        raise ConfigError(f"unknown suite '{suite}'; choose from {', '.join(SUITES)}")
    bundle, dataset = load_bundle(model), datasets.load_dataset(data)
    figures: dict[str, Any]
    if suite == "release":
        measured = measure_release(
            bundle, dataset, split, count=count or 200, robustness=robustness, report=report
        )
        lines, plain = list(release_lines(measured)), measured.to_json()
        summaries = {name: summary.to_json() for name, summary in measured.concepts.items()}
        figures = {split: summaries, "benchmark": _card_table(measured)}
    else:
        found = measure_phone_size(
            Segmenter(bundle), dataset, split, sections, count=count, elsewhere=elsewhere, report=report
        )
        lines = phone_size_lines(found)
        if LARGE not in found and not sections:
            lines.append(f"{LARGE}: not measured; pass a folder of other photos with --elsewhere")
        plain = {name: {what: f.to_json() for what, f in each.items()} for name, each in found.items()}
        plain = {"bundle": f"{bundle.name} {bundle.version}", "split": split, "sections": plain}
        card = {
            TITLES[name]: {what: share_text(f) for what, f in each.items()} for name, each in found.items()
        }
        figures = {"phone size": {**bundle.metrics.get("phone size", {}), **card}} if write else {}
    if json_file:
        write_whole(json_file, json_bytes(plain))
    if write:
        _write(replace(bundle, metrics={**bundle.metrics, **figures}), suite)
        lines.append(f"metrics and model card written to {bundle.folder}")
    return lines


def _write(bundle: Bundle, suite: str) -> None:
    """Save a bundle's metadata and model card. The suite "release" also draws failures on rendered walls."""
    from drywallqa.exporting.export_run import save_with_card
    from drywallqa.visualization.failure_sheets import failed_walls

    if suite == "release":
        labelled = [concept for concept in (CRACK, TAPING_AREA) if concept in bundle.concepts]
        write_whole(bundle.folder / FAILURES, failed_walls(Segmenter(bundle), labelled))
    save_with_card(bundle)


def _card_table(measured: ReleaseFigures) -> dict[str, str]:
    """Return the metrics of a release as rows for the model card."""
    table = {
        name: f"{alarms} of {pairs} ({alarms / max(pairs, 1):.1%})"
        for name, (alarms, pairs) in false_alarm_counts(measured).items()
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
    for place, seams in measured.seams.items():
        head = f"lines of seams on {place}, from '{seams.asked}'"
        table[f"{head}: found within 5 px"] = f"{seams.found:.1%}"
        table[f"{head}: of what was found true"] = f"{seams.true:.1%}"
    if robustness := measured.robustness:
        for concept, ious in robustness.ious.items():
            least = min(ious, key=lambda name: ious[name])
            share = robustness.share(concept, least)
            table[f"{concept}: least of the clean IoU under a change"] = f"{share:.1%} ({least})"
            agreed = robustness.agreements[concept].iou
            table[f"{concept}: masks under two phrasings agree, IoU"] = f"{agreed:.3f}"
    return table
