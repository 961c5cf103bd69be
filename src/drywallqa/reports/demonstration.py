"""The demonstration: the main job on example walls that the package renders, checked with their truth."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drywallqa import masks
from drywallqa.inference.plan import Outcome, Settings
from drywallqa.inference.segmenter import Segmenter
from drywallqa.rendering.canvas import Mask
from drywallqa.rendering.examples import Agreement, agreement, write_examples
from drywallqa.rendering.seams import drawn
from drywallqa.rendering.walls import CRACK, SEAM_LINE, TAPING_AREA, Wall
from drywallqa.reports.results import Summary, segment_into

PROMPTS = {CRACK: "segment crack", TAPING_AREA: "segment taping area", SEAM_LINE: "segment seam line"}
"""What the demonstration asks, by concept, of a model that knows it."""


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration did.

    Attributes:
        photos: The folder with the rendered photos.
        summary: What the run over them did.
        agreements: How well its masks fit the truth, one entry a concept; empty where photos failed.
    """

    photos: Path
    summary: Summary
    agreements: tuple[Agreement, ...]


def demonstrate(
    segmenter: Segmenter,
    out: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (640, 640),
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Demonstration:
    """Render the example walls into OUT/photos, segment them into OUT/results, compare with the truth.

    Results of an earlier demonstration in the same folder are replaced where they differ.

    Args:
        segmenter: What answers.
        out: The folder for everything.
        size: Height and width of the photos in px.
        on_start: Called once with the number of photos.
        on_outcome: Called after each photo.

    Raises:
        OutputError: The folder cannot be written to.
    """
    photos, results = Path(out) / "photos", Path(out) / "results"
    walls = write_examples(photos, size)
    prompts = {c: prompt for c, prompt in PROMPTS.items() if c in segmenter.bundle.concepts}
    summary = segment_into(
        segmenter,
        [photos / f"{name}.png" for name in walls],
        list(prompts.values()),
        results,
        settings=Settings(overwrite=True),
        overlay=True,
        on_start=on_start,
        on_outcome=on_outcome,
    )
    if summary.failed:
        return Demonstration(photos, summary, ())
    agreements = []
    for concept, prompt in prompts.items():
        found = {name: masks.read(results / masks.file_name(name, prompt)) for name in walls}
        truths = {name: _truth(wall, concept) for name, wall in walls.items()}
        agreements.append(agreement(truths, concept, found))
    return Demonstration(photos, summary, tuple(agreements))


def _truth(wall: Wall, concept: str) -> Mask:
    return drawn(wall.seam_lines, wall.photo.shape[:2]) if concept == SEAM_LINE else wall.labels[concept]
