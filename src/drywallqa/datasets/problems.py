"""Kinds of problems in an export, and their reports."""

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
    """One problem in an export.

    Attributes:
        kind: One of the constants of this module.
        file: The affected file, relative to the export's root.
        where: The line or id within the file; empty for the whole file.
        text: A description of the problem and its consequence.
    """

    kind: str
    file: str
    where: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.where}" if self.where else self.file
        return f"{place}: {self.kind}: {self.text}"

    def to_json(self) -> dict[str, str]:
        """Return the problem as plain data."""
        return {"kind": self.kind, "file": self.file, "where": self.where, "text": self.text}
