"""Letters on pictures: fonts, lines that fit, notes beneath."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

INK, PALE, PAPER = (30, 30, 30), (215, 215, 215), (255, 255, 255)


@lru_cache(maxsize=64)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font at a size in px."""
    return ImageFont.load_default(size)


def wrap(text: str, size: float, width: float) -> list[str]:
    """Break a text into lines of at most `width` px."""
    shape, lines, line = font(size), [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and shape.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines


def fitting(text: str, size: float, width: float) -> str:
    """Cut the end of a text until it fits into `width` px."""
    shape = font(size)
    if shape.getlength(text) <= width:
        return text
    while text and shape.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def add_notes(picture: Image.Image, notes: Sequence[str], size: float = 14) -> Image.Image:
    """Put notes beneath a picture, in letters of `size` px; the picture itself where there are none."""
    lines = [line for note in notes for line in wrap(note, size, picture.width - 2 * size)]
    if not lines:
        return picture
    step = round(1.35 * size)
    sheet = Image.new("RGB", (picture.width, picture.height + step * len(lines) + step // 2), PAPER)
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        pen.text((size, picture.height + step // 4 + step * number), line, INK, font(size))
    return sheet
