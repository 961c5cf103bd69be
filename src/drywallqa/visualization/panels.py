"""Photo, truth, prediction and error map side by side, readable in grey and by the colour-blind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drywallqa.evaluation.measure import LabelledPrediction, PairMeasurement
from drywallqa.inference.queries import PromptQuery
from drywallqa.visualization.lettering import INK, PAPER, add_notes, fitting, font
from drywallqa.visualization.overlay import draw_mask

TILE = 200
GAP = 10
HEADS = ("photo", "truth", "prediction", "errors")

# In grey: what is right stays light, false alarms are middling, misses are dark.
MISS, FALSE, RIGHT = (0, 62, 134), (230, 142, 0), (196, 228, 220)
_LIGHT = 0.35  # share of the photo that shines through the error map

Mask = NDArray[np.bool_]
Photo = NDArray[np.uint8]


def error_map(photo: Photo, mask: Mask, truth: Mask) -> Photo:
    """Draw misses dark blue, false alarms orange, hits pale, over a whitened grey photo."""
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32)
    drawn = np.repeat((255 - (255 - grey) * _LIGHT)[:, :, None], 3, axis=2).astype(np.uint8)
    for part, colour in ((mask & truth, RIGHT), (mask & ~truth, FALSE), (truth & ~mask, MISS)):
        drawn[part] = colour
    return drawn


def shrink_photo(photo: Photo, masks: Sequence[Mask], side: int = TILE) -> tuple[Photo, list[Mask]]:
    """Scale a photo and masks so that the longer side is `side` px; thin parts of a mask do not vanish."""
    height, width = photo.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))
    shares = [
        np.asarray(Image.fromarray(mask.view(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX))
        for mask in masks
    ]
    return small, [share >= 100 for share in shares]


def panels(look: LabelledPrediction, question: PromptQuery, side: int = TILE) -> list[Image.Image]:
    """Draw the four panels of `HEADS` for one prompt, the photo's longer side `side` px."""
    return comparison_panels(
        look.photo, look.truths[str(question.concept)], look.masks[question.prompt], side
    )


def comparison_panels(photo: Photo, truth: Mask, mask: Mask, side: int = TILE) -> list[Image.Image]:
    """Draw a photo, its truth, a mask and where they differ, the photo's longer side `side` px."""
    photo, (truth, mask) = shrink_photo(photo, [truth, mask], side)
    drawn = (photo, draw_mask(photo, truth), draw_mask(photo, mask), error_map(photo, mask, truth))
    return [Image.fromarray(picture) for picture in drawn]


def panel_row(tiles: Sequence[Image.Image], lines: Sequence[str], side: int = TILE) -> Image.Image:
    """Put tiles side by side beneath lines of text."""
    head = 18 * len(lines) + 4
    picture = Image.new("RGB", (len(tiles) * (side + GAP), side + head + GAP), PAPER)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((0, 18 * number), fitting(line, 13, picture.width - GAP), INK, font(13))
    for number, tile in enumerate(tiles):
        picture.paste(tile, (number * (side + GAP), head))
    return picture


def panel_sheet(
    title: str,
    sections: Sequence[tuple[str, Sequence[Image.Image]]],
    columns: int,
    notes: Sequence[str],
    *,
    errors: bool = True,
) -> Image.Image:
    """Lay rows of equal size out under their sections' titles; `errors` adds the error map's legend."""
    cells = [cell for _, members in sections for cell in members]
    width = max((cell.width for cell in cells), default=4 * (TILE + GAP)) + GAP
    height = max((cell.height for cell in cells), default=0)
    counts = [-(-len(members) // columns) for _, members in sections]
    picture = Image.new(
        "RGB", (width * columns + GAP, 76 + sum(34 + count * height for count in counts)), PAPER
    )
    pen = ImageDraw.Draw(picture)
    pen.text((GAP, 8), fitting(title, 22, picture.width - 2 * GAP), INK, font(22))
    if errors:
        _legend(pen, 46)
    top = 76
    for (name, members), count in zip(sections, counts, strict=True):
        pen.text((GAP, top + 4), name, INK, font(17))
        for number, cell in enumerate(members):
            down, across = divmod(number, columns)
            picture.paste(cell, (GAP + across * width, top + 34 + down * height))
        top += 34 + count * height
    return add_notes(picture, notes)


def _legend(pen: ImageDraw.ImageDraw, top: int) -> None:
    left = float(GAP)
    words = f"Each: {', '.join(HEADS)}. Errors:"
    pen.text((left, top), words, INK, font(14))
    left += font(14).getlength(words) + 14
    for colour, name in ((MISS, "missed"), (FALSE, "falsely marked"), (RIGHT, "right")):
        pen.rectangle((left, top + 1, left + 22, top + 15), fill=colour, outline=INK)
        pen.text((left + 28, top), name, INK, font(14))
        left += 48 + font(14).getlength(name)


def example_panels(look: LabelledPrediction, pair: PairMeasurement, label: str) -> Image.Image:
    """Draw one example: its four panels beneath what they show."""
    found = f"IoU {pair.counts.iou:.2f}, presence {pair.presence:.2f}"
    return panel_row(panels(look, pair.question), [f"{label}: {found}", look.sample.image_id])


def under_prompts(look: LabelledPrediction, questions: Sequence[PromptQuery]) -> Image.Image:
    """Draw one photo and its mask under each prompt."""
    photo, masks = shrink_photo(look.photo, [look.masks[q.prompt] for q in questions])
    tiles = [Image.fromarray(photo), *(Image.fromarray(draw_mask(photo, mask)) for mask in masks)]
    asked = [
        f'{number}. "{q.prompt}": {look.masks[q.prompt].mean():.1%} marked, '
        f"presence {look.presence[q.prompt]:.2f}"
        for number, q in enumerate(questions, 1)
    ]
    return panel_row(tiles, [look.sample.image_id, *asked])
