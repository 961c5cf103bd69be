"""Render a report as PDF with ReportLab, which the optional dependency group `report` installs."""

from __future__ import annotations

import html
import io
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import reportlab
from PIL import Image
from reportlab import platypus, rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus.doctemplate import NotAtTopPageBreak

from drywallqa.reports.document import (
    COLOURS,
    SYMBOLS,
    Badge,
    Banner,
    Block,
    BulletList,
    Callout,
    Cell,
    Chapter,
    CodeBlock,
    Document,
    Heading,
    Link,
    Picture,
    Pictures,
    Table,
    Tiles,
    escape,
    visible,
)
from drywallqa.reports.document_pdf_styles import ACCENT, FONTS, LINE, PADDING, SOFT, STYLES

PAGES = {"a4": A4, "letter": LETTER}
_SIDE = 18 * mm
_GAP = 5 * mm
_LONG = 15  # tables with more rows may be split across pages
_CELL_PADDING = 4  # points
_CHAPTERS = ("", "chapter", "section", "part")
_TICK = '<font name="ZapfDingbats">\u2714</font>'  # the text fonts have no tick
_MARKS = {r"`([^`]+)`": r'<font name="Courier">\1</font>', r"\*\*(.+?)\*\*": r"<b>\1</b>"}


def render_pdf(document: Document, page: str = "a4") -> bytes:
    """Render a report as PDF.

    Args:
        document: The report.
        page: "a4" or "letter".
    """
    rl_config.useA85 = 0  # binary streams are a fifth smaller than ASCII85 streams
    for name, file in FONTS.items():
        pdfmetrics.registerFont(TTFont(name, Path(reportlab.__file__).parent / "fonts" / file))
    pdfmetrics.registerFontFamily("Vera", "Vera", "Vera-Bold", "Vera", "Vera-Bold")
    stream, size = io.BytesIO(), PAGES[page]
    side = _SIDE - PADDING
    pages = platypus.SimpleDocTemplate(
        stream, pagesize=size, leftMargin=side, rightMargin=side, topMargin=17 * mm, bottomMargin=18 * mm,
        title=_drawable(document.title), subject=_drawable(document.subtitle), creator="drywallqa",
        invariant=1,
    )  # fmt: skip

    def draw_foot(canvas: Any, _: Any) -> None:
        canvas.setFont("Vera", 7)
        canvas.setFillColor(SOFT)
        title = _drawable(f"{document.title} · {document.subtitle}" if document.subtitle else document.title)
        canvas.drawString(_SIDE, 10 * mm, title if len(title) <= 90 else title[:89] + "…")
        canvas.drawRightString(size[0] - _SIDE, 10 * mm, f"page {canvas.getPageNumber()}")

    def add_outline(flowable: Any) -> None:
        if chapter := getattr(flowable, "chapter", None):
            title, key, level = chapter
            pages.canv.bookmarkPage(key)
            pages.canv.addOutlineEntry(title, key, level - 1, closed=level > 1)

    pages.afterFlowable = add_outline
    pages.build(list(_Story(document, size[0] - 2 * _SIDE)), onFirstPage=draw_foot, onLaterPages=draw_foot)
    return stream.getvalue()


class _Story:
    """The flowables of a document for a text width in points."""

    def __init__(self, document: Document, width: float) -> None:
        self.document, self.width = document, width
        self.keys = {chapter.key for chapter in document.chapters}

    def __iter__(self) -> Iterator[Any]:
        document = self.document
        yield _paragraph(document.title, "title")
        yield _paragraph(document.subtitle, "subtitle")
        yield platypus.HRFlowable(width="100%", thickness=2, color=ACCENT, spaceAfter=6)
        yield from self._block(Table(("", ""), document.facts, words=2))
        for place, (number, chapter) in enumerate(document.numbered):
            yield from self._head(chapter, number, chapter.key or f"chapter-{place + 1}")
            for block in chapter.blocks:
                yield from self._block(block)

    def _head(self, chapter: Chapter, number: str, key: str) -> Iterator[Any]:
        if chapter.new_page:
            yield NotAtTopPageBreak()
        first = chapter.blocks[0] if chapter.blocks else None
        rows = len(first.rows) if isinstance(first, Table) and not _is_long(first) else 2
        yield platypus.CondPageBreak((45 + 14 * rows) * mm)  # keep the title on one page with the first table
        text = f"{number}  {chapter.title}" if number else chapter.title
        title = _paragraph(text, _CHAPTERS[chapter.level], f'<a name="{key}"/>')
        title.chapter = (f"{number} {_drawable(chapter.title)}".strip(), key, chapter.level)
        yield title

    def _block(self, block: Block) -> Iterator[Any]:
        match block:
            case Banner():
                yield self._banner(block)
            case Callout():
                yield _paragraph(block.text, "notice")
            case CodeBlock():
                text = html.escape(_drawable(block.text), quote=False).replace("  ", "&nbsp;&nbsp;")
                yield platypus.Paragraph(text.replace("\n", "<br/>"), STYLES["code"])
            case Heading():
                yield platypus.CondPageBreak(50 * mm)
                yield _paragraph(block.text, "heading")
                return
            case BulletList():
                yield from (_paragraph(f"• {point}", "bullet") for point in block.points)
            case Tiles():
                yield from self._tiles(block)
            case Table():
                whole = [*self._table(block), *_source(block.source), platypus.Spacer(1, 4)]
                yield from whole if _is_long(block) else [platypus.KeepTogether(whole)]
                return
            case Pictures():
                yield from self._pictures(block)
                return
            case _:
                yield _paragraph(block.text, "text")
        yield from _source(block.source)

    def _banner(self, block: Banner) -> Any:
        symbol = platypus.Paragraph(_symbol(block.outcome), STYLES[f"banner {block.outcome}"])
        cells = [_paragraph(block.title, "banner"), *([_paragraph(block.text, "text")] if block.text else [])]
        bar = colors.HexColor(COLOURS[block.outcome][2])
        style = [("BOX", (0, 0), (-1, -1), 0.6, LINE), ("LINEBEFORE", (0, 0), (0, -1), 6, bar), *_inset(8)]
        style += [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (0, -1), 12)]
        symbols = 13 * mm
        widths = [symbols, self.width - symbols]
        return platypus.KeepTogether([platypus.Table([[symbol, cells]], widths, style=style, spaceAfter=8)])

    def _tiles(self, block: Tiles) -> Iterator[Any]:
        cells = [
            [_paragraph(str(value), "tile"), _paragraph(name, "caption")]
            for name, value in zip(block.head, block.rows[0], strict=True)
        ]
        style = [("BOX", (0, 0), (-1, -1), 0.6, LINE), ("INNERGRID", (0, 0), (-1, -1), 0.6, LINE), *_inset(6)]
        style.append(("VALIGN", (0, 0), (-1, -1), "TOP"))
        yield platypus.Table([cells], [self.width / len(cells)] * len(cells), style=style, spaceAfter=8)

    def _table(self, block: Table) -> Iterator[Any]:
        if block.caption:
            yield _paragraph(f"**{block.caption}**", "caption")
        styles = ["figure" if block.is_number(column) else "cell" for column in range(len(block.head))]
        head = [f"**{cell}**" if cell else "" for cell in block.head]
        rows = [[self._cell(*cell) for cell in zip(row, styles, strict=True)] for row in (head, *block.rows)]
        yield platypus.Table(
            rows if any(block.head) else rows[1:],
            _column_widths(block, self.width),
            repeatRows=1 if any(block.head) else 0,
            style=[
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), _CELL_PADDING),
                ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ],
        )  # fmt: skip

    def _cell(self, cell: Cell, style: str) -> Any:
        if isinstance(cell, Badge):
            return platypus.Paragraph(f"{_symbol(cell)} {_marked(cell)}", STYLES[f"badge {cell}"])
        if isinstance(cell, Link) and cell.chapter in self.keys:
            text = f'<a href="#{cell.chapter}" color="{ACCENT.hexval()}">{_marked(cell.text)}</a>'
            return platypus.Paragraph(text, STYLES[style])
        return _paragraph(str(cell), style)

    def _pictures(self, block: Pictures) -> Iterator[Any]:
        columns = block.columns
        width = (self.width - _GAP * (columns - 1)) / columns
        cells: list[Any] = [list(_picture(picture, width, block.tallest * mm)) for picture in block.pictures]
        sides = (("VALIGN", "TOP"), ("LEFTPADDING", 0), ("RIGHTPADDING", _GAP))
        style = [(name, (0, 0), (-1, -1), value) for name, value in sides]
        for place in range(0, len(cells), columns):
            row = [*cells[place : place + columns], ""][:columns]
            yield platypus.Table([row], [width + _GAP] * columns, style=style, hAlign="LEFT")


def _inset(points: int) -> list[tuple[Any, ...]]:
    sides = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")
    return [(side, (0, 0), (-1, -1), points) for side in sides]


def _is_long(block: Block) -> bool:
    return isinstance(block, Table) and len(block.rows) > _LONG


def _column_widths(block: Table, width: float) -> list[float]:
    """Give each column the room of its longest word, and share the rest by the length of its longest cell."""
    columns = list(zip(block.head, *block.rows, strict=True))
    least = [min(max(map(_word_width, column)), width / 4) for column in columns]
    most = [min(max(map(_cell_width, column)), 2 * width) for column in columns]
    rest = width - sum(least)
    if rest < 0:
        return [each * width / sum(least) for each in least]
    wishes = [max(one - other, 1.0) for one, other in zip(most, least, strict=True)]
    return [each + rest * wish / sum(wishes) for each, wish in zip(least, wishes, strict=True)]


def _cell_width(cell: Cell) -> float:
    return float(pdfmetrics.stringWidth(_drawable(str(cell)), "Vera-Bold", 7.4)) + _CELL_PADDING * 2


def _word_width(cell: Cell) -> float:
    words = [str(cell) + "  "] if isinstance(cell, Badge) else str(cell).split() or [""]
    return max(map(_cell_width, words))


def _symbol(outcome: str) -> str:
    return _TICK if outcome == "pass" else SYMBOLS[outcome]


def _paragraph(text: str, style: str, before: str = "") -> Any:
    return platypus.Paragraph(before + _marked(text), STYLES[style])


def _marked(text: str) -> str:
    marked = html.escape(_drawable(" ".join(text.split())), quote=False)
    for mark, tags in _MARKS.items():
        marked = re.sub(mark, tags, marked)
    return marked


def _drawable(text: str) -> str:
    """Replace each character that the fonts lack with its base letter or a question mark."""
    return "".join(map(_drawable_letter, visible(text).replace("→", "->")))


@cache
def _drawable_letter(letter: str) -> str:
    glyphs = pdfmetrics.getFont("Vera").face.charToGlyph
    base = unicodedata.normalize("NFKD", letter)[:1]
    return letter if ord(letter) in glyphs or letter == "\n" else base if ord(base) in glyphs else "?"


def _source(source: str) -> list[Any]:
    return [_paragraph(f"Source: {escape(source)}", "source")] if source else []


def _picture(picture: Picture, width: float, tallest: float) -> Iterator[Any]:
    yield _EmbeddedPicture(picture.content, width, tallest)
    if picture.caption:
        yield _paragraph(picture.caption, "caption")
    yield from _source(picture.source)


class _EmbeddedPicture(platypus.Flowable):  # type: ignore[misc] # ReportLab has no types
    """A picture that is decoded only while it is drawn, because a report can have thousands of pictures."""

    def __init__(self, content: bytes, width: float, tallest: float) -> None:
        super().__init__()
        size = Image.open(io.BytesIO(content)).size
        scale = min(width / size[0], tallest / size[1])
        self.content, self.width, self.height = content, size[0] * scale, size[1] * scale

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        self.canv.drawImage(ImageReader(io.BytesIO(self.content)), 0, 0, self.width, self.height)
