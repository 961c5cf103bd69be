"""Contact sheets of what went wrong, and the list that goes back to labelling."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from PIL import Image

from drywallqa.evaluation.causes import CAUSES
from drywallqa.evaluation.failures import KINDS, Failure
from drywallqa.evaluation.measure import LabelledPrediction
from drywallqa.visualization.panels import panel_row, panel_sheet, panels

Drawn = tuple[Failure, Image.Image]

_TODO = {
    "doubtful label": "look at the label: redraw it along the object, or confirm it",
    "taken for another": "make sure that both objects are labelled in this photo",
    "lighting or texture": "confirm that the object can be seen at all; else remove the photo",
}
_COLUMNS = (
    "photo", "set", "image_id", "split", "setting", "prompt", "concept", "kind", "likely_cause", "evidence",
    "iou", "presence", "missed_px", "falsely_marked_px", "to_do", "verdict", "comment",
)  # fmt: skip


def draw_failures(
    found: Iterable[tuple[Failure, LabelledPrediction]], progress: Callable[[int], None] | None = None
) -> list[Drawn]:
    """Draw each failure's row as it comes, so that no photo needs to be kept."""
    drawn = []
    for done, (failure, look) in enumerate(found, 1):
        drawn.append((failure, panel_row(panels(look, failure.pair.question), _lines(failure))))
        if progress:
            progress(done)
    return drawn


def _lines(failure: Failure) -> list[str]:
    pair = failure.pair
    if pair.absent:
        size = pair.histogram.size
        found = f"{pair.counts.fp / size:.1%} of the photo marked though it is absent"
    else:
        found = f"IoU {pair.counts.iou:.2f}"
    cause = f"{failure.cause.name}: {failure.cause.evidence}"
    return [f"{found}, presence {pair.presence:.2f}; {cause}", pair.sample.image_id]


def failure_sheet(prompt: str, drawn: Sequence[Drawn], notes: Sequence[str]) -> Image.Image:
    """Lay the failures of one prompt out by kind and, within it, by likely cause."""
    order = list(CAUSES)
    sections = []
    for kind, meaning in KINDS.items():
        own = sorted(
            (each for each in drawn if each[0].kind == kind),
            key=lambda each: (order.index(each[0].cause.name), each[0].pair.counts.iou),
        )
        if own:
            sections.append((f"{kind.capitalize()} ({len(own)}): {meaning}", [cell for _, cell in own]))
    title = f'Failures under "{prompt}"' if sections else f'No failures under "{prompt}"'
    return panel_sheet(title, sections, 2, notes)


def failures_csv(failures: Sequence[Failure]) -> str:
    """List the failures for labelling: where, what, likely cause, what to do, and room for a verdict."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    order = list(CAUSES)
    for failure in sorted(failures, key=lambda f: (f.pair.question.prompt, order.index(f.cause.name))):
        pair, sample = failure.pair, failure.pair.sample
        writer.writerow(
            {
                "photo": sample.photo,
                "set": sample.set_name,
                "image_id": sample.image_id,
                "split": sample.split or "",
                "setting": sample.setting or "",
                "prompt": pair.question.prompt,
                "concept": pair.question.concept,
                "kind": failure.kind,
                "likely_cause": failure.cause.name,
                "evidence": failure.cause.evidence,
                "iou": "" if pair.absent else f"{pair.counts.iou:.4f}",
                "presence": f"{pair.presence:.4f}",
                "missed_px": pair.counts.fn,
                "falsely_marked_px": pair.counts.fp,
                "to_do": _TODO.get(failure.cause.name, ""),
                "verdict": "",
                "comment": "",
            }
        )
    return stream.getvalue()
