"""Kinds of problems that occur when labels are read or written, and the class that describes a problem."""

from __future__ import annotations

from dataclasses import dataclass

from drywallqa.formats.values import size_of

# A label, a part of it, or a photo was lost.
CONFLICT = "contradiction"
DEGENERATE = "degenerate"
DUPLICATE = "duplicate"
EMPTY = "empty"
FEW_POINTS = "too few points"
LEFT_OUT = "left out"
MALFORMED = "malformed"
MISSING_PHOTO = "missing photo"
NOT_A_NUMBER = "not a number"
OUTSIDE = "outside the photo"
SIZE = "wrong size"
UNREADABLE = "unreadable"
UNSUPPORTED = "not supported"
WRONG_ID = "wrong id"

# Nothing was lost, but the user must be told.
CROPPED = "cropped"
INCOMPLETE = "incomplete"
INEXACT = "inexact"
MISSING_LABELS = "missing labels"
PASSED_OVER = "passed over"
PHOTO_NOTE = "photo"
SIMILAR_NAME = "similar name"
SOFT_MASK = "soft mask"
TURNED = "turned photo"
TWO_SPLITS = "two splits"
UNKNOWN_PIXELS = "unknown pixels"
UNREAD_SIZE = "unreadable size"

LOSSES = frozenset(
    {
        CONFLICT, DEGENERATE, DUPLICATE, EMPTY, FEW_POINTS, LEFT_OUT, MALFORMED, MISSING_PHOTO, NOT_A_NUMBER,
        OUTSIDE, SIZE, UNREADABLE, UNSUPPORTED, WRONG_ID,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One problem in an export.

    Attributes:
        kind: One of the constants of this module.
        file: The affected file, relative to the export's root. Empty if the whole export is affected.
        where: The line or id within the file. Empty if the whole file is affected.
        text: A description of the problem and its consequence.
    """

    kind: str
    file: str
    where: str
    text: str

    @property
    def is_loss(self) -> bool:
        """Whether a label, a part of a label or a photo was lost."""
        return self.kind in LOSSES

    def __str__(self) -> str:
        place = ", ".join(filter(None, (self.file, self.where)))
        return ": ".join(filter(None, (place, self.kind, self.text)))

    def to_json(self) -> dict[str, str]:
        """Return the problem as JSON data."""
        return {"kind": self.kind, "file": self.file, "where": self.where, "text": self.text}


def only_named(name: str, statement: str, file: str, where: str) -> Problem:
    """Return a problem for a class that a tag names for the whole photo, but that no annotation marks.

    Args:
        name: The class.
        statement: The kind of statement that names the class, such as "tag".
        file: The annotation file, relative to the export's root.
        where: The line or id within the file.
    """
    text = f"the {statement} '{name}' marks no pixels; the class is unknown in this photo"
    return Problem(PASSED_OVER, file, where, text)


def unread_size(height: object, width: object, file: str, where: str) -> list[Problem]:
    """Return a problem if a file states the size of a photo, but the size cannot be read.

    Args:
        height: The stated height. None, an empty text and 0 mean that it is unknown.
        width: The stated width.
        file: The annotation file, relative to the export's root.
        where: The line or id within the file.
    """
    if size_of(height, width) or not any(each not in (None, "", 0) for each in (height, width)):
        return []
    text = (
        f"width '{width}' and height '{height}' are not a size in px; the labels were read as if no "
        "size were stated"
    )
    return [Problem(UNREAD_SIZE, file, where, text)]
