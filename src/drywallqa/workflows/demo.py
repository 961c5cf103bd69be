"""The demo: render example walls, segment them, and compare the masks with the ground truth."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drywallqa.imaging import mask_files
from drywallqa.inference.mask_kinds import OUTLINE
from drywallqa.inference.plan import PhotoOutcome, RunOptions, SegmentSummary
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inference.segmenter import Segmenter
from drywallqa.synthetic.examples import ExampleScore, score_example, write_examples
from drywallqa.synthetic.joints import line_mask
from drywallqa.synthetic.walls import CRACK, SEAM_LINE, TAPING_AREA
from drywallqa.visualization.overlay import OVERLAY
from drywallqa.workflows.segment import segment_into

PROMPTS = {CRACK: "segment crack", TAPING_AREA: "segment taping area", SEAM_LINE: "segment seam line"}
"""Concept → prompt. The demo uses the concepts that the model knows."""


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo.

    Attributes:
        photos: Folder with the rendered photos.
        summary: Summary of the segmentation.
        agreements: Agreement of the masks with the ground truth, one entry per concept. Empty if a photo
            failed.
    """

    photos: Path
    summary: SegmentSummary
    agreements: tuple[ExampleScore, ...]


def run_demo(
    segmenter: Segmenter,
    out: str | os.PathLike[str],
    *,
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[PhotoOutcome], None] = lambda outcome: None,
) -> DemoResult:
    """Render walls into OUT/photos, segment them into OUT/results, and compare the masks with the truth.

    Results of an earlier demo in the same folder are replaced.

    Args:
        segmenter: The model.
        out: Folder for the photos and the results.
        on_start: Called once, with the number of photos.
        on_outcome: Called after each photo.

    Raises:
        OutputError: The folder cannot be written to.
    """
    photos, results = Path(out) / "photos", Path(out) / "results"
    walls = write_examples(photos, (640, 640))
    prompts = {c: prompt for c, prompt in PROMPTS.items() if c in segmenter.bundle.concepts}
    summary = segment_into(
        segmenter,
        [photos / f"{name}.png" for name in walls],
        list(prompts.values()),
        results,
        RunOptions(SegmentOptions(mask=OUTLINE), overwrite=True, outputs=(OVERLAY,)),
        on_start=on_start,
        on_outcome=on_outcome,
    )
    if summary.failed:
        return DemoResult(photos, summary, ())
    agreements = []
    for concept, prompt in prompts.items():
        found = {name: mask_files.read_mask(results / mask_files.file_name(name, prompt)) for name in walls}
        truths = {
            name: wall.labels[concept]
            if concept != SEAM_LINE
            else line_mask(wall.seam_lines, wall.photo.shape[:2])
            for name, wall in walls.items()
        }
        agreements.append(score_example(truths, concept, found))
    return DemoResult(photos, summary, tuple(agreements))
