"""An audit's findings as one picture, pair by pair and annotation by annotation, for the eye to judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.curation.audit import AuditReport, Leak
from drywallqa.curation.inventory import AuditedPhoto, Frame, Remark
from drywallqa.curation.near_duplicates import NearDuplicate
from drywallqa.errors import DrywallQAError
from drywallqa.imaging import perceptual_hash, photos
from drywallqa.imaging.contact_sheet import (
    MARK,
    TILE,
    SheetCell,
    SheetSection,
    draw_contact_sheet,
    titled_section,
)

_FEW = 16


def audit_sheet(report: AuditReport) -> Image.Image:
    """Draw the sheet: near-duplicates side by side (turned to match), shared photographs, odd annotations."""
    sections = [section for section in _sections(report) if section.cells]
    return draw_contact_sheet(sections or [SheetSection(f"{report.inventory.title}: nothing found", ())])


def _sections(report: AuditReport) -> Iterator[SheetSection]:
    across = [pair for pair in report.near_duplicates if pair.across]
    within = [pair for pair in report.near_duplicates if not pair.across]
    yield titled_section("Near-duplicates under other names, on two sides of the split", across, _pair_cell)
    yield titled_section("Near-duplicates under other names, on one side", within, _pair_cell)
    for leak in report.leaks:
        title = f"{leak.split} photos whose photograph is in {leak.other}"
        yield titled_section(title, _shared(report, leak), _shared_cell, _FEW)
    for kind in sorted({remark.kind for remark in report.findings}):
        chosen = [remark for remark in report.findings if remark.kind == kind]
        yield titled_section(f"{kind.capitalize()} annotations", chosen, _remark_cell, _FEW)


def _pair_cell(found: NearDuplicate) -> SheetCell:
    splits = f"{found.first.split or '-'} | {found.second.split or '-'}"
    caption = f"{found.pair.agreement:.2f}, {found.pair.bits} bits, {splits}"
    names = f"{_stem(found.first)} | {_stem(found.second)}"

    def tiles() -> Sequence[Image.Image]:
        return _tile(found.first.path), _tile(found.second.path, found.pair.turns, found.pair.flip)

    return SheetCell((caption, names), tiles)


def _stem(photo: AuditedPhoto) -> str:
    return photo.photograph.rsplit("/", 1)[-1][:30]


def _shared(report: AuditReport, leak: Leak) -> list[tuple[AuditedPhoto, AuditedPhoto]]:
    """Pair one photo of each shared photograph with one of the other part."""
    here = {photo.photograph: photo for photo in report.inventory.photos if photo.split == leak.split}
    there = {photo.photograph: photo for photo in report.inventory.photos if photo.split == leak.other}
    return [(here[name], there[name]) for name in leak.photographs]


def _shared_cell(pair: tuple[AuditedPhoto, AuditedPhoto]) -> SheetCell:
    first, second = pair
    caption = (f"{first.split} | {second.split}", _stem(first))
    return SheetCell(caption, lambda: (_tile(first.path), _tile(second.path)))


def _remark_cell(remark: Remark) -> SheetCell:
    return SheetCell((remark.name, remark.where), lambda: (_tile(remark.path, frame=remark.frame),))


def _tile(path: Path, turns: int = 0, flip: bool = False, frame: Frame | None = None) -> Image.Image:
    """Shrink a photo to a tile; grey where it cannot be read."""
    try:
        photo = photos.read_photo(path)
    except (DrywallQAError, OSError, ValueError):
        return Image.new("RGB", (TILE, TILE), (128, 128, 128))
    turned = np.ascontiguousarray(perceptual_hash.orient(photo, turns, flip))
    tile = Image.fromarray(turned).resize((TILE, TILE), Image.Resampling.BOX)
    if frame:
        height, width = photo.shape[:2]
        scale = (TILE / width, TILE / height)
        corners = [min(TILE - 2, round(value * scale[axis % 2])) for axis, value in enumerate(frame)]
        ImageDraw.Draw(tile).rectangle(corners, outline=MARK, width=2)
    return tile
