"""A document as PDF, A4, its fonts embedded. Needs the optional part `report` (ReportLab, BSD)."""

from __future__ import annotations

import html
import io
import unicodedata
from collections.abc import Iterator, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import reportlab
from reportlab import rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    CondPageBreak,
    HRFlowable,
    Image,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from drywallqa.reports import document as words
from drywallqa.reports.document import Document, Picture, text_spans

_WIDTH = A4[0] - 36 * mm
_GAP = 5 * mm
_PADDING = 6  # points that ReportLab leaves free within a frame's sides
_TALLEST = 105 * mm
_LONG = 15  # rows of a table that may run over pages
_ACCENT, _SOFT, _LINE, _SHADE = (colors.HexColor(c) for c in ("#0b4f8a", "#57606a", "#d5d9de", "#f5f7f9"))
_TAGS = {"": ("", ""), "code": ('<font name="Courier">', "</font>"), "bold": ("<b>", "</b>")}
_FONTS = {
    "Vera": "Vera.ttf",
    "Vera-Bold": "VeraBd.ttf",
    "Vera-Italic": "VeraIt.ttf",
    "Vera-Both": "VeraBI.ttf",
}


def _style(name: str, size: float, **more: Any) -> ParagraphStyle:
    settings = {"fontName": "Vera", "leading": size * 1.42, **more}
    return ParagraphStyle(name, fontSize=size, **settings)


def _styles() -> dict[str, ParagraphStyle]:
    bold = "Vera-Bold"
    return {
        "title": _style("title", 20, fontName=bold, leading=25, spaceAfter=4),
        "subtitle": _style("subtitle", 10, textColor=_SOFT, spaceAfter=8),
        "chapter": _style("chapter", 13.5, fontName=bold, spaceBefore=16, spaceAfter=6, textColor=_ACCENT),
        "heading": _style("heading", 10, fontName=bold, spaceBefore=9, spaceAfter=4),
        "text": _style("text", 8.8, spaceAfter=5),
        "point": _style("point", 8.8, leftIndent=11, bulletIndent=1, spaceAfter=3),
        "notice": _style("notice", 8.8, backColor=colors.HexColor("#fff6ea"), borderPadding=6, leftIndent=6,
                         rightIndent=6, spaceBefore=7, spaceAfter=12),
        "caption": _style("caption", 8, spaceBefore=3, spaceAfter=2),
        "table caption": _style("table caption", 8.8, fontName=bold, spaceBefore=5, spaceAfter=3),
        "source": _style("source", 6.6, textColor=_SOFT, spaceBefore=2, spaceAfter=8),
        "cell": _style("cell", 7.4),
        "head": _style("head", 7.4, fontName=bold),
        "figure": _style("figure", 7.4, alignment=2),
        "figure head": _style("figure head", 7.4, fontName=bold, alignment=2),
        "code": _style("code", 7.2, fontName="Courier", leading=10, backColor=_SHADE, borderPadding=6,
                       leftIndent=6, rightIndent=6, spaceBefore=7, spaceAfter=12),
        "fact": _style("fact", 7.2, textColor=_SOFT),
        "value": _style("value", 8.8, fontName=bold),
    }  # fmt: skip


def render_pdf(document: Document) -> bytes:
    """Write a document as PDF."""
    rl_config.useA85 = 0  # plain bytes, a fifth smaller than as letters
    for name, file in _FONTS.items():
        pdfmetrics.registerFont(TTFont(name, Path(reportlab.__file__).parent / "fonts" / file))
    pdfmetrics.registerFontFamily("Vera", "Vera", "Vera-Bold", "Vera-Italic", "Vera-Both")
    stream = io.BytesIO()
    side = 18 * mm - _PADDING
    pages = SimpleDocTemplate(
        stream, pagesize=A4, leftMargin=side, rightMargin=side, topMargin=17 * mm, bottomMargin=18 * mm,
        title=document.title, subject=_drawable(document.subtitle, "Vera"), creator="drywallqa", invariant=1,
    )  # fmt: skip

    def foot(canvas: Any, _: Any) -> None:
        canvas.setFont("Vera", 7)
        canvas.setFillColor(_SOFT)
        canvas.drawString(18 * mm, 10 * mm, _drawable(document.title, "Vera"))
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"page {canvas.getPageNumber()}")

    def list_chapter(flowable: Any) -> None:
        if getattr(flowable, "chapter", None):
            key = f"chapter-{id(flowable)}"
            pages.canv.bookmarkPage(key)
            pages.canv.addOutlineEntry(flowable.chapter, key, 0)

    pages.afterFlowable = list_chapter  # fills the reader's outline
    pages.build(list(_story(document)), onFirstPage=foot, onLaterPages=foot)
    return stream.getvalue()


def _story(document: Document) -> Iterator[Any]:
    styles = _styles()
    yield Paragraph(_inline(document.title, "Vera-Bold"), styles["title"])
    yield Paragraph(_inline(document.subtitle), styles["subtitle"])
    yield HRFlowable(width="100%", thickness=2, color=_ACCENT, spaceAfter=6)
    yield _facts(document, styles)
    for number, chapter in enumerate(document.chapters, 1):
        yield CondPageBreak(45 * mm)
        title = Paragraph(f"{number}  {_inline(chapter.title, 'Vera-Bold')}", styles["chapter"])
        title.chapter = f"{number} {chapter.title}"
        # what is kept together moves to a new page whole, and a long table would leave the old one empty
        title.keepWithNext = not (chapter.blocks and _is_long(chapter.blocks[0]))
        yield title
        for block in chapter.blocks:
            yield from _block(block, styles)


def _is_long(block: words.Block) -> bool:
    return isinstance(block, words.Table) and len(block.rows) > _LONG


def _facts(document: Document, styles: dict[str, ParagraphStyle]) -> Any:
    cells = [
        [Paragraph(_inline(name), styles["fact"]), Paragraph(_inline(value, "Vera-Bold"), styles["value"])]
        for name, value in document.facts
    ]
    rows = [cells[place : place + 3] for place in range(0, len(cells), 3)]
    rows[-1] += [[]] * (3 - len(rows[-1]))
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return Table(rows, [_WIDTH / 3] * 3, style=style)


def _drawable(text: str, font: str) -> str:
    """Replace what a font has no glyph for by its plain letter, or by a question mark where it has none."""
    known = pdfmetrics.getFont(font).face.charToGlyph if font != "Courier" else None
    drawn = []
    for letter in text:
        for choice in (
            letter,
            {"→": "->", "¦": "|"}.get(letter, ""),
            unicodedata.normalize("NFKD", letter)[:1],
        ):
            if choice and all(_has(known, part) for part in choice):
                drawn.append(choice)
                break
        else:
            drawn.append("?")
    return "".join(drawn)


def _has(known: Any, letter: str) -> bool:
    if known is not None:
        return ord(letter) in known
    try:
        return bool(letter.encode("cp1252"))
    except UnicodeEncodeError:
        return False


def _inline(text: str, font: str = "Vera") -> str:
    parts = []
    for kind, part in text_spans(" ".join(text.split())):
        opening, closing = _TAGS[kind]
        drawn = _drawable(part, {"": font, "code": "Courier", "bold": "Vera-Bold"}[kind])
        parts.append(f"{opening}{html.escape(drawn, quote=False)}{closing}")
    return "".join(parts)


def _source(source: str, styles: dict[str, ParagraphStyle]) -> list[Any]:
    return [Paragraph(_inline(f"Source: {words.escape(source)}"), styles["source"])] if source else []


@singledispatch
def _block(block: words.Block, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    raise TypeError(f"no such block: {block!r}")


@_block.register
def _(block: words.Paragraph, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    yield Paragraph(_inline(block.text), styles["text"])
    yield from _source(block.source, styles)


@_block.register
def _(block: words.Callout, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    yield Paragraph(_inline(block.text), styles["notice"])
    yield from _source(block.source, styles)


@_block.register
def _(block: words.Heading, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    heading = Paragraph(_inline(block.text, "Vera-Bold"), styles["heading"])
    heading.keepWithNext = True
    yield CondPageBreak(50 * mm)
    yield heading


@_block.register
def _(block: words.BulletList, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    for point in block.points:
        yield Paragraph(_inline(point), styles["point"], bulletText="•")
    yield from _source(block.source, styles)


@_block.register
def _(block: words.CodeBlock, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    lines = [html.escape(_drawable(line, "Courier"), quote=False) for line in block.text.splitlines()]
    indented = [line.replace("  ", "&nbsp;&nbsp;") for line in lines]
    yield Paragraph("<br/>".join(indented), styles["code"])
    yield from _source(block.source, styles)


@_block.register
def _(block: words.Table, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    head = _cells(block.head, block.words, styles, "head")
    rows = [head, *(_cells(row, block.words, styles, "cell") for row in block.rows)]
    table = Table(rows, _widths(block), repeatRows=1, style=TableStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, 0), 1, colors.HexColor("#1b1f24")),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, _LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]))  # fmt: skip
    caption = (
        [Paragraph(_inline(block.caption, "Vera-Bold"), styles["table caption"])] if block.caption else []
    )
    whole = [*caption, table, *_source(block.source, styles), Spacer(1, 4)]
    yield from whole if _is_long(block) else [KeepTogether(whole)]


def _cells(row: Sequence[str], count: int, styles: dict[str, ParagraphStyle], kind: str) -> list[Any]:
    if kind == "head":
        return [
            Paragraph(_inline(cell, "Vera-Bold"), styles["head" if number < count else "figure head"])
            for number, cell in enumerate(row)
        ]
    cells = [Paragraph(_inline(cell), styles["cell"]) for cell in row[:count]]
    return [*cells, *(Paragraph(_figure(cell), styles["figure"]) for cell in row[count:])]


def _figure(cell: str) -> str:
    figure, behind = words.with_interval(cell)
    small = f'<br/><font size="6.2" color="#57606a">{_inline(behind)}</font>' if behind else ""
    return _inline(figure) + small


def _widths(block: words.Table) -> list[float]:
    """Give each column room by its longest cell; long ones wrap."""
    rows = [block.head, *block.rows]
    longest = [
        min(max(len(max(words.with_interval(row[number]), key=len)) for row in rows), 48) + 3
        for number in range(len(block.head))
    ]
    return [_WIDTH * length / sum(longest) for length in longest]


def _image(picture: Picture, width: float) -> Any:
    image = Image(io.BytesIO(picture.content))
    scale = min(width / image.imageWidth, _TALLEST / image.imageHeight)
    image.drawWidth, image.drawHeight = image.imageWidth * scale, image.imageHeight * scale
    image.hAlign = "LEFT"
    return image


def _with_words(picture: Picture, width: float, styles: dict[str, ParagraphStyle]) -> list[Any]:
    caption = [Paragraph(_inline(picture.caption), styles["caption"])] if picture.caption else []
    return [_image(picture, width), *caption, *_source(picture.source, styles)]


@_block.register
def _(block: Picture, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    yield KeepTogether([*_with_words(block, _WIDTH, styles), Spacer(1, 3)])


@_block.register
def _(block: words.Pictures, styles: dict[str, ParagraphStyle]) -> Iterator[Any]:
    width = (_WIDTH - _GAP) / 2
    cells: list[Any] = [_with_words(picture, width, styles) for picture in block.pictures]
    for place in range(0, len(cells), 2):
        row = [*cells[place : place + 2], ""][:2]
        sides = (("VALIGN", "TOP"), ("LEFTPADDING", 0), ("RIGHTPADDING", _GAP), ("BOTTOMPADDING", 2))
        style = [(name, (0, 0), (-1, -1), value) for name, value in sides]
        yield Table([row], [width + _GAP, width], style=style)
