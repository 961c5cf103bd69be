"""A report as data: chapters of blocks, rendered as Markdown, HTML or PDF.

Texts may contain `code` between backticks and **bold** between double asterisks, but no other markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """A paragraph.

    Attributes:
        text: The text of the paragraph.
        source: The file that the paragraph's figures come from; "" if there is none.
    """

    text: str
    source: str = ""


class Callout(Paragraph):
    """A highlighted paragraph."""


class CodeBlock(Paragraph):
    """Commands or settings, printed literally."""


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
    """A table. The first `words` columns contain words, all others contain right-aligned figures.

    Attributes:
        head: Names of the columns.
        rows: Cells of each row, one per column.
        caption: Description of the table.
        source: The file that the figures come from.
        words: Number of columns, from the left, that contain words.
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
        name: File name, used if the picture is written as a file.
        alt: Alternative text.
        caption: Caption below the picture.
        source: The file from which it was drawn.
    """

    content: bytes = field(repr=False)
    name: str
    alt: str
    caption: str = ""
    source: str = ""


@dataclass(frozen=True)
class Pictures:
    """One picture at full width, or several pictures in rows of two."""

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
        title: The title.
        subtitle: One line below the title.
        facts: Names and values listed at the top.
        chapters: The chapters in order.
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
    """Mark external text as code. Backticks would end the code, so they become apostrophes."""
    return f"`{str(text).replace('`', chr(39))}`"


def bold(text: object) -> str:
    """Mark external text as bold."""
    return f"**{escape(text).strip()}**"


def as_sentence(text: object) -> str:
    """Turn an external note into a sentence with a capital letter and a full stop."""
    note = escape(text).strip().rstrip(".")
    return f"{note[:1].upper()}{note[1:]}."


def escape(text: object) -> str:
    """Escape the markup in external text, such as a prompt or a file name."""
    return str(text).replace("`", "'").replace("**", "* *")
