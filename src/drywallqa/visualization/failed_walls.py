"""The rendered walls that a bundle fails on most, as a picture for its card."""

from __future__ import annotations

import heapq
import io
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from drywallqa.evaluation.distractors import MaskSource
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts
from drywallqa.synthetic.walls import render_wall
from drywallqa.visualization.panels import Mask, Photo, comparison_panels, panel_row, panel_sheet

WALLS = 200
_SEED = 70_000  # of the first wall; training renders from generators of its own
_SHOWN = 3  # of each concept and kind


class _Failed(NamedTuple):
    worth: float  # the smaller, the worse
    seed: int
    photo: Photo
    mask: Mask
    truth: Mask


def failed_walls(segmenter: Segmenter, concepts: Sequence[str], count: int = WALLS) -> bytes:
    """Ask about rendered walls and draw the worst answers, as JPEG.

    Args:
        segmenter: The bundle's.
        concepts: Which of "crack" and "taping area" are asked for.
        count: Walls to render.
    """
    asker = MaskSource(segmenter, {concept: concept for concept in concepts})
    missed: dict[str, list[_Failed]] = {concept: [] for concept in concepts}
    false: dict[str, list[_Failed]] = {concept: [] for concept in concepts}
    for seed in range(_SEED, _SEED + count):
        wall = render_wall(seed)
        for concept, mask in asker.masks(wall.photo).items():
            truth = wall.labels[concept]
            shown = bool(truth.any())
            worth = Counts.of(mask, truth).iou if shown else -float(mask.mean())
            if shown or -worth > FALSE_ALARM_SHARE:
                found = (missed if shown else false)[concept]
                found.append(_Failed(worth, seed, wall.photo, mask, truth))
                found[:] = heapq.nsmallest(_SHOWN, found, key=_worth)
    sections = []
    for concept in concepts:
        for what, found in (("worst answers", missed[concept]), ("false alarms", false[concept])):
            if found:
                sections.append((f"{concept}: {what}", [_cell(each) for each in sorted(found, key=_worth)]))
    title = f"{segmenter.bundle.name} {segmenter.bundle.version}: worst of {count} rendered walls"
    stream = io.BytesIO()
    panel_sheet(
        title, sections, 1, ["Labels of rendered walls are wide outlines and boxes, as people draw them."]
    ).save(stream, "JPEG", quality=72)
    return stream.getvalue()


def _worth(failed: _Failed) -> float:
    return failed.worth


def _cell(failed: _Failed) -> Image.Image:
    shown = f"IoU {failed.worth:.2f}" if failed.truth.any() else f"{-failed.worth:.1%} marked, nothing there"
    return panel_row(
        comparison_panels(failed.photo, failed.truth, failed.mask), [f"wall {failed.seed}: {shown}"]
    )
