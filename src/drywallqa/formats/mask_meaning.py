"""Decide what the values of mask files mean.

Black is background. If the files of a class have only one value besides black, this value is the foreground.
The value 255 next to class numbers marks unlabelled pixels, as in Pascal VOC. The user must decide about all
other values with `--value`, and about masks that are mostly foreground with `--invert`. Otherwise, the import
stops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import ReadOptions, relative_name
from drywallqa.formats.mask_pixels import UNCLEAR, MaskFile
from drywallqa.formats.mask_tables import ClassTable
from drywallqa.formats.pixel_values import NEAR, Value, describe_value, distance, parse_value
from drywallqa.formats.problems import Problem
from drywallqa.formats.soft_edges import CLASS_NUMBERS

IGNORE, BACKGROUND = "ignore", "background"
MOSTLY = 0.5
"""A mask that marks more than this share of its labelled pixels may be inverted."""

_BLACK: Value = 0
_BORDER = _WHITE = 255
_BORDER_COLOUR: Value = (224, 224, 192)  # 255 in the palette of Pascal VOC
_LISTED = 8


@dataclass(frozen=True)
class MaskMeaning:
    """The meaning of the values of a group of mask files.

    Attributes:
        classes: Class → values that mark it. This includes classes that no pixel shows.
        ignored: Values of unlabelled pixels.
        stray: Values that are missing from the table of classes, if there is one.
    """

    classes: Mapping[str, frozenset[Value]]
    ignored: frozenset[Value]
    stray: frozenset[Value]


@dataclass
class MaskGroup:
    """Mask files that label the same classes.

    Attributes:
        name: The class of the foreground, unless a table or the user assigns classes to values.
        files: The mask files.
        table: The table of classes, if there is one.
    """

    name: str
    files: list[MaskFile] = field(default_factory=list)
    table: ClassTable | None = None


def known_values(options: ReadOptions) -> dict[Value, str]:
    """Return the meanings that the user gave to values: value → class, `IGNORE` or `BACKGROUND`."""
    return {parse_value(text): name for text, name in options.values.items()}


def decide_meanings(
    groups: Sequence[MaskGroup], options: ReadOptions, root: Path
) -> tuple[list[MaskMeaning], list[Problem]]:
    """Decide the meaning of each group of mask files.

    Args:
        groups: The mask files.
        options: The user's decisions.
        root: The export's folder, for messages.

    Returns:
        The meaning of each group, and notes about rounded values and values of unlabelled pixels.

    Raises:
        DataError: The meaning of a value is uncertain, or most of a mask is foreground.
    """
    known = known_values(options)
    _check_used(groups, known, root)
    readings = [_Reading(group, known) for group in groups]
    open_values = [line for reading in readings for line in reading.open_values(root)]
    if open_values:
        many = len(open_values) > _LISTED
        more = f", and {len(open_values) - _LISTED} more" if many else ""
        soft = "; if the other values are soft edges, this rounds them" if many else ""
        example = open_values[0].split()[0]
        raise DataError(
            f"{root}: the meaning of some values in the mask files is not certain: "
            f"{', '.join(open_values[:_LISTED])}{more}; give each value a meaning, such as --value "
            f'"{example}=CLASS", "{example}={BACKGROUND}" or "{example}={IGNORE}" (unlabelled pixels){soft}'
        )
    if options.invert and any(reading.explicit for reading in readings):
        raise DataError(
            f"{root}: --invert yes does not apply to values that --value or a table of classes names; "
            "name each value with --value instead"
        )
    if options.invert is None:
        _check_polarity(readings, root)
    notes = [note for reading in readings for note in reading.notes(root)]
    return [reading.meaning(bool(options.invert)) for reading in readings], notes


def _check_used(groups: Sequence[MaskGroup], known: Mapping[Value, str], root: Path) -> None:
    present = {value for group in groups for file in group.files for value in file.counts}
    unused = [describe_value(value) for value in known if value not in present]
    if unused:
        raise DataError(f"{root}: no mask file has the value {unused[0]}; correct --value {unused[0]}=…")


def _check_polarity(readings: Sequence[_Reading], root: Path) -> None:
    files = [file for reading in readings if not reading.explicit for file in reading.group.files]
    shares = [
        (reading.marked_share(file), file)
        for reading in readings
        if not reading.explicit
        for file in reading.group.files
    ]
    inverted = [(share, file) for share, file in shares if share > MOSTLY]
    if inverted:
        share, example = inverted[0]
        raise DataError(
            f"{root}: {len(inverted)} of {len(files)} mask files mark more than {MOSTLY:.0%} of their photo "
            f"(such as {relative_name(example.path, root)}: {share:.0%}); pass --invert yes if black marks "
            "the class in all mask files, or --invert no if the masks are correct"
        )


class _Reading:
    """The roles of the values in one group of mask files."""

    def __init__(self, group: MaskGroup, known: Mapping[Value, str]) -> None:
        self.group = group
        self.totals: Counter[Value] = Counter()
        for file in group.files:
            self.totals.update(file.counts)
        self.given = {value: name for value, name in known.items() if value in self.totals}
        table = group.table or ClassTable({})
        self.classes: dict[str, set[Value]] = {
            name: {value} for name, value in table.classes.items() if self.given.get(value, name) == name
        }
        for value, name in self.given.items():
            if name not in (IGNORE, BACKGROUND):
                self.classes.setdefault(name, set()).add(value)
        certain = {*self.given, *table.values}
        self.border = {value for file in group.files for value in _border(file)} - certain
        given_ignored = {value for value, name in self.given.items() if name == IGNORE}
        self.ignored = self.border | (table.ignored - set(self.given)) | given_ignored
        background = {value for value, name in self.given.items() if name == BACKGROUND}
        self.background = background | (table.background - set(self.given)) | ({_BLACK} - certain)
        self.rest = set(self.totals) - certain - self.border - self.background

    @property
    def explicit(self) -> bool:
        """Whether a table or the user assigned classes to values."""
        return self.group.table is not None or bool(self.classes)

    def open_values(self, root: Path) -> Iterator[str]:
        """Describe each value whose meaning is uncertain. If there is a table, no meaning is uncertain."""
        if self.group.table is not None or not self.rest:
            return
        if not self.classes and self._is_one_value():
            return
        for value in sorted(self.rest, key=lambda value: -self.totals[value]):
            files = [file for file in self.group.files if value in file.counts]
            yield f"{describe_value(value)} ({self.totals[value]} px in {_listed(files, root)})"

    def _is_one_value(self) -> bool:
        """Check whether the values without a meaning are one value that compression changed slightly."""
        if len(self.rest) < 2:
            return True
        rounded = {value for file in self.group.files if file.rounded for value in file.counts}
        bright = all(distance(value, _WHITE) <= NEAR for value in self.rest)
        near = all(distance(one, other) <= NEAR for one in self.rest for other in self.rest)
        return bright or (near and len(self.rest - rounded) < 2)

    def marked_share(self, file: MaskFile) -> float:
        """Return the share of a file's labelled pixels that are foreground if the mask is not inverted."""
        marked = sum(file.counts.get(value, 0) for value in self.rest)
        known = sum(count for value, count in file.counts.items() if value not in self.ignored)
        return marked / known if known else 0.0

    def meaning(self, invert: bool) -> MaskMeaning:
        classes = {name: frozenset(values) for name, values in self.classes.items()}
        if not self.explicit:
            classes[self.group.name] = frozenset(self.background if invert else self.rest)
        stray = frozenset(self.rest if self.explicit else ())
        return MaskMeaning(classes, frozenset(self.ignored), stray)

    def notes(self, root: Path) -> Iterator[Problem]:
        rounded = [file for file in self.group.files if file.rounded]
        if rounded:
            count = sum(file.rounded for file in rounded)
            text = (
                f"soft edges or compression in {_listed(rounded, root)}; {count} px were rounded to the "
                "nearer of their file's main values"
            )
            yield Problem(problems.SOFT_MASK, "", f"masks of '{self.group.name}'", text)
        for value in sorted(self.border, key=describe_value):
            files = [file for file in self.group.files if value in file.counts]
            where = f"{self.totals[value]} px in {_listed(files, root)}"
            text = (
                f"the value {describe_value(value)} beside class numbers was read as pixels that nobody "
                f'labelled ({where}); pass --value "{describe_value(value)}={IGNORE}" to confirm this'
            )
            if value == UNCLEAR:
                text = (
                    "soft edges between two classes have the value of a third class and were read as pixels "
                    f"that nobody labelled ({where}); save the masks without soft edges"
                )
            yield Problem(problems.UNKNOWN_PIXELS, "", f"masks of '{self.group.name}'", text)


def _listed(files: Sequence[MaskFile], root: Path) -> str:
    example = relative_name(files[0].path, root)
    return example if len(files) == 1 else f"{len(files)} files such as {example}"


def _border(file: MaskFile) -> set[Value]:
    """Return the values of unlabelled borders of objects, as in Pascal VOC, and of unclear edges."""
    others = set(file.counts) - {_BLACK, _BORDER, _BORDER_COLOUR, UNCLEAR}
    numbers = all(isinstance(value, int) and value <= CLASS_NUMBERS for value in others)
    found: set[Value] = {_BORDER_COLOUR} & set(file.counts) if others else set()
    found |= {UNCLEAR} & set(file.counts)
    return found | ({_BORDER} & set(file.counts) if others and numbers and not file.levels else set())
