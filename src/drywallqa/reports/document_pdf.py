"""Render a report as an A4 PDF with ReportLab, which the optional dependency group `report` installs."""

from __future__ import annotations

import html
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import reportlab
from reportlab import platypus, rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    CodeBlock,
    Document,
    Heading,
    Picture,
    Pictures,
    Table,
    escape,
)

_WIDTH = A4[0] - 36 * mm
_GAP = 5 * mm
_PADDING = 6  # padding of a ReportLab frame, in points
_TALLEST = 105 * mm
_LONG = 15  # tables with more rows may be split across pages
_ACCENT, _SOFT, _LINE, _SHADE = (colors.HexColor(c) for c in ("#0b4f8a", "#57606a", "#d5d9de", "#f5f7f9"))
_FONTS = {"Vera": "Vera.ttf", "Vera-Bold": "VeraBd.ttf"}
_MARKS = {r"`([^`]+)`": r'<font name="Courier">\1</font>', r"\*\*(.+?)\*\*": r"<b>\1</b>"}
_BOX: dict[str, Any] = {
    "borderPadding": 6, "leftIndent": 6, "rightIndent": 6, "spaceBefore": 7, "spaceAfter": 12,
}  # fmt: skip


_BOLD = {"fontName": "Vera-Bold"}
_STYLES = {
    name: ParagraphStyle(name, **{"fontName": "Vera", "fontSize": size, "leading": size * 1.42, **more})
    for name, size, more in (
        ("title", 20, {**_BOLD, "spaceAfter": 4}),
        ("subtitle", 10, {"textColor": _SOFT, "spaceAfter": 8}),
        ("chapter", 13.5, {**_BOLD, "spaceBefore": 16, "spaceAfter": 6, "textColor": _ACCENT}),
        ("heading", 10, {**_BOLD, "spaceBefore": 9, "spaceAfter": 4, "keepWithNext": True}),
        ("text", 8.8, {"spaceAfter": 5}),
        ("notice", 8.8, {**_BOX, "backColor": colors.HexColor("#fff6ea")}),
        ("caption", 8, {"spaceBefore": 3, "spaceAfter": 2}),
        ("source", 6.6, {"textColor": _SOFT, "spaceBefore": 2, "spaceAfter": 8}),
        ("cell", 7.4, {}),
        ("figure", 7.4, {"alignment": 2}),
        ("code", 7.2, {**_BOX, "fontName": "Courier", "leading": 10, "backColor": _SHADE}),
    )
}


def render_pdf(document: Document) -> bytes:
    """Render a report as PDF."""
    rl_config.useA85 = 0  # binary streams are a fifth smaller than ASCII85 streams
    for name, file in _FONTS.items():
        pdfmetrics.registerFont(TTFont(name, Path(reportlab.__file__).parent / "fonts" / file))
    pdfmetrics.registerFontFamily("Vera", "Vera", "Vera-Bold", "Vera", "Vera-Bold")
    stream = io.BytesIO()
    side = 18 * mm - _PADDING
    pages = platypus.SimpleDocTemplate(
        stream, pagesize=A4, leftMargin=side, rightMargin=side, topMargin=17 * mm, bottomMargin=18 * mm,
        title=document.title, subject=document.subtitle, creator="drywallqa", invariant=1,
    )  # fmt: skip

    def draw_foot(canvas: Any, _: Any) -> None:
        canvas.setFont("Vera", 7)
        canvas.setFillColor(_SOFT)
        canvas.drawString(18 * mm, 10 * mm, _drawable(document.title))
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"page {canvas.getPageNumber()}")

    def add_outline(flowable: Any) -> None:
        if title := getattr(flowable, "chapter", None):
            pages.canv.bookmarkPage(title)
            pages.canv.addOutlineEntry(title, title, 0)

    pages.afterFlowable = add_outline
    pages.build(list(_story(document)), onFirstPage=draw_foot, onLaterPages=draw_foot)
    return stream.getvalue()


def _story(document: Document) -> Iterator[Any]:
    yield _paragraph(document.title, "title")
    yield _paragraph(document.subtitle, "subtitle")
    yield platypus.HRFlowable(width="100%", thickness=2, color=_ACCENT, spaceAfter=6)
    yield from _block(Table(("", ""), document.facts, words=2))
    for number, chapter in enumerate(document.chapters, 1):
        first = chapter.blocks[0] if chapter.blocks else None
        rows = len(first.rows) if isinstance(first, Table) and not _is_long(first) else 2
        yield platypus.CondPageBreak((45 + 14 * rows) * mm)  # keep the title on one page with the first table
        title = _paragraph(f"{number}  {chapter.title}", "chapter")
        title.chapter = f"{number} {chapter.title}"
        yield title
        for block in chapter.blocks:
            yield from _block(block)


def _is_long(block: Block) -> bool:
    return isinstance(block, Table) and len(block.rows) > _LONG


def _block(block: Block) -> Iterator[Any]:
    match block:
        case Callout():
            yield _paragraph(block.text, "notice")
        case CodeBlock():
            text = html.escape(_drawable(block.text), quote=False).replace("  ", "&nbsp;&nbsp;")
            yield platypus.Paragraph(text.replace("\n", "<br/>"), _STYLES["code"])
        case Heading():
            yield platypus.CondPageBreak(50 * mm)
            yield _paragraph(block.text, "heading")
            return
        case BulletList():
            yield from (_paragraph(f"• {point}", "text") for point in block.points)
        case Table():
            whole = [*_table(block), *_source(block.source), platypus.Spacer(1, 4)]
            yield from whole if _is_long(block) else [platypus.KeepTogether(whole)]
            return
        case Pictures():
            yield from _pictures(block.pictures)
            return
        case _:
            yield _paragraph(block.text, "text")
    yield from _source(block.source)


def _paragraph(text: str, style: str) -> Any:
    marked = html.escape(_drawable(" ".join(text.split())), quote=False)
    for mark, tags in _MARKS.items():
        marked = re.sub(mark, tags, marked)
    return platypus.Paragraph(marked, _STYLES[style])


def _drawable(text: str) -> str:
    """Replace each character that the fonts lack with its base letter or a question mark."""
    letters = (
        letter if letter.encode("cp1252", "ignore") else unicodedata.normalize("NFKD", letter)[:1]
        for letter in text.replace("→", "->")
    )
    return "".join(letters).encode("cp1252", "replace").decode("cp1252")


def _source(source: str) -> list[Any]:
    return [_paragraph(f"Source: {escape(source)}", "source")] if source else []


def _table(block: Table) -> Iterator[Any]:
    if block.caption:
        yield _paragraph(f"**{block.caption}**", "caption")
    styles = ["cell" if number < block.words else "figure" for number in range(len(block.head))]
    head = [f"**{cell}**" if cell else "" for cell in block.head]
    rows = [[_paragraph(*cell) for cell in zip(row, styles, strict=True)] for row in (head, *block.rows)]
    # The longest cell of a column determines the column's width. Cells over 24 characters wrap.
    longest = [min(max(map(len, column)), 24) + 3 for column in zip(block.head, *block.rows, strict=True)]
    yield platypus.Table(
        rows if any(block.head) else rows[1:],
        [_WIDTH * length / sum(longest) for length in longest],
        repeatRows=1 if any(block.head) else 0,
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), 2),
            ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ],
    )  # fmt: skip


def _pictures(pictures: Sequence[Picture]) -> Iterator[Any]:
    columns = min(2, len(pictures))
    width = (_WIDTH - _GAP * (columns - 1)) / columns
    cells: list[Any] = [list(_picture(picture, width)) for picture in pictures]
    sides = (("VALIGN", "TOP"), ("LEFTPADDING", 0), ("RIGHTPADDING", 0))
    style = [(name, (0, 0), (-1, -1), value) for name, value in sides]
    for place in range(0, len(cells), columns):
        row = [*cells[place : place + columns], ""][:columns]
        yield platypus.Table([row], [width + _GAP] * columns, style=style, hAlign="LEFT")


def _picture(picture: Picture, width: float) -> Iterator[Any]:
    image = platypus.Image(io.BytesIO(picture.content), hAlign="LEFT")
    scale = min(width / image.imageWidth, _TALLEST / image.imageHeight)
    image.drawWidth, image.drawHeight = image.imageWidth * scale, image.imageHeight * scale
    yield image
    if picture.caption:
        yield _paragraph(picture.caption, "caption")
    yield from _source(picture.source)
