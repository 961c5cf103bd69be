"""What can be wrong with an export, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass

DEGENERATE = "degenerate"
FEW_POINTS = "too few points"
NOT_A_NUMBER = "not a number"
OUTSIDE = "outside the photo"
WRONG_ID = "wrong id"
MALFORMED = "malformed"
DUPLICATE = "duplicate"
MISSING_PHOTO = "missing photo"
MISSING_LABELS = "missing labels"
UNREADABLE = "unreadable"
SIZE = "wrong size"
EMPTY = "empty"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an export.

    Attributes:
        kind: One of the constants of this module.
        file: The file it stands in, relative to the export's root.
        where: The line or id within the file; empty where the whole file is meant.
        text: What is wrong and what became of it.
    """

    kind: str
    file: str
    where: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.where}" if self.where else self.file
        return f"{place}: {self.kind}: {self.text}"

    def to_json(self) -> dict[str, str]:
        """Describe the problem as plain data."""
        return {"kind": self.kind, "file": self.file, "where": self.where, "text": self.text}
