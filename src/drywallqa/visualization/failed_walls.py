"""Draw the rendered walls with a bundle's worst masks, for its model card."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from drywallqa.evaluation.distractors import MaskSource
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts
from drywallqa.synthetic.walls import render_wall
from drywallqa.visualization.panels import comparison_panels, panel_row, panel_sheet

WALLS = 200
_SEED = 70_000  # seed of the first wall; training uses other generators
_SHOWN = 3  # number of walls per concept and kind of failure


def failed_walls(segmenter: Segmenter, concepts: Sequence[str], count: int = WALLS) -> bytes:
    """Segment rendered walls and draw the worst masks as JPEG.

    Args:
        segmenter: The bundle's segmenter.
        concepts: The concepts of rendered walls that the bundle knows.
        count: Number of walls to render.
    """
    source = MaskSource(segmenter, {concept: concept for concept in concepts})
    missed: dict[str, list[tuple[float, int]]] = {concept: [] for concept in concepts}
    false: dict[str, list[tuple[float, int]]] = {concept: [] for concept in concepts}
    for seed in range(_SEED, _SEED + count):
        wall = render_wall(seed)
        for concept, mask in source.masks(wall.photo).items():
            truth = wall.labels[concept]
            if truth.any():
                missed[concept].append((Counts.of(mask, truth).iou, seed))
            elif mask.mean() > FALSE_ALARM_SHARE:
                false[concept].append((-float(mask.mean()), seed))
    sections = [
        (f"{concept}: {kind}", [_cell(source, concept, *each) for each in sorted(found[concept])[:_SHOWN]])
        for concept in concepts
        for kind, found in (("worst masks", missed), ("false alarms", false))
        if found[concept]
    ]
    title = f"{segmenter.bundle.name} {segmenter.bundle.version}: worst of {count} rendered walls"
    note = "Labels of rendered walls are wide outlines and boxes, as people draw them."
    stream = io.BytesIO()
    panel_sheet(title, sections, 1, [note]).save(stream, "JPEG", quality=72)
    return stream.getvalue()


def _cell(source: MaskSource, concept: str, score: float, seed: int) -> Image.Image:
    """Render a wall again and draw it, because only the scores of walls are kept in memory."""
    wall = render_wall(seed)
    text = f"IoU {score:.2f}" if wall.labels[concept].any() else f"{-score:.1%} marked, nothing there"
    tiles = comparison_panels(wall.photo, wall.labels[concept], source.masks(wall.photo)[concept])
    return panel_row(tiles, [f"wall {seed}: {text}"])
