"""Measure refinements on validation, describe them, and store the helpful ones in a bundle."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from drywallqa.bundle.bundle import CARD, Bundle, load_bundle, save_head
from drywallqa.datasets import dataset as datasets
from drywallqa.errors import OutputError
from drywallqa.evaluation.evaluation import take_part
from drywallqa.evaluation.measured_model import CHOSEN_ON, Progress, measured_bundle, silent
from drywallqa.evaluation.refinements import (
    CANDIDATES,
    FIGURES,
    LEAST_GAIN,
    RefinementRow,
    best_refinements,
    compare_refinements,
)
from drywallqa.files import json_bytes, write_whole
from drywallqa.inference.refinement import parse_refinements
from drywallqa.reports.evaluation_text import figure_cell
from drywallqa.reports.sweep_table import columns_text


def run_refinements(
    data: Path,
    model: Path | None = None,
    candidates: Sequence[str] = (),
    sets: Sequence[str] = (),
    *,
    out: Path | None = None,
    write: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[str]:
    """Measure refinements on validation, write the requested files and describe the result as text.

    Args:
        data: The data set's folder.
        model: A bundle; None for the bundled model.
        candidates: Refinements to measure; by default `CANDIDATES`.
        sets: The sets to measure; by default all.
        out: A JSON file for the table.
        write: Whether to store the best refinements in the bundle.
        overwrite: Whether to replace the JSON file.
        progress: Receives the progress.

    Raises:
        ConfigError: A candidate is not a refinement.
        BundleError: The model is not a bundle, or one of its files is damaged.
        DataError: There is no validation split, or nothing in it can be measured.
        OutputError: The JSON file already exists.
    """
    wanted = parse_refinements(candidates) if candidates else CANDIDATES
    if out and out.exists() and not overwrite:
        raise OutputError(f"{out}: already exists; pass --overwrite to replace it")
    bundle = load_bundle(model)
    part = take_part(datasets.load_dataset(data), CHOSEN_ON, sets, progress)
    rows = compare_refinements(measured_bundle(bundle), part, wanted, progress)
    best = best_refinements(rows)
    lines = [
        f"{bundle.name} {bundle.version} on {part.dataset.folder}, split '{CHOSEN_ON}': "
        f"{len(part.dataset)} photos of {len(set(part.clusters.values()))} photographs",
        *(f"note: {note}" for note in part.notes),
        *_table(rows),
    ]
    for concept, row in best.items():
        if row.refinement:
            gain = figure_cell(row.gains.get("IoU"), "+.4f")
            lines.append(f"{concept}: {row.refinement} gains {gain} IoU and will be used")
        else:
            lines.append(
                f"{concept}: no refinement reliably gains {LEAST_GAIN} IoU without harm, so none is used"
            )
    if out:
        table = {
            "model": f"{bundle.name} {bundle.version}",
            "split": CHOSEN_ON,
            "rows": [row.to_json() for row in rows],
            "worth having": {concept: str(row.refinement) for concept, row in best.items()},
        }
        write_whole(out, json_bytes(table))
    if write:
        _store(bundle, best)
        lines.append(f"{bundle.folder}: refinements and their thresholds written")
    return lines


def _table(rows: Sequence[RefinementRow]) -> list[str]:
    """Describe rows as lines of text: figures and gains over no refinement, with 95 % intervals."""
    gained = ["IoU gained [95 %]", "F1 gained [95 %]"]
    head = ["concept", "refinement", "threshold", *FIGURES, *gained, "ms a photo"]
    cells = []
    for row in rows:
        values = [row.figures[name].value if name in row.figures else math.nan for name in FIGURES]
        shown = ["–" if math.isnan(value) else f"{value:.4f}" for value in values]
        gains = [
            figure_cell(row.gains.get(name), "+.4f") if row.refinement else ""
            for name in ("IoU", "F1 within 3 px")
        ]
        about = [row.concept, str(row.refinement), f"{row.threshold:.3f}"]
        cells.append([*about, *shown, *gains, f"{row.milliseconds:.0f}"])
    return ["", *columns_text(head, cells).split("\n"), ""]


def _store(bundle: Bundle, best: Mapping[str, RefinementRow]) -> None:
    """Store the refinement and mask threshold of each concept in a bundle, its card and its head file."""
    from drywallqa.exporting.card import render_card

    concepts = dict(bundle.concepts)
    for concept, row in best.items():
        # without a refinement, keep the mask threshold, which was chosen together with the presence threshold
        threshold = row.threshold if row.refinement else concepts[concept].threshold
        refined = dataclasses.replace(concepts[concept], refine=str(row.refinement), threshold=threshold)
        concepts[concept] = refined
    changed = dataclasses.replace(bundle, concepts=concepts)
    write_whole(bundle.folder / CARD, render_card(changed).encode())
    save_head(changed)
