"""The main job: photos and prompts in, a folder of masks, pictures, a manifest and a page out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drywallqa.inference import batch_run
from drywallqa.inference.manifest import Manifest
from drywallqa.inference.outputs import LINES, PROBABILITY, Output
from drywallqa.inference.plan import PhotoOutcome, RunSettings, make_plan
from drywallqa.inference.segmenter import Segmenter
from drywallqa.visualization.overlay import OVERLAY, THUMBNAIL


@dataclass(frozen=True)
class SegmentSummary:
    """What a run did.

    Attributes:
        done: Photos segmented.
        skipped: Photos whose results lay there already.
        failed: Photos, paths and prompts that failed.
        masks: Masks that now lie in the folder for this run's photos and prompts.
        seconds: How long it took, from the search for photos to the page.
        prompts: The prompts that could be asked.
        out: The folder.
        index: The page that shows it, None where none was wanted.
    """

    done: int
    skipped: int
    failed: int
    masks: int
    seconds: float
    prompts: tuple[str, ...]
    out: Path
    index: Path | None


def segment_into(
    segmenter: Segmenter,
    paths: Sequence[str | os.PathLike[str]],
    prompts: Sequence[str],
    out: str | os.PathLike[str],
    *,
    settings: RunSettings | None = None,
    overlay: bool = False,
    probability: bool = False,
    lines: bool = False,
    index: bool = True,
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[PhotoOutcome], None] = lambda outcome: None,
) -> SegmentSummary:
    """Segment photos into a folder.

    Args:
        segmenter: What answers.
        paths: Photos, folders and patterns.
        prompts: What to look for.
        out: The folder for the results.
        settings: How photos are segmented.
        overlay: Write each photo with its mask laid over it, too.
        probability: Write each probability map as 8-bit PNG, too.
        lines: Write the straight middle lines of each mask as JSON, too.
        index: Write a page that shows the folder.
        on_start: Called once with the number of photos.
        on_outcome: Called after each photo, and for each path and prompt that failed.

    Raises:
        OutputError: The folder cannot be written to.
        ConfigError: The threshold is impossible.
    """
    start = time.perf_counter()
    wanted: list[tuple[Output, bool]] = [
        (OVERLAY, overlay), (PROBABILITY, probability), (LINES, lines), (THUMBNAIL, index)
    ]  # fmt: skip
    plan = make_plan(
        segmenter.bundle, paths, prompts, out, settings, [output for output, wish in wanted if wish]
    )
    on_start(len(plan.items))
    counts = dict.fromkeys(("done", "skipped", "failed"), 0)
    masks = 0
    for outcome in batch_run.segment_plan(segmenter, plan):
        counts[outcome.status] += 1
        masks += sum("mask" in record for record in outcome.records)
        on_outcome(outcome)
    page = _page(plan.out, plan.manifest) if index and any(plan.manifest) else None
    seconds = time.perf_counter() - start
    return SegmentSummary(
        **counts, masks=masks, seconds=seconds, prompts=plan.prompts, out=plan.out, index=page
    )


def _page(out: Path, manifest: Manifest) -> Path:
    from drywallqa.visualization import (
        results_page,  # its templates and escapes are not on the way to the first mask
    )

    return results_page.write_results_page(out, manifest)
