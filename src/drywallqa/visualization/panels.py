"""Draw the photo, ground truth, prediction and error map side by side, also readable in greyscale."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drywallqa.visualization.overlay import draw_mask, image_bytes

TILE = 200
GAP = 10
HEADS = ("photo", "truth", "prediction", "errors")
INK, PAPER = (30, 30, 30), (255, 255, 255)

# In greyscale, correct pixels are light, falsely marked pixels are medium, and missed pixels are dark.
MISS, FALSE, RIGHT = (0, 62, 134), (230, 142, 0), (196, 228, 220)
_LIGHT = 0.35  # opacity of the photo below the error map

Mask = NDArray[np.bool_]
Photo = NDArray[np.uint8]


@lru_cache(maxsize=64)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's default font at a size in px."""
    return ImageFont.load_default(size)


def fit_text(text: str, size: float, width: float) -> str:
    """Truncate a text to a width of `width` px at a font size of `size` px."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def png_bytes(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    return image_bytes(image, "PNG", optimize=True)


def error_map(photo: Photo, mask: Mask, truth: Mask) -> Photo:
    """Draw missed pixels dark blue, false positives orange and correct pixels pale over a faded photo."""
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32)
    drawn = np.repeat((255 - (255 - grey) * _LIGHT)[:, :, None], 3, axis=2).astype(np.uint8)
    for part, colour in ((mask & truth, RIGHT), (mask & ~truth, FALSE), (truth & ~mask, MISS)):
        drawn[part] = colour
    return drawn


def shrink_photo(photo: Photo, masks: Sequence[Mask], side: int = TILE) -> tuple[Photo, list[Mask]]:
    """Scale a photo and its masks so that the longer side is `side` px. Thin parts of masks are kept."""
    height, width = photo.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))
    shares = [
        np.asarray(Image.fromarray(mask.view(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX))
        for mask in masks
    ]
    return small, [share >= 100 for share in shares]


def comparison_panels(photo: Photo, truth: Mask, mask: Mask, side: int = TILE) -> list[Photo]:
    """Draw a photo, its ground truth, a predicted mask and the errors as tiles of up to `side` px."""
    photo, (truth, mask) = shrink_photo(photo, [truth, mask], side)
    return [photo, draw_mask(photo, truth), draw_mask(photo, mask), error_map(photo, mask, truth)]


def panel_row(tiles: Sequence[Photo], lines: Sequence[str]) -> Image.Image:
    """Draw tiles of up to `TILE` px side by side, with lines of text above them."""
    head = 18 * len(lines) + 4
    picture = Image.new("RGB", (len(tiles) * (TILE + GAP), TILE + head + GAP), PAPER)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((0, 18 * number), fit_text(line, 13, picture.width - GAP), INK, font(13))
    for number, tile in enumerate(tiles):
        picture.paste(Image.fromarray(tile), (number * (TILE + GAP), head))
    return picture


def panel_sheet(
    title: str, sections: Sequence[tuple[str, Sequence[Image.Image]]], columns: int, notes: Sequence[str]
) -> Image.Image:
    """Draw a sheet with a title, sections of equally sized panels, and notes at the bottom."""
    cells = [cell for _, members in sections for cell in members]
    width = max((cell.width for cell in cells), default=4 * (TILE + GAP)) + GAP
    height = max((cell.height for cell in cells), default=0)
    counts = [-(-len(members) // columns) for _, members in sections]
    bottom = 76 + sum(34 + count * height for count in counts)
    across = width * columns + GAP
    lines = [line for note in notes for line in textwrap.wrap(note, across // 8)]
    picture = Image.new("RGB", (across, bottom + 19 * len(lines) + (9 if lines else 0)), PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((GAP, 8), fit_text(title, 22, picture.width - 2 * GAP), INK, font(22))
    _draw_legend(pen, 46)
    top = 76
    for (name, members), count in zip(sections, counts, strict=True):
        pen.text((GAP, top + 4), name, INK, font(17))
        for number, cell in enumerate(members):
            row, column = divmod(number, columns)
            picture.paste(cell, (GAP + column * width, top + 34 + row * height))
        top += 34 + count * height
    for number, line in enumerate(lines):
        pen.text((14, bottom + 4 + 19 * number), line, INK, font(14))
    return picture


def _draw_legend(pen: ImageDraw.ImageDraw, top: int) -> None:
    left = float(GAP)
    words = f"Each row: {', '.join(HEADS)}. Errors:"
    pen.text((left, top), words, INK, font(14))
    left += font(14).getlength(words) + 14
    for colour, name in ((MISS, "missed"), (FALSE, "falsely marked"), (RIGHT, "correct")):
        pen.rectangle((left, top + 1, left + 22, top + 15), fill=colour, outline=INK)
        pen.text((left + 28, top), name, INK, font(14))
        left += 48 + font(14).getlength(name)
