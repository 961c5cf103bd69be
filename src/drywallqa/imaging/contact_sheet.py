"""Contact sheets: many small pictures with captions, under titles, for the eye to judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont

TILE = 180
MOST = 240
"""Things that a section shows where nothing else is asked for."""
_CAPTION = 34
_GAP = 12
_COLUMNS = 4
_TITLE = 40

_PAPER = (255, 255, 255)
_INK = (30, 30, 30)
MARK = (230, 60, 0)

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class SheetCell:
    """One field of a sheet: two lines of caption, and what draws its one or two tiles."""

    caption: tuple[str, str]
    draw: Callable[[], Sequence[Image.Image]]


@dataclass(frozen=True)
class SheetSection:
    """Fields under one title."""

    title: str
    cells: Sequence[SheetCell]


def titled_section(
    title: str, things: Sequence[Thing], cell: Callable[[Thing], SheetCell], most: int = MOST
) -> SheetSection:
    """Make a section of things, at most so many, spread over all so that they stand for the whole."""
    amount = f"{most} of {len(things)}" if len(things) > most else str(len(things))
    step = max(1, len(things) // most)
    return SheetSection(f"{title} ({amount})", [cell(thing) for thing in things[::step][:most]])


def draw_contact_sheet(sections: Sequence[SheetSection]) -> Image.Image:
    """Draw a sheet."""
    heights = [_TITLE + _rows(section) * (TILE + _CAPTION + _GAP) for section in sections]
    sheet = Image.new("RGB", (_COLUMNS * (2 * TILE + 2 * _GAP) + _GAP, sum(heights) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    top = _GAP
    for section, height in zip(sections, heights, strict=True):
        pen.text((_GAP, top), section.title, fill=_INK, font=ImageFont.load_default(20))
        for number, cell in enumerate(section.cells):
            row, column = divmod(number, _COLUMNS)
            left = _GAP + column * (2 * TILE + 2 * _GAP)
            _draw_cell(sheet, pen, cell, left, top + _TITLE + row * (TILE + _CAPTION + _GAP))
        top += height
    return sheet


def _rows(section: SheetSection) -> int:
    return -(-len(section.cells) // _COLUMNS)


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: SheetCell, left: int, top: int) -> None:
    font = ImageFont.load_default(11)
    for line, text in enumerate(cell.caption):
        pen.text((left, top + 15 * line), _shorten(text), fill=_INK, font=font)
    for number, tile in enumerate(cell.draw()):
        sheet.paste(tile, (left + number * TILE, top + _CAPTION))


def _shorten(text: str, most: int = 62) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"
