"""The content of a report as chapters and blocks, which are rendered as Markdown, HTML or PDF.

Texts may contain `code` between backticks and **bold** text between double asterisks. All other markup is
escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of a report.

    Attributes:
        text: The text of the paragraph.
        source: Name of the file that contains the paragraph's numbers; "" if there is no such file.
    """

    text: str
    source: str = ""


class Callout(Paragraph):
    """A paragraph that the report highlights."""


class CodeBlock(Paragraph):
    """Commands or settings, printed in a fixed-width font."""


@dataclass(frozen=True)
class Heading:
    """A heading within a chapter."""

    text: str


@dataclass(frozen=True)
class BulletList:
    """A list with bullets."""

    points: Sequence[str]
    source: str = ""


@dataclass(frozen=True)
class Table:
    """A table. The first `words` columns contain text. The other columns contain right-aligned numbers.

    Attributes:
        head: Column names.
        rows: Cells of each row, one per column.
        caption: Description of the table.
        source: Name of the file that contains the numbers.
        words: Number of text columns on the left.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    source: str = ""
    words: int = 1


@dataclass(frozen=True)
class Picture:
    """A picture in a report.

    Attributes:
        content: The encoded PNG or JPEG.
        name: File name of the picture in the Markdown report.
        alt: Alternative text.
        caption: Caption below the picture.
        source: Name of the file with the data that the picture shows.
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
    """A chapter of a report."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: Title of the report.
        subtitle: One line below the title.
        facts: Names and values that are shown at the top of the report.
        chapters: The chapters in order.
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    chapters: Sequence[Chapter]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures of the report, in order."""
        blocks = [block for chapter in self.chapters for block in chapter.blocks]
        return [picture for block in blocks if isinstance(block, Pictures) for picture in block.pictures]


def code(text: object) -> str:
    """Format text from outside the report as code. Backticks in the text become apostrophes."""
    return f"`{str(text).replace('`', chr(39))}`"


def bold(text: object) -> str:
    """Format text from outside the report as bold."""
    return f"**{escape(text).strip()}**"


def as_sentence(text: object) -> str:
    """Turn a note into a sentence with a capital letter and a full stop, and escape its markup."""
    note = escape(text).strip().rstrip(".")
    return f"{note[:1].upper()}{note[1:]}."


def escape(text: object) -> str:
    """Escape the markup in text from outside the report, such as a prompt or a file name."""
    return str(text).replace("`", "'").replace("**", "* *")
