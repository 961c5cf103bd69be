"""A report as data: chapters of blocks, which one file each turns into HTML, Markdown and PDF.

Texts may hold `code` between backticks and **bold** between double stars, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_BRACKETS = re.compile(r"([^()]+) \(([^()]+)\)")
_MARKS = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph.

    Attributes:
        text: What it says.
        source: The file that its figures stand in; "" where it has none.
    """

    text: str
    source: str = ""


@dataclass(frozen=True)
class Callout:
    """A paragraph that nobody may overlook."""

    text: str
    source: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading within a chapter."""

    text: str


@dataclass(frozen=True)
class BulletList:
    """A list of points."""

    points: Sequence[str]
    source: str = ""


@dataclass(frozen=True)
class Table:
    """A table; columns after the first `words` hold figures and stand to the right.

    Attributes:
        head: Names of the columns.
        rows: Cells, as many as columns.
        caption: What it shows.
        source: The file that its figures stand in.
        words: How many columns, from the left, hold words.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    source: str = ""
    words: int = 1


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        content: An encoded PNG or JPEG.
        name: Its file's name where it is written as a file.
        alt: What it shows, for those who do not see it.
        caption: Words beneath it.
        source: The file that it was drawn from.
    """

    content: bytes = field(repr=False)
    name: str
    alt: str
    caption: str = ""
    source: str = ""

    @property
    def media_type(self) -> str:
        """`image/png` or `image/jpeg`."""
        return "image/png" if self.content.startswith(b"\x89PNG") else "image/jpeg"


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, two in a row."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class CodeBlock:
    """Commands or settings, as they are typed."""

    text: str
    source: str = ""


Block = Paragraph | Callout | Heading | BulletList | Table | Picture | Pictures | CodeBlock


@dataclass(frozen=True)
class Chapter:
    """A chapter."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: Its title.
        subtitle: One line beneath it.
        facts: Names and values that stand at its head.
        chapters: In their order.
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    chapters: Sequence[Chapter]

    def pictures(self) -> Iterator[Picture]:
        """Every picture, in order."""
        for chapter in self.chapters:
            for block in chapter.blocks:
                if isinstance(block, Picture):
                    yield block
                elif isinstance(block, Pictures):
                    yield from block.pictures


def text_spans(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into parts: ("", plain), ("code", …) and ("bold", …)."""
    place = 0
    for match in _MARKS.finditer(text):
        if match.start() > place:
            yield "", text[place : match.start()]
        yield ("code", match[1]) if match[1] is not None else ("bold", match[2])
        place = match.end()
    if place < len(text):
        yield "", text[place:]


def with_interval(cell: str) -> tuple[str, str]:
    """Part a figure from what stands in brackets behind it: its interval, or what it is a part of."""
    match = _BRACKETS.fullmatch(cell)
    return (match[1], match[2]) if match else (cell, "")


def code(text: str) -> str:
    """Mark a text as code; its own backticks, which would end it, become apostrophes."""
    return f"`{text.replace('`', chr(39))}`"


def as_sentence(text: str) -> str:
    """Make a note from elsewhere a sentence: a capital letter, a full stop."""
    told = escape(text).strip().rstrip(".")
    return f"{told[:1].upper()}{told[1:]}."


def escape(text: str) -> str:
    """Make a text from elsewhere (a prompt, a file's name) safe: nothing in it marks anything."""
    return text.replace("`", "'").replace("**", "* *")
