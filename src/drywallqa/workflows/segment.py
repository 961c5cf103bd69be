"""Segment photos by text prompts, and write masks, pictures, a manifest and an HTML page into a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from drywallqa.inference.batch_run import segment_plan
from drywallqa.inference.plan import (
    PhotoOutcome,
    RunOptions,
    RunPlan,
    SegmentSummary,
    count_outcomes,
    make_plan,
)
from drywallqa.inference.segmenter import Segmenter
from drywallqa.visualization.overlay import THUMBNAIL

if TYPE_CHECKING:
    from drywallqa.formats.problems import Problem


def segment_into(
    segmenter: Segmenter,
    paths: Sequence[str | os.PathLike[str]],
    prompts: Sequence[str],
    out: str | os.PathLike[str],
    options: RunOptions | None = None,
    *,
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[PhotoOutcome], None] = lambda outcome: None,
) -> SegmentSummary:
    """Segment photos by text prompts, and write the results into a folder.

    Args:
        segmenter: The model.
        paths: Photos, folders and patterns.
        prompts: Text prompts.
        out: Folder for the results.
        options: Options of the run.
        on_start: Called once, with the number of photos.
        on_outcome: Called after each finished or failed photo, and for each rejected path or prompt.

    Raises:
        ConfigError: The annotation format of the labels is unknown.
        OutputError: The folder cannot be written to.
    """
    start, options = time.perf_counter(), options or RunOptions()
    if options.labels:
        from drywallqa.formats.writing import check_writable_format

        check_writable_format(options.labels)
    if options.index:
        options = replace(options, outputs=(*options.outputs, THUMBNAIL))
    plan = make_plan(segmenter.bundle, paths, prompts, out, options)
    on_start(len(plan.items))
    counts = count_outcomes(segment_plan(segmenter, plan), on_outcome)
    page = None
    if options.index and any(plan.manifest):
        # Imported here, so that the import does not delay the first mask.
        from drywallqa.visualization.results_page import write_results_page

        page = write_results_page(plan.out, plan.manifest)
    labels, problems = _write_labels(plan)
    return SegmentSummary(
        **counts, seconds=time.perf_counter() - start, prompts=plan.prompts, out=plan.out, index=page,
        labels=labels, label_problems=problems,
    )  # fmt: skip


def _write_labels(plan: RunPlan) -> tuple[Path | None, tuple[Problem, ...]]:
    """Write the masks in the chosen annotation format; return its folder and problems."""
    if not plan.options.labels or not plan.manifest.masks:
        return None, ()
    from drywallqa.inference.predicted_labels import write_predicted_labels

    folder, written = write_predicted_labels(plan.out, plan.manifest, plan.prompts, plan.options.labels)
    return folder, written.problems
