"""An audit's findings as one picture, pair by pair and annotation by annotation, for the eye to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drywallqa import hashing, photos
from drywallqa.curation.audit import AuditReport, Leak, NearDuplicate
from drywallqa.curation.inventory import AuditedPhoto, Frame, Remark
from drywallqa.errors import DrywallQAError

_TILE = 180
_CAPTION = 34
_GAP = 12
_COLUMNS = 4
_TITLE = 40
_MOST = 240
_FEW = 16

_PAPER = (255, 255, 255)
_INK = (30, 30, 30)
_MARK = (230, 60, 0)

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class _Cell:
    """One field of the sheet: two lines of caption, and what draws its one or two tiles."""

    caption: tuple[str, str]
    draw: Callable[[], Sequence[Image.Image]]


@dataclass(frozen=True)
class _Section:
    title: str
    cells: Sequence[_Cell]


def render(report: AuditReport) -> Image.Image:
    """Draw the sheet: near-duplicates side by side (turned to match), shared photographs, odd annotations."""
    sections = [section for section in _sections(report) if section.cells]
    if not sections:
        sections = [_Section(f"{report.inventory.title}: nothing found", ())]
    heights = [_TITLE + _rows(section) * (_TILE + _CAPTION + _GAP) for section in sections]
    sheet = Image.new("RGB", (_COLUMNS * (2 * _TILE + 2 * _GAP) + _GAP, sum(heights) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    top = _GAP
    for section, height in zip(sections, heights, strict=True):
        pen.text((_GAP, top), section.title, fill=_INK, font=ImageFont.load_default(20))
        for number, cell in enumerate(section.cells):
            row, column = divmod(number, _COLUMNS)
            left = _GAP + column * (2 * _TILE + 2 * _GAP)
            _draw_cell(sheet, pen, cell, left, top + _TITLE + row * (_TILE + _CAPTION + _GAP))
        top += height
    return sheet


def _rows(section: _Section) -> int:
    return -(-len(section.cells) // _COLUMNS)


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: _Cell, left: int, top: int) -> None:
    font = ImageFont.load_default(11)
    for line, text in enumerate(cell.caption):
        pen.text((left, top + 15 * line), _shorten(text), fill=_INK, font=font)
    for number, tile in enumerate(cell.draw()):
        sheet.paste(tile, (left + number * _TILE, top + _CAPTION))


def _shorten(text: str, most: int = 62) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"


def _sections(report: AuditReport) -> Iterator[_Section]:
    across = [pair for pair in report.near_duplicates if pair.across]
    within = [pair for pair in report.near_duplicates if not pair.across]
    yield _titled("Near-duplicates under other names, on two sides of the split", across, _pair_cell, _MOST)
    yield _titled("Near-duplicates under other names, on one side", within, _pair_cell, _MOST)
    for leak in report.leaks:
        title = f"{leak.split} photos whose photograph is in {leak.other}"
        yield _titled(title, _shared(report, leak), _shared_cell, _FEW)
    for kind in sorted({remark.kind for remark in report.findings}):
        chosen = [remark for remark in report.findings if remark.kind == kind]
        yield _titled(f"{kind.capitalize()} annotations", chosen, _remark_cell, _FEW)


def _titled(title: str, things: Sequence[Thing], cell: Callable[[Thing], _Cell], most: int) -> _Section:
    amount = f"{most} of {len(things)}" if len(things) > most else str(len(things))
    # Spread over all, so that a few examples stand for the whole.
    step = max(1, len(things) // most)
    return _Section(f"{title} ({amount})", [cell(thing) for thing in things[::step][:most]])


def _pair_cell(found: NearDuplicate) -> _Cell:
    splits = f"{found.first.split or '-'} | {found.second.split or '-'}"
    caption = f"{found.pair.agreement:.2f}, {found.pair.bits} bits, {splits}"
    names = f"{_stem(found.first)} | {_stem(found.second)}"

    def draw() -> Sequence[Image.Image]:
        return _tile(found.first.path), _tile(found.second.path, found.pair.turns, found.pair.flip)

    return _Cell((caption, names), draw)


def _stem(photo: AuditedPhoto) -> str:
    return photo.photograph.rsplit("/", 1)[-1][:30]


def _shared(report: AuditReport, leak: Leak) -> list[tuple[AuditedPhoto, AuditedPhoto]]:
    """Pair one photo of each shared photograph with one of the other part."""
    here = {photo.photograph: photo for photo in report.inventory.photos if photo.split == leak.split}
    there = {photo.photograph: photo for photo in report.inventory.photos if photo.split == leak.other}
    return [(here[name], there[name]) for name in leak.photographs]


def _shared_cell(pair: tuple[AuditedPhoto, AuditedPhoto]) -> _Cell:
    first, second = pair
    caption = (f"{first.split} | {second.split}", _stem(first))
    return _Cell(caption, lambda: (_tile(first.path), _tile(second.path)))


def _remark_cell(remark: Remark) -> _Cell:
    return _Cell((remark.name, remark.where), lambda: (_tile(remark.path, frame=remark.frame),))


def _tile(path: Path, turns: int = 0, flip: bool = False, frame: Frame | None = None) -> Image.Image:
    """Shrink a photo to a tile; grey where it cannot be read."""
    try:
        photo = photos.read(path)
    except (DrywallQAError, OSError, ValueError):
        return Image.new("RGB", (_TILE, _TILE), (128, 128, 128))
    turned = np.ascontiguousarray(hashing.orient(photo, turns, flip))
    tile = Image.fromarray(turned).resize((_TILE, _TILE), Image.Resampling.BOX)
    if frame:
        height, width = photo.shape[:2]
        scale = (_TILE / width, _TILE / height)
        corners = [min(_TILE - 2, round(value * scale[axis % 2])) for axis, value in enumerate(frame)]
        ImageDraw.Draw(tile).rectangle(corners, outline=_MARK, width=2)
    return tile
