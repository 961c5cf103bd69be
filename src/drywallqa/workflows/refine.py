"""Measure mask refinements on the validation split, and store the helpful refinements in a bundle."""

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
    """Measure mask refinements on the validation split. Write the requested files and return a text table.

    Args:
        data: Folder of the data set.
        model: Folder of a bundle; None for the bundled model.
        candidates: Refinements to measure; by default `CANDIDATES`.
        sets: Names of the sets to measure; by default all sets.
        out: JSON file for the table.
        write: Whether to store the best refinements in the bundle.
        overwrite: Whether to replace an existing JSON file.
        progress: Called with the step, the number of finished items and the total.

    Raises:
        ConfigError: A candidate is not a refinement.
        BundleError: The folder is not a bundle, or one of its files is damaged.
        DataError: The validation split is empty, or none of its photos can be measured.
        OutputError: The JSON file already exists.
    """
    wanted = parse_refinements(candidates) if candidates else CANDIDATES
    if out and out.exists() and not overwrite:
        raise OutputError(f"{out} already exists; pass --overwrite to replace it")
    bundle = load_bundle(model)
    part = take_part(datasets.load_dataset(data), CHOSEN_ON, sets, progress)
    rows = compare_refinements(measured_bundle(bundle), part, wanted, progress)
    best = best_refinements(rows)
    lines = [
        f"{bundle.name} {bundle.version} on {part.dataset.folder}, split '{CHOSEN_ON}': "
        f"{len(part.dataset)} photos made from {len(set(part.clusters.values()))} source photos",
        *(f"note: {note}" for note in part.notes),
        *_table(rows),
    ]
    for concept, row in best.items():
        if row.refinement:
            gain = figure_cell(row.gains.get("IoU"), "+.4f")
            lines.append(f"{concept}: the best refinement is {row.refinement} (IoU {gain})")
        else:
            lines.append(
                f"{concept}: no refinement is used, because none reliably gains {LEAST_GAIN} IoU without harm"
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
        lines.append(f"refinements and their thresholds written to {bundle.folder}")
    return lines


def _table(rows: Sequence[RefinementRow]) -> list[str]:
    """Format the metrics of each refinement, and its gains over unrefined masks with 95 % intervals."""
    gained = ["IoU gain [95 %]", "F1 gain [95 %]"]
    head = ["concept", "refinement", "threshold", *FIGURES, *gained, "ms per photo"]
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
    """Store the refinement and mask threshold of each concept in a bundle's metadata and model card."""
    from drywallqa.exporting.card import render_card

    concepts = dict(bundle.concepts)
    for concept, row in best.items():
        # Without a refinement, keep the mask threshold that was chosen together with the presence threshold.
        threshold = row.threshold if row.refinement else concepts[concept].threshold
        refined = dataclasses.replace(concepts[concept], refine=str(row.refinement), threshold=threshold)
        concepts[concept] = refined
    changed = dataclasses.replace(bundle, concepts=concepts)
    write_whole(bundle.folder / CARD, render_card(changed).encode())
    save_head(changed)
