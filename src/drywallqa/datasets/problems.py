"""The kinds of problems that an export can have, and a class that reports a problem."""

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
        kind: The kind of problem, which is a constant of this module.
        file: Path of the affected file, relative to the export's folder.
        where: The line or id within the file, or an empty string if the whole file is affected.
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
        """Return the problem as JSON data."""
        return {"kind": self.kind, "file": self.file, "where": self.where, "text": self.text}
