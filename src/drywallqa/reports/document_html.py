"""Render a report as one HTML file with embedded pictures and CSS, but without scripts."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from string import Template

from PIL import Image

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
    visible,
)

_MARKS = {r"`([^`]+)`": r"<code>\1</code>", r"\*\*(.+?)\*\*": r"<strong>\1</strong>"}
_INTERVAL = re.compile(r"(\([^()<>]*\))$")
_WIDE = 5  # tables with more columns become lists on a phone
_PAPER = {"a4": "A4", "letter": "letter"}


def render_html(document: Document, page: str = "a4") -> bytes:
    """Render a report as UTF-8 HTML.

    Args:
        document: The report.
        page: Paper of a print: "a4" or "letter".
    """
    keys = _keys(document)
    template = resources.files("drywallqa.reports").joinpath("templates", "report.html").read_text("utf-8")
    contents = [(keys[place], number, chapter) for place, (number, chapter) in enumerate(document.numbered)]
    text = Template(template).substitute(
        title=html.escape(visible(document.title)),
        paper=_PAPER[page],
        colours="".join(
            f".badge.{_class(name)}{{background:{fill};color:{ink}}}"
            f".banner.{_class(name)}{{border-left-color:{bar}}}"
            for name, (fill, ink, bar) in COLOURS.items()
        ),
        contents="\n".join(
            f'<li class="level-{chapter.level}"><a href="#{key}">{number} {_inline(chapter.title)}</a></li>'
            for key, number, chapter in contents
            if chapter.level < 3
        ),
        head=f"<h1>{_inline(document.title)}</h1>\n<p>{_inline(document.subtitle)}</p>\n"
        + _facts(document.facts),
        body="\n".join(_chapter(key, number, chapter) for key, number, chapter in contents),
    )
    return text.encode("utf-8", "replace")


def _keys(document: Document) -> list[str]:
    return [chapter.key or f"chapter-{place}" for place, chapter in enumerate(document.chapters, 1)]


def _inline(text: object) -> str:
    line = html.escape(" ".join(visible(text).split()))
    for mark, tags in _MARKS.items():
        line = re.sub(mark, tags, line)
    return line


def _class(outcome: str) -> str:
    return outcome.replace(" ", "-")


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{_inline(name)}</dt><dd>{_inline(value)}</dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"


def _chapter(key: str, number: str, chapter: Chapter) -> str:
    tag = f"h{chapter.level + 1}"
    title = f"{number}{'.' if chapter.level == 1 else ''} {_inline(chapter.title)}".strip()
    blocks = "\n".join(part for block in chapter.blocks for part in _block(block, chapter.level))
    new_page = ' class="new-page"' if chapter.new_page else ""
    return f'<section{new_page}>\n<{tag} id="{key}">{title}</{tag}>\n{blocks}\n</section>'


def _block(block: Block, level: int) -> Iterator[str]:
    match block:
        case Banner():
            symbol, title = SYMBOLS[block.outcome], _inline(block.title)
            yield (
                f'<div class="banner {_class(block.outcome)}">'
                f'<b><span class="badge {_class(block.outcome)}"><i>{symbol}</i></span> {title}</b>'
                f"<p>{_inline(block.text)}</p></div>"
            )
        case Callout():
            yield f"<blockquote><p><strong>Note:</strong> {_inline(block.text)}</p></blockquote>"
        case CodeBlock():
            yield f"<pre><code>{html.escape(visible(block.text))}</code></pre>"
        case Heading():
            yield f"<h{level + 2}>{_inline(block.text)}</h{level + 2}>"
            return
        case BulletList():
            yield "<ul>" + "".join(f"<li>{_inline(point)}</li>" for point in block.points) + "</ul>"
        case Tiles():
            pairs = zip(block.head, block.rows[0], strict=True)
            tiles = (f"<div><b>{_inline(value)}</b>{_inline(name)}</div>" for name, value in pairs)
            yield f'<div class="tiles">{"".join(tiles)}</div>'
        case Table():
            yield from _table(block)
        case Pictures():
            shape = "pair" if block.columns == 2 else "one"
            yield f'<div class="pictures {shape}">{"".join(map(_picture, block.pictures))}</div>'
            return
        case _:
            yield f"<p>{_inline(block.text)}</p>"
    if block.source:
        yield _source(block.source)


def _source(source: str) -> str:
    return f"<p><em>Source: {_inline(source)}</em></p>" if source else ""


def _table(block: Table) -> Iterator[str]:
    if block.caption:
        yield f"<p><strong>{_inline(block.caption)}</strong></p>"
    marks = [' class="number"' if block.is_number(column) else "" for column in range(len(block.head))]
    wide = ' class="wide"' if len(block.head) > _WIDE else ""
    yield f"<table{wide}>"
    if any(block.head):
        cells = zip(block.head, marks, strict=True)
        yield "<thead><tr>" + "".join(f"<th{mark}>{_inline(name)}</th>" for name, mark in cells)
        yield "</tr></thead>"
    yield "<tbody>"
    for row in block.rows:
        yield "<tr>" + "".join(map(_cell, row, block.head, marks)) + "</tr>"
    yield "</tbody></table>"


def _cell(cell: Cell, name: str, mark: str) -> str:
    text = _inline(cell)
    if isinstance(cell, Link):
        text = f'<a href="#{cell.chapter}">{text}</a>'
    elif isinstance(cell, Badge):
        text = f'<span class="badge {_class(cell)}"><i>{SYMBOLS[cell]}</i> {text}</span>'
    elif mark:
        text = _INTERVAL.sub(r"<small>\1</small>", text)
    return f'<td{mark} data-name="{html.escape(name)}">{text}</td>'


def _picture(picture: Picture) -> str:
    width, height = Image.open(io.BytesIO(picture.content)).size
    kind = "png" if picture.content.startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(picture.content).decode()
    alt = html.escape(" ".join(visible(picture.alt).split()))
    caption = f"{_inline(picture.caption)} {_source(picture.source)}".strip()
    return (
        f'<figure><img alt="{alt}" width="{width}" height="{height}" src="data:image/{kind};base64,{data}">'
        + (f"<figcaption>{caption}</figcaption>" if caption else "")
        + "</figure>"
    )
