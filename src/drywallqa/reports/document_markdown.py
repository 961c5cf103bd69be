"""A document as Markdown (GitHub's), whose pictures lie beside it as files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import singledispatch

from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    CodeBlock,
    Document,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Table,
    text_spans,
)

PICTURES = "report-pictures"
"""Folder of the pictures, beside the Markdown file."""

_SPECIAL = re.compile(r"([\\`*_<>\[\]|#])")


def render_markdown(document: Document) -> bytes:
    """Write a document as Markdown, UTF-8; `Document.pictures` belong into the folder `PICTURES`."""
    facts = Table(("", ""), document.facts, words=2)
    parts = [f"# {_escape(document.title)}", _inline(document.subtitle), _block(facts)]
    for number, chapter in enumerate(document.chapters, 1):
        parts.append(f"## {number}. {_escape(chapter.title)}")
        parts += [_block(block) for block in chapter.blocks]
    parts.append(
        "*Written by drywallqa from the files named under each figure. What was not measured is absent, or "
        "says so.*"
    )
    return ("\n\n".join(parts) + "\n").encode("utf-8", "replace")


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _inline(text: str) -> str:
    parts = []
    for kind, part in text_spans(" ".join(text.split())):
        escaped = _SPECIAL.sub(r"\\\1", part)
        parts.append({"": escaped, "bold": f"**{escaped}**", "code": f"`{part}`"}[kind])
    return "".join(parts)


def _source(source: str) -> str:
    return f"\n\n<sub>Source: {_escape(source)}</sub>" if source else ""


@singledispatch
def _block(block: Block) -> str:
    raise TypeError(f"no such block: {block!r}")


@_block.register
def _(block: Paragraph) -> str:
    return _inline(block.text) + _source(block.source)


@_block.register
def _(block: Callout) -> str:
    return f"> **Note:** {_inline(block.text)}" + _source(block.source)


@_block.register
def _(block: Heading) -> str:
    return f"### {_inline(block.text)}"


@_block.register
def _(block: BulletList) -> str:
    return "\n".join(f"- {_inline(point)}" for point in block.points) + _source(block.source)


@_block.register
def _(block: CodeBlock) -> str:
    return f"```\n{block.text}\n```" + _source(block.source)


@_block.register
def _(block: Table) -> str:
    caption = f"**{_escape(block.caption)}**\n\n" if block.caption else ""
    rule = ["---" if number < block.words else "---:" for number in range(len(block.head))]
    lines = [_row(block.head), "|" + "|".join(rule) + "|", *(_row(row) for row in block.rows)]
    return caption + "\n".join(lines) + _source(block.source)


def _row(cells: Sequence[str]) -> str:
    # a bar ends the cell even within code
    return "| " + " | ".join(_inline(cell.replace("|", "¦")) for cell in cells) + " |"


@_block.register
def _(block: Picture) -> str:
    words = f"\n\n{_inline(block.caption)}" if block.caption else ""
    return f"![{_escape(block.alt)}]({PICTURES}/{block.name}){words}" + _source(block.source)


@_block.register
def _(block: Pictures) -> str:
    return "\n\n".join(_block(picture) for picture in block.pictures)
