"""The content of a report as chapters and blocks, which are rendered as Markdown, HTML or PDF.

Texts may contain `code` between backticks and **bold** text between double asterisks. All other markup is
escaped.
"""

from __future__ import annotations

import re
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


@dataclass(frozen=True)
class Banner(Callout):
    """A result that the report shows in the colour of an outcome.

    Attributes:
        outcome: An outcome of `inspection.ledger`, such as "fail".
        title: The result in a few words.
    """

    outcome: str = "no rule"
    title: str = ""


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


class Badge(str):
    """A cell with an outcome, drawn in its colour and with its symbol."""


@dataclass(frozen=True)
class Link:
    """A cell that leads to a chapter.

    Attributes:
        text: The text of the cell.
        chapter: Key of the chapter.
    """

    text: str
    chapter: str

    def __str__(self) -> str:
        return self.text


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """A table. The first `words` columns contain text. The other columns contain right-aligned numbers.

    Attributes:
        head: Column names.
        rows: Cells of each row, one per column.
        caption: Description of the table.
        source: Name of the file that contains the numbers.
        words: Number of text columns on the left.
        last_words: Number of text columns on the right.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    source: str = ""
    words: int = 1
    last_words: int = 0

    def is_number(self, column: int) -> bool:
        """Return whether a column contains numbers."""
        return self.words <= column < len(self.head) - self.last_words


class Tiles(Table):
    """A table with one row of important numbers, which the report shows in large print."""


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
    """One picture at full width, or several pictures in rows of two.

    Attributes:
        pictures: The pictures.
        pairs: Whether a single picture also has only half the width.
        tallest: Largest height in mm on paper.
    """

    pictures: Sequence[Picture]
    pairs: bool = False
    tallest: float = 105.0

    @property
    def columns(self) -> int:
        """1 or 2 pictures per row."""
        return 2 if self.pairs or len(self.pictures) > 1 else 1


Block = Paragraph | Heading | BulletList | Table | Pictures


@dataclass(frozen=True)
class Chapter:
    """A chapter of a report.

    Attributes:
        title: The title.
        blocks: The content.
        level: 1 for a chapter, 2 for a section, 3 for a part of a section. Parts have no number.
        key: Name for links to the chapter; "" if there are none.
        new_page: Whether the chapter starts on a new page when printed.
    """

    title: str
    blocks: Sequence[Block]
    level: int = 1
    key: str = ""
    new_page: bool = False


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
    def numbered(self) -> list[tuple[str, Chapter]]:
        """Each chapter with its number, such as "2" or "2.1"; "" for parts of a section."""
        first = second = 0
        result = []
        for chapter in self.chapters:
            if chapter.level == 1:
                first, second = first + 1, 0
            elif chapter.level == 2:
                second += 1
            result.append((("", f"{first}", f"{first}.{second}", "")[chapter.level], chapter))
        return result

    @property
    def pictures(self) -> list[Picture]:
        """All pictures of the report, in order."""
        blocks = [block for chapter in self.chapters for block in chapter.blocks]
        return [picture for block in blocks if isinstance(block, Pictures) for picture in block.pictures]


SYMBOLS = {"fail": "×", "monitor": "!", "pass": "✓", "not assessable": "?", "no rule": "–"}
"""Symbol of each outcome."""
COLOURS = {
    "fail": ("#b02a00", "#ffffff", "#b02a00"),
    "monitor": ("#ffc828", "#000000", "#ffc828"),
    "pass": ("#e4f0f9", "#00497a", "#0062a3"),
    "not assessable": ("#e0e2e5", "#22262b", "#8a9099"),
    "no rule": ("#ffffff", "#282c34", "#d5d9de"),
}
"""Background, text and bar of each outcome. The colours also differ in lightness, for prints in grey."""

# Controls that reverse the order of the letters around them, and characters that no renderer may draw.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def visible(text: object) -> str:
    """Replace control characters and controls of the writing direction, which could disguise a name."""
    return _UNSEEN.sub("\ufffd", str(text))


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
