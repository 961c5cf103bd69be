"""A document as Markdown whose pictures lie beside it as files, and as one HTML file made of that."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from importlib import resources
from string import Template
from urllib.parse import quote

from drywallqa.errors import MissingExtraError
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
)

PICTURES = "report-pictures"
"""Folder of the pictures, beside the Markdown file."""

# Code and bold stay as they are; everything else that Markdown would read as markup is escaped.
_MARKUP = re.compile(r"(`[^`]+`|\*\*)|[\\`*_<>\[\]|#&~]|^[-+](?=[ -]|$)|^\d+[.)](?= )")


_INTERVAL = re.compile(r"(\([^()<>]*\))</td>")
_OPEN_BAR, _BAR = re.compile(r"(?<!\\)\|"), r"\\|"


def render_markdown(document: Document) -> bytes:
    """Write a document as Markdown, UTF-8; its pictures belong into the folder `PICTURES`."""
    facts = Table(("", ""), document.facts, words=2)
    parts = [f"# {_inline(document.title)}", _inline(document.subtitle), _block(facts)]
    for number, chapter in enumerate(document.chapters, 1):
        parts += [f"## {number}. {_inline(chapter.title)}", *map(_block, chapter.blocks)]
    parts.append(
        "*Written by drywallqa from the files named under each figure. What was not measured is absent, or "
        "says so.*"
    )
    return ("\n\n".join(parts) + "\n").encode("utf-8", "replace")


def render_html(document: Document) -> bytes:
    """Write a document as one HTML file, UTF-8: pictures and style lie in it, and no script.

    Raises:
        MissingExtraError: markdown-it-py is not installed.
    """
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError("the report as HTML", "report") from error
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(render_markdown(document).decode())
    pictures = {_link(picture): picture.content for picture in document.pictures}
    images = [child for token in tokens for child in token.children or () if child.type == "image"]
    for image in images:
        content = pictures[str(image.attrs["src"])]
        kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
        image.attrSet("src", f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
    chapters = [token for token in tokens if (token.type, token.tag) == ("heading_open", "h2")]
    for number, heading in enumerate(chapters, 1):
        heading.attrSet("id", f"chapter-{number}")
    first = tokens.index(chapters[0])
    body = parser.renderer.render(tokens[first:], parser.options, {})
    template = resources.files("drywallqa.reports").joinpath("templates", "report.html").read_text("utf-8")
    page = Template(template).substitute(
        title=html.escape(document.title),
        contents="\n".join(
            f'<li><a href="#chapter-{number}">{html.escape(chapter.title)}</a></li>'
            for number, chapter in enumerate(document.chapters, 1)
        ),
        head=parser.renderer.render(tokens[:first], parser.options, {}),
        body=_INTERVAL.sub(r"<small>\1</small></td>", body),
    )
    return page.encode("utf-8", "replace")


def _inline(text: str) -> str:
    line = " ".join(text.split())
    return _MARKUP.sub(lambda found: found[0] if found[1] else f"{found[0][:-1]}\\{found[0][-1]}", line)


def _block(block: Block) -> str:
    match block:
        case Callout():
            body = f"> **Note:** {_inline(block.text)}"
        case CodeBlock():
            body = f"```\n{block.text}\n```"
        case Heading():
            return f"### {_inline(block.text)}"
        case BulletList():
            body = "\n".join(f"- {_inline(point)}" for point in block.points)
        case Table():
            rule = ["---" if number < block.words else "---:" for number in range(len(block.head))]
            head, *rows = ([_inline(cell) for cell in row] for row in (block.head, *block.rows))
            body = _rows([head, rule, *rows])
            if block.caption:
                body = f"**{_inline(block.caption)}**\n\n{body}"
        case Pictures():
            return _pictures(block.pictures)
        case _:
            body = _inline(block.text)
    return f"{body}\n\n{_source(block.source)}".rstrip()


def _source(source: str) -> str:
    return f"*Source: {_inline(source)}*" if source else ""


def _rows(rows: Sequence[Sequence[str]]) -> str:
    # a bar ends a cell even within code
    return "\n".join(f"| {' | '.join(_OPEN_BAR.sub(_BAR, cell) for cell in row)} |" for row in rows)


def _pictures(pictures: Sequence[Picture]) -> str:
    images = [f"![{_inline(picture.alt)}]({_link(picture)})" for picture in pictures]
    words = [f"{_inline(picture.caption)} {_source(picture.source)}".strip() for picture in pictures]
    if len(pictures) == 1:
        return f"{images[0]}\n\n{words[0]}"
    rows = []
    for place in range(0, len(pictures), 2):
        rows += [[*each[place : place + 2], ""][:2] for each in (images, words)]
    return _rows([rows[0], ["---", "---"], *rows[1:]])


def _link(picture: Picture) -> str:
    return f"{PICTURES}/{quote(picture.name)}"
