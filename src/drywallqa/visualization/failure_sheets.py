"""Draw contact sheets of bad masks, and write the CSV list of failures for relabelling."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from PIL import Image

from drywallqa.evaluation.failures import CAUSES, KINDS, Failure
from drywallqa.evaluation.measure import LabelledPrediction
from drywallqa.evaluation.release_tests import MaskSource
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import FALSE_ALARM_SHARE, Counts
from drywallqa.synthetic.walls import render_wall
from drywallqa.visualization.overlay import image_bytes
from drywallqa.visualization.panel_folder import PanelFiles, describe_failure
from drywallqa.visualization.panels import comparison_panels, panel_row, panel_sheet

_TODO = {
    "doubtful label": "check the label; redraw it along the object, or confirm it",
    "taken for another": "make sure that both objects are labelled in this photo",
    "lighting or texture": "check whether the object is visible in the photo; if not, remove the photo",
}
_ORDER = list(CAUSES)
WALLS = 200
_SEED = 70_000  # seed of the first wall; training uses other random generators
_SHOWN_WALLS = 3  # number of walls to show per concept and kind of failure


def draw_failures(
    found: Iterable[tuple[Failure, LabelledPrediction]], panels: PanelFiles, progress: Callable[[int], None]
) -> list[tuple[Failure, Image.Image]]:
    """Draw one row of pictures per failure. Write each panel immediately, to keep memory use low."""
    drawn = []
    for done, (failure, labelled) in enumerate(found, 1):
        panels.add_failure(failure, labelled)
        truth, mask = labelled.truths[failure.pair.concept], labelled.masks[failure.pair.prompt]
        text = f"{describe_failure(failure)}; {failure.cause.name}: {failure.cause.evidence}"
        row = panel_row(comparison_panels(labelled.photo, truth, mask), [text, labelled.sample.image_id])
        drawn.append((failure, row))
        progress(done)
    return drawn


def failure_sheet(
    prompt: str, drawn: Sequence[tuple[Failure, Image.Image]], notes: Sequence[str]
) -> Image.Image:
    """Draw the failures of one prompt on a sheet, sorted by kind and likely cause."""
    sections = []
    for kind, meaning in KINDS.items():
        own = [each for each in drawn if each[0].kind == kind]
        own.sort(key=lambda each: (_ORDER.index(each[0].cause.name), each[0].pair.counts.iou))
        if own:
            sections.append((f"{kind.capitalize()} ({len(own)}): {meaning}", [row for _, row in own]))
    title = f'Failures with the prompt "{prompt}"' if sections else f'No failures with the prompt "{prompt}"'
    return panel_sheet(title, sections, 2, notes)


def failures_csv(failures: Sequence[Failure]) -> str:
    """List failures as CSV for relabelling: likely cause, suggested action, and a column for the verdict."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        (
            "photo", "set", "image_id", "split", "setting", "prompt", "concept", "kind", "likely_cause",
            "evidence", "iou", "presence", "missed_px", "falsely_marked_px", "to_do", "verdict", "comment",
        )
    )  # fmt: skip
    for failure in sorted(failures, key=lambda f: (f.pair.prompt, _ORDER.index(f.cause.name))):
        pair, sample, cause = failure.pair, failure.pair.sample, failure.cause
        writer.writerow(
            (
                sample.photo, sample.set_name, sample.image_id, sample.split or "", sample.setting or "",
                pair.prompt, pair.concept, failure.kind, cause.name, cause.evidence,
                "" if pair.absent else f"{pair.counts.iou:.4f}", f"{pair.presence:.4f}", pair.counts.fn,
                pair.counts.fp, _TODO.get(cause.name, ""), "", "",
            )
        )  # fmt: skip
    return stream.getvalue()


def failed_walls(segmenter: Segmenter, concepts: Sequence[str], count: int = WALLS) -> bytes:
    """Segment rendered walls, and draw the worst masks as a JPEG for the model card.

    Args:
        segmenter: The bundle's segmenter.
        concepts: Concepts to segment. Rendered walls must have labels for each of these concepts.
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
        (
            f"{concept}: {kind}",
            [_wall_row(source, concept, *each) for each in sorted(found[concept])[:_SHOWN_WALLS]],
        )
        for concept in concepts
        for kind, found in (("worst masks", missed), ("false alarms", false))
        if found[concept]
    ]
    title = f"{segmenter.bundle.name} {segmenter.bundle.version}: worst of {count} rendered walls"
    note = "The labels of rendered walls are wide outlines and boxes, similar to human labels."
    return image_bytes(panel_sheet(title, sections, 1, [note]), "JPEG", quality=72)


def _wall_row(source: MaskSource, concept: str, score: float, seed: int) -> Image.Image:
    """Render a wall again, because only its score was kept in memory, and draw its mask."""
    wall = render_wall(seed)
    text = f"IoU {score:.2f}" if wall.labels[concept].any() else f"{-score:.1%} falsely marked"
    tiles = comparison_panels(wall.photo, wall.labels[concept], source.masks(wall.photo)[concept])
    return panel_row(tiles, [f"wall {seed}: {text}"])
