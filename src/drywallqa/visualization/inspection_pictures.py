"""Pictures of an inspected photo: an overview with numbered findings, and close-ups of the worst findings.

`write_inspection_pictures` is called while a photo is in memory. The report later reads the picture files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.files import write_whole
from drywallqa.imaging.mask_files import name_digest, safe_stem
from drywallqa.inspection.ledger import Finding, Observation, Outcome, PhotoRecord
from drywallqa.inspection.ledger_verdicts import OUTCOME_ORDER, worst_outcome
from drywallqa.inspection.measure_text import System
from drywallqa.visualization.close_ups import draw_close_up
from drywallqa.visualization.finding_labels import (
    BLACK,
    LINES,
    WHITE,
    Box,
    Label,
    draw_label,
    place_labels,
)
from drywallqa.visualization.finding_strokes import View, draw_strokes, stroke_mask
from drywallqa.visualization.overlay import image_bytes
from drywallqa.visualization.scale_bar import draw_scale_bar, round_length

WORST_FIRST = tuple(reversed(OUTCOME_ORDER))
PICTURES = "pictures"
"""Name of the folder in the folder of results that contains a folder of pictures for each visit."""
CLOSE_UPS = 20
"""Number of findings per photo that get a close-up."""
_SIDES = (960, 1600)  # px, shortest and longest side of an overview; small photos are enlarged
_MANY = 30  # findings; more get smaller numbers
_FINE = 2  # pictures are drawn at this multiple of their size, which smooths all lines
_NARROWEST = 720  # px, so that scale bar and legend fit
_QUALITY = 80


@dataclass(frozen=True)
class Seen:
    """A finding as it is observed on one photo.

    Attributes:
        number: Number of the finding.
        concept: Concept of the finding.
        observation: What was measured on this photo.
        outcome: The worst outcome of the rules.
    """

    number: int
    concept: str
    observation: Observation
    outcome: Outcome


def seen_on(photo: str, visit: int, findings: Iterable[Finding]) -> list[Seen]:
    """Return the findings that are observed on a photo, the worst first.

    The order is: outcome of the rules, then largest width, then number. Deleted, merged and split findings
    are not shown.

    Args:
        photo: Path of the photo in the ledger.
        visit: Number of the visit.
        findings: Findings of the ledger.
    """
    seen = [
        Seen(finding.number, finding.concept, observation, worst_outcome(observation.verdicts))
        for finding in findings
        if finding.state in ("open", "repaired")
        for observation in finding.observations
        if (observation.photo, observation.visit) == (photo, visit)
    ]
    return sorted(seen, key=badness)


def badness(one: Seen) -> tuple[int, float, int]:
    """Sort key: the worst outcome first, then the largest width in px, then the number."""
    width = one.observation.px.width_max if one.observation.px else None
    largest = 0.0 if width is None else width.high if width.value is None else width.value
    return WORST_FIRST.index(one.outcome), -largest, one.number


def picture_folder(results: Path, visit: int) -> Path:
    """Return the folder of a visit's pictures in the folder of results.

    Photos of two visits can have the same name, so each visit has a folder.
    """
    return results / PICTURES / f"visit-{visit}"


def overview_name(photo: str) -> str:
    """Return the file name of a photo's overview."""
    return f"{_stem(photo)}.overview.jpg"


def close_up_name(photo: str, number: int) -> str:
    """Return the file name of a finding's close-up on one photo."""
    return f"{_stem(photo)}.finding-{number}.jpg"


def _stem(photo: str) -> str:
    name = safe_stem(Path(photo).stem).encode()[:80].decode("utf-8", "ignore")
    return f"{name}-{name_digest(photo)}"


def write_inspection_pictures(
    photo: NDArray[np.uint8],
    record: PhotoRecord,
    seen: Sequence[Seen],
    folder: Path,
    system: System = "metric",
) -> None:
    """Write the overview of a photo, and one picture for each of the `CLOSE_UPS` worst findings.

    Args:
        photo: The photo as viewed, RGB uint8 [H,W,3].
        record: The record of the photo, for its path and scale.
        seen: Findings on the photo, the worst first, as `seen_on` returns them.
        folder: Folder of the pictures of the photo's visit.
        system: Units of the scale bars.

    Raises:
        OutputError: A picture cannot be written.
    """
    image = Image.fromarray(photo)
    scale = record.scale.mm_per_pixel if record.scale else None
    overview = draw_overview(image, seen, scale, system)
    write_whole(folder / overview_name(record.path), image_bytes(overview, "JPEG", quality=_QUALITY))
    for one in seen[:CLOSE_UPS]:
        picture = draw_close_up(image, one.observation, LINES[one.outcome], _anchor(one), scale, system)
        write_whole(
            folder / close_up_name(record.path, one.number), image_bytes(picture, "JPEG", quality=_QUALITY)
        )


def draw_overview(
    image: Image.Image, seen: Sequence[Seen], mm_per_pixel: float | None, system: System
) -> Image.Image:
    """Draw a whole photo with numbered findings, and a strip with scale bar and legend below."""
    from PIL import ImageDraw, ImageFont

    longest = min(max(max(image.size), _SIDES[0]), _SIDES[1])
    factor = longest * _FINE / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    canvas = image.resize(size, Image.Resampling.BICUBIC)
    view = View(0.0, 0.0, factor)
    ordered = list(reversed(seen))  # the worst is drawn last, on top
    busy = np.zeros((size[1], size[0]), np.bool_)
    for outcome in OUTCOME_ORDER:
        own = [one.observation for one in ordered if one.outcome == outcome]
        if own:
            draw_strokes(canvas, own, view, LINES[outcome], longest * _FINE / 500)
            busy |= np.asarray(stroke_mask(size, own, view, longest * _FINE / 500)) > 0
    height = longest * _FINE / (36 if len(seen) <= _MANY else 58)
    font = ImageFont.load_default(height * 0.72)
    labels = [Label(str(one.number), one.outcome, view.of(_anchor(one))) for one in seen]
    boxes = place_labels(labels, height, font, size, busy)
    _draw_numbers(ImageDraw.Draw(canvas), labels, boxes, font)
    strip = _Strip(canvas.size[0], height, boxes.count(None))
    joined = strip.below(canvas, seen, round_length(image.width / 5, mm_per_pixel, system), factor)
    return joined.resize((joined.width // _FINE, joined.height // _FINE), Image.Resampling.BOX)


def _anchor(one: Seen) -> tuple[float, float]:
    observation = one.observation
    if observation.widest_at:
        return observation.widest_at
    longest = max((line.points for line in observation.centre_lines), key=len, default=())
    if longest:
        return longest[len(longest) // 2]
    left, top, right, bottom = observation.box
    centre = (left + right - 1) / 2, (top + bottom - 1) / 2
    outline = [point for ring in observation.polygon for point in ring]
    return min(outline, key=lambda point: math.dist(point, centre), default=centre)


def _draw_numbers(pen: Any, labels: Sequence[Label], boxes: Sequence[Box | None], font: Any) -> None:
    shown = [(label, box) for label, box in zip(labels, boxes, strict=True) if box is not None]
    for label, box in shown:
        x, y = label.anchor
        end = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
        line = max(2, round((box[3] - box[1]) / 16))
        pen.line((x, y, *end), fill=WHITE, width=line * 3)
        pen.line((x, y, *end), fill=LINES[label.outcome], width=line)
    for label, box in reversed(shown):
        draw_label(pen, box, label.text, label.outcome, font)


class _Strip:
    """The white strip below an overview."""

    def __init__(self, width: int, height: float, hidden: int) -> None:
        from PIL import ImageFont

        self.width, self.size, self.hidden = max(width, _NARROWEST * _FINE), height, hidden
        self.font = ImageFont.load_default(height * 0.72)

    def below(
        self, canvas: Image.Image, seen: Sequence[Seen], bar: tuple[float, str], factor: float
    ) -> Image.Image:
        from PIL import ImageDraw

        outcomes = {one.outcome for one in seen}
        legend = [outcome for outcome in WORST_FIRST if outcome in outcomes]
        rows = 2 if self.hidden else 1
        whole = Image.new("RGB", (self.width, canvas.height + round(self.size * 1.8 * rows)), WHITE)
        whole.paste(canvas, (0, 0))
        pen, x = ImageDraw.Draw(whole), self.size * 0.4
        middle = canvas.height + self.size * 0.9
        draw_scale_bar(pen, (x, middle + self.size / 4), bar[0] * factor, bar[1], self.font)
        x = self.width - self.size * 0.4 - sum(map(self._room, legend))
        for outcome in legend:
            box = (x, middle - self.size / 2, x + self.size, middle + self.size / 2)
            draw_label(pen, box, "", outcome, self.font)
            text = x + self.size * 1.3, middle
            pen.text(text, outcome, fill=BLACK, font=self.font, anchor="lm")
            x += self._room(outcome)
        if self.hidden:
            note = f"{self.hidden} numbers have no room here; the table lists all findings"
            pen.text((self.size * 0.4, middle + self.size * 1.7), note, BLACK, self.font, anchor="lm")
        return whole

    def _room(self, outcome: str) -> float:
        return self.size * 2.1 + float(self.font.getlength(outcome))
