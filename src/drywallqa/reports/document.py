"""A report as data: chapters of blocks, which are rendered as Markdown, HTML and PDF.

Texts may hold `code` between backticks and **bold** between double stars, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """A paragraph.

    Attributes:
        text: Its text.
        source: The file that its figures come from; "" where it has none.
    """

    text: str
    source: str = ""


class Callout(Paragraph):
    """A paragraph that stands out."""


class CodeBlock(Paragraph):
    """Commands or settings, as they are typed."""


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
        source: The file that its figures come from.
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


@dataclass(frozen=True)
class Pictures:
    """One picture over the whole width, or several, two in a row."""

    pictures: Sequence[Picture]


Block = Paragraph | Heading | BulletList | Table | Pictures


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

    @property
    def pictures(self) -> list[Picture]:
        """Every picture, in order."""
        blocks = [block for chapter in self.chapters for block in chapter.blocks]
        return [picture for block in blocks if isinstance(block, Pictures) for picture in block.pictures]


def code(text: object) -> str:
    """Mark a text from elsewhere as code; its own backticks, which would end it, become apostrophes."""
    return f"`{str(text).replace('`', chr(39))}`"


def bold(text: object) -> str:
    """Mark a text from elsewhere as bold."""
    return f"**{escape(text).strip()}**"


def as_sentence(text: object) -> str:
    """Make a note from elsewhere a sentence: a capital letter, a full stop."""
    note = escape(text).strip().rstrip(".")
    return f"{note[:1].upper()}{note[1:]}."


def escape(text: object) -> str:
    """Make a text from elsewhere (a prompt, a file's name) safe: nothing in it marks anything."""
    return str(text).replace("`", "'").replace("**", "* *")
