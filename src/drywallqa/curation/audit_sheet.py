"""An audit's findings as one picture, pair by pair and annotation by annotation, for the eye to judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drywallqa import hashing, photos
from drywallqa.curation.audit import AuditReport, Leak
from drywallqa.curation.inventory import AuditedPhoto, Frame, Remark
from drywallqa.curation.near_duplicates import NearDuplicate
from drywallqa.curation.sheet import MARK, TILE, Cell, Section, draw, titled
from drywallqa.errors import DrywallQAError

_FEW = 16


def render(report: AuditReport) -> Image.Image:
    """Draw the sheet: near-duplicates side by side (turned to match), shared photographs, odd annotations."""
    sections = [section for section in _sections(report) if section.cells]
    return draw(sections or [Section(f"{report.inventory.title}: nothing found", ())])


def _sections(report: AuditReport) -> Iterator[Section]:
    across = [pair for pair in report.near_duplicates if pair.across]
    within = [pair for pair in report.near_duplicates if not pair.across]
    yield titled("Near-duplicates under other names, on two sides of the split", across, _pair_cell)
    yield titled("Near-duplicates under other names, on one side", within, _pair_cell)
    for leak in report.leaks:
        title = f"{leak.split} photos whose photograph is in {leak.other}"
        yield titled(title, _shared(report, leak), _shared_cell, _FEW)
    for kind in sorted({remark.kind for remark in report.findings}):
        chosen = [remark for remark in report.findings if remark.kind == kind]
        yield titled(f"{kind.capitalize()} annotations", chosen, _remark_cell, _FEW)


def _pair_cell(found: NearDuplicate) -> Cell:
    splits = f"{found.first.split or '-'} | {found.second.split or '-'}"
    caption = f"{found.pair.agreement:.2f}, {found.pair.bits} bits, {splits}"
    names = f"{_stem(found.first)} | {_stem(found.second)}"

    def tiles() -> Sequence[Image.Image]:
        return _tile(found.first.path), _tile(found.second.path, found.pair.turns, found.pair.flip)

    return Cell((caption, names), tiles)


def _stem(photo: AuditedPhoto) -> str:
    return photo.photograph.rsplit("/", 1)[-1][:30]


def _shared(report: AuditReport, leak: Leak) -> list[tuple[AuditedPhoto, AuditedPhoto]]:
    """Pair one photo of each shared photograph with one of the other part."""
    here = {photo.photograph: photo for photo in report.inventory.photos if photo.split == leak.split}
    there = {photo.photograph: photo for photo in report.inventory.photos if photo.split == leak.other}
    return [(here[name], there[name]) for name in leak.photographs]


def _shared_cell(pair: tuple[AuditedPhoto, AuditedPhoto]) -> Cell:
    first, second = pair
    caption = (f"{first.split} | {second.split}", _stem(first))
    return Cell(caption, lambda: (_tile(first.path), _tile(second.path)))


def _remark_cell(remark: Remark) -> Cell:
    return Cell((remark.name, remark.where), lambda: (_tile(remark.path, frame=remark.frame),))


def _tile(path: Path, turns: int = 0, flip: bool = False, frame: Frame | None = None) -> Image.Image:
    """Shrink a photo to a tile; grey where it cannot be read."""
    try:
        photo = photos.read(path)
    except (DrywallQAError, OSError, ValueError):
        return Image.new("RGB", (TILE, TILE), (128, 128, 128))
    turned = np.ascontiguousarray(hashing.orient(photo, turns, flip))
    tile = Image.fromarray(turned).resize((TILE, TILE), Image.Resampling.BOX)
    if frame:
        height, width = photo.shape[:2]
        scale = (TILE / width, TILE / height)
        corners = [min(TILE - 2, round(value * scale[axis % 2])) for axis, value in enumerate(frame)]
        ImageDraw.Draw(tile).rectangle(corners, outline=MARK, width=2)
    return tile
