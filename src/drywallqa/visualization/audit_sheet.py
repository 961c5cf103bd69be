"""Draw the findings of a data-set audit as one picture, with one cell per photo pair or annotation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drywallqa.curation.audit import AuditReport
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
    """Draw near-duplicates (rotated to match), copies across splits, and suspicious annotations."""
    sections = [section for section in _sections(report) if section.cells]
    return draw_contact_sheet(sections or [SheetSection(f"{report.inventory.title}: no findings", ())])


def _sections(report: AuditReport) -> Iterator[SheetSection]:
    title = "Near-duplicates with different names"
    yield titled_section(f"{title} in different splits", report.across, _pair_cell)
    yield titled_section(f"{title} in the same split", report.within, _pair_cell)
    for leak in report.leaks:
        title = f"{leak.split} photos whose source photo is also in {leak.other}"
        # For each source photo with copies in two splits, show one copy from each split.
        first, second = (
            {photo.photograph: photo for photo in report.inventory.photos if photo.split == split}
            for split in (leak.split, leak.other)
        )
        pairs = [(first[name], second[name]) for name in leak.photographs]
        yield titled_section(title, pairs, _shared_cell, _FEW)
    for kind in sorted({remark.kind for remark in report.findings}):
        chosen = [remark for remark in report.findings if remark.kind == kind]
        yield titled_section(f"{kind.capitalize()} annotations", chosen, _remark_cell, _FEW)


def _pair_cell(found: NearDuplicate) -> SheetCell:
    first, second, pair = found.first, found.second, found.pair
    figures = f"{pair.agreement:.2f}, {pair.bits} bits, {first.split or '-'} | {second.split or '-'}"
    return SheetCell(
        (figures, f"{_stem(first)} | {_stem(second)}"),
        lambda: (_tile(first.path), _tile(second.path, pair.turns, pair.flip)),
    )


def _stem(photo: AuditedPhoto) -> str:
    return photo.photograph.rsplit("/", 1)[-1][:30]


def _shared_cell(pair: tuple[AuditedPhoto, AuditedPhoto]) -> SheetCell:
    first, second = pair
    caption = (f"{first.split} | {second.split}", _stem(first))
    return SheetCell(caption, lambda: (_tile(first.path), _tile(second.path)))


def _remark_cell(remark: Remark) -> SheetCell:
    return SheetCell((remark.name, remark.where), lambda: (_tile(remark.path, frame=remark.frame),))


def _tile(path: Path, turns: int = 0, flip: bool = False, frame: Frame | None = None) -> Image.Image:
    """Scale a photo to the size of a tile. Return a grey tile if the photo cannot be read."""
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
