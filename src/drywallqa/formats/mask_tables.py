"""Read the tables of pixel values and classes: Roboflow's `_classes.csv` and CVAT's `labelmap.txt`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.formats.pixel_values import Value, grey_or_colour
from drywallqa.formats.text_files import load_lines
from drywallqa.formats.values import whole_number

ROBOFLOW_TABLE, CVAT_TABLE = "_classes.csv", "labelmap.txt"

_BACKGROUND = frozenset({"background", "_background_", "unlabeled", "unlabelled"})
_IGNORED = frozenset({"ignored", "ignore"})


@dataclass(frozen=True)
class ClassTable:
    """The pixel values in mask files, and the classes that they stand for.

    Attributes:
        classes: Class → pixel value.
        background: Pixel values of the background.
        ignored: Pixel values of areas that nobody labelled.
    """

    classes: Mapping[str, Value]
    background: frozenset[Value] = frozenset()
    ignored: frozenset[Value] = frozenset()

    @property
    def values(self) -> frozenset[Value]:
        """All pixel values that the table lists."""
        return self.background.union(self.ignored, self.classes.values())


def read_class_table(path: Path) -> ClassTable:
    """Read a table of pixel values and classes.

    Raises:
        DataError: The table is damaged, two classes have the same value, or one class has two values.
    """
    pairs = _roboflow_rows(path) if path.name == ROBOFLOW_TABLE else _labelmap_rows(path)
    table: dict[str, Value] = {}
    names: dict[Value, str] = {}
    for name, value in pairs:
        if names.setdefault(value, name) != name or table.setdefault(name, value) != value:
            raise DataError(
                f"{path}: '{name}' and '{names[value]}' have conflicting values; correct the table"
            )
    background = frozenset(value for name, value in table.items() if name.lower() in _BACKGROUND)
    ignored = frozenset(value for name, value in table.items() if name.lower() in _IGNORED)
    others = {name: value for name, value in table.items() if value not in background | ignored}
    return ClassTable(others, background, ignored)


def _roboflow_rows(path: Path) -> list[tuple[str, Value]]:
    remedy = "a table of classes has the columns 'Pixel Value, Class'; export the data set again"
    rows: list[tuple[str, Value]] = []
    for number, row in enumerate(
        csv.reader(load_lines(path, "the table of classes", remedy), skipinitialspace=True), 1
    ):
        value = whole_number(row[0].strip()) if row else None
        if not "".join(row).strip() or (number == 1 and value is None):
            continue
        if value is None or value < 0 or len(row) < 2 or not row[1].strip():
            raise DataError(f"{path}, line {number}: '{', '.join(row)}' is invalid; {remedy}")
        rows.append((row[1].strip(), value))
    return rows


def _labelmap_rows(path: Path) -> list[tuple[str, Value]]:
    remedy = "a line must have the form name:red,green,blue:parts:actions"
    rows: list[tuple[str, Value]] = []
    for number, line in enumerate(load_lines(path, "the table of classes", remedy), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(":")
        colour = [whole_number(part) for part in parts[1].split(",")] if len(parts) > 1 else []
        known = [part for part in colour if part is not None and 0 <= part <= 255]
        if len(colour) != 3 or len(known) != 3:
            raise DataError(f"{path}, line {number}: '{line}' is invalid; {remedy}")
        rows.append((parts[0].strip(), grey_or_colour(known)))
    return rows
