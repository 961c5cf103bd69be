"""Contact sheets: captioned thumbnails, grouped under titles, for visual inspection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont

TILE = 180
# Default maximum number of cells in a section.
MOST_CELLS = 240
MARK = (230, 60, 0)
_CAPTION, _GAP, _TITLE = 34, 12, 40  # px
_COLUMNS = 4
_ROW = TILE + _CAPTION + _GAP
_PAPER, _INK = (255, 255, 255), (30, 30, 30)
_LONGEST_CAPTION = 62  # characters

T = TypeVar("T")


@dataclass(frozen=True)
class SheetCell:
    """One cell of a contact sheet: a two-line caption, and a function that returns one or two thumbnails."""

    caption: tuple[str, str]
    draw: Callable[[], Sequence[Image.Image]]


@dataclass(frozen=True)
class SheetSection:
    """A section of a contact sheet: a title and the cells below it."""

    title: str
    cells: Sequence[SheetCell]


def titled_section(
    title: str, items: Sequence[T], cell: Callable[[T], SheetCell], most: int = MOST_CELLS
) -> SheetSection:
    """Make a section with at most `most` of the items, picked at even intervals."""
    amount = f"{most} of {len(items)}" if len(items) > most else str(len(items))
    step = max(1, len(items) // most)
    return SheetSection(f"{title} ({amount})", [cell(item) for item in items[::step][:most]])


def draw_contact_sheet(sections: Sequence[SheetSection]) -> Image.Image:
    """Draw a contact sheet with the given sections."""
    heights = [_TITLE + -(-len(section.cells) // _COLUMNS) * _ROW for section in sections]
    sheet = Image.new("RGB", (_COLUMNS * (2 * TILE + 2 * _GAP) + _GAP, sum(heights) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    top = _GAP
    for section, height in zip(sections, heights, strict=True):
        pen.text((_GAP, top), section.title, fill=_INK, font=ImageFont.load_default(20))
        for number, cell in enumerate(section.cells):
            row, column = divmod(number, _COLUMNS)
            _draw_cell(sheet, cell, _GAP + column * (2 * TILE + 2 * _GAP), top + _TITLE + row * _ROW)
        top += height
    return sheet


def _draw_cell(sheet: Image.Image, cell: SheetCell, left: int, top: int) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for line, text in enumerate(cell.caption):
        if len(text) > _LONGEST_CAPTION:
            half = _LONGEST_CAPTION // 2
            text = f"{text[:half]}…{text[-half:]}"
        pen.text((left, top + 15 * line), text, fill=_INK, font=font)
    for number, tile in enumerate(cell.draw()):
        sheet.paste(tile, (left + number * TILE, top + _CAPTION))
