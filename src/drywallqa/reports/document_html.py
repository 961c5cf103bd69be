"""A document as one HTML file that needs nothing else: pictures and style lie in it, and no script."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Sequence
from functools import singledispatch
from importlib import resources
from string import Template

from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    Chapter,
    CodeBlock,
    Document,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Table,
    text_spans,
    with_interval,
)

_TAGS = {"": "", "code": "code", "bold": "strong"}


def render_html(document: Document) -> bytes:
    """Write a document as HTML, UTF-8."""
    template = Template(
        resources.files("drywallqa.reports").joinpath("templates", "report.html").read_text("utf-8")
    )
    numbered = list(enumerate(document.chapters, 1))
    page = template.substitute(
        title=html.escape(document.title),
        subtitle=_inline(document.subtitle),
        facts="\n".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{_inline(value)}</dd></div>"
            for name, value in document.facts
        ),
        contents="\n".join(
            f'<li><a href="#chapter-{number}">{html.escape(chapter.title)}</a></li>'
            for number, chapter in numbered
        ),
        chapters="\n".join(_chapter(number, chapter) for number, chapter in numbered),
    )
    return page.encode("utf-8", "replace")


def _chapter(number: int, chapter: Chapter) -> str:
    blocks = "\n".join(_block(block) for block in chapter.blocks)
    title = html.escape(chapter.title)
    return f'<section id="chapter-{number}">\n<h2><span>{number}</span> {title}</h2>\n{blocks}\n</section>'


def _inline(text: str) -> str:
    return "".join(_span(kind, part) for kind, part in text_spans(text))


def _span(kind: str, part: str) -> str:
    tag = _TAGS[kind]
    return f"<{tag}>{html.escape(part)}</{tag}>" if tag else html.escape(part)


def _source(source: str) -> str:
    return f'<p class="source">Source: {html.escape(source)}</p>' if source else ""


@singledispatch
def _block(block: Block) -> str:
    raise TypeError(f"no such block: {block!r}")


@_block.register
def _(block: Paragraph) -> str:
    return f"<p>{_inline(block.text)}</p>{_source(block.source)}"


@_block.register
def _(block: Callout) -> str:
    return f'<div class="notice"><p>{_inline(block.text)}</p></div>{_source(block.source)}'


@_block.register
def _(block: Heading) -> str:
    return f"<h3>{_inline(block.text)}</h3>"


@_block.register
def _(block: BulletList) -> str:
    points = "".join(f"<li>{_inline(point)}</li>" for point in block.points)
    return f"<ul>{points}</ul>{_source(block.source)}"


@_block.register
def _(block: CodeBlock) -> str:
    return f"<pre>{html.escape(block.text)}</pre>{_source(block.source)}"


@_block.register
def _(block: Table) -> str:
    caption = f"<caption>{_inline(block.caption)}</caption>" if block.caption else ""
    head = "".join(_cells(block.head, "th", block.words))
    rows = "\n".join(f"<tr>{''.join(_cells(row, 'td', block.words))}</tr>" for row in block.rows)
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"
    return f'<div class="table">{table}{_source(block.source)}</div>'


def _cells(cells: Sequence[str], tag: str, words: int) -> Iterator[str]:
    for number, cell in enumerate(cells):
        if number < words:
            yield f"<{tag}>{_inline(cell)}</{tag}>"
            continue
        figure, behind = with_interval(cell) if tag == "td" else (cell, "")
        small = f"<small>{_inline(behind)}</small>" if behind else ""
        yield f'<{tag} class="figure">{_inline(figure)}{small}</{tag}>'


@_block.register
def _(block: Picture) -> str:
    data = base64.b64encode(block.content).decode()
    words = f"<figcaption>{_inline(block.caption)}{_source(block.source)}</figcaption>"
    return (
        f'<figure><img src="data:{block.media_type};base64,{data}" alt="{html.escape(block.alt)}">'
        f"{words}</figure>"
    )


@_block.register
def _(block: Pictures) -> str:
    return f'<div class="pair">{"".join(_block(picture) for picture in block.pictures)}</div>'
