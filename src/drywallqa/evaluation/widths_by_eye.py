"""Compare crack widths that were read by eye from grey profiles with labels and with measured widths."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drywallqa.errors import DataError
from drywallqa.evaluation.labelled_widths import label_widths
from drywallqa.imaging import mask_files, photos
from drywallqa.imaging.line_search import find_lines
from drywallqa.imaging.morphology import dilate, mean_width
from drywallqa.inspection.measures import NORMAL_95

_AROUND = 320  # px of the photo on each side of a place in which lines are searched
_NEAREST = 12.0  # px, distance from a place to the points of a line that count
_POINTS = 3  # points of the line that are averaged


@dataclass(frozen=True)
class WidthByEye:
    """One place of a crack.

    Attributes:
        place: Name of the set, name of the photo, x and y in px.
        by_eye: Distance in px between the two half-depth crossings, as read by eye.
        label: Width of the label in px; 0 if the line is beside the label.
        measured: Measured width in px; None if no line was found there.
        sigma: Its standard uncertainty in px.
    """

    place: str
    by_eye: float
    label: float
    measured: float | None
    sigma: float


def compare_by_eye(table: Path, folder: Path) -> Iterator[WidthByEye]:
    """Yield each place of a table with the widths of its label and as measured.

    Args:
        table: CSV file with the columns set, photo, x, y, first_edge and last_edge (px from the place).
        folder: Folder with `images` and `masks` for each set.

    Raises:
        DataError: The table cannot be read.
        PhotoError: A photo cannot be read.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [(row["set"], row["photo"]) for row in rows]
        values = [[float(row[key]) for key in ("x", "y", "first_edge", "last_edge")] for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as a table of widths ({error!r})") from error
    for (name, photo), (x, y, first, last) in zip(names, values, strict=True):
        yield _compare(folder / name, photo, (x, y), last - first)


def _compare(folder: Path, photo: str, place: tuple[float, float], by_eye: float) -> WidthByEye:
    x, y = (round(value) for value in place)
    top, left = max(0, y - _AROUND), max(0, x - _AROUND)
    window = np.s_[top : y + _AROUND, left : x + _AROUND]
    pixels = photos.read_photo(folder / "images" / photo)[window]
    label = mask_files.read_mask(folder / "masks" / Path(photo).with_suffix(".png").name)[window]
    name = f"{folder.name} {photo} {x}, {y}"
    nearest, found = _NEAREST, WidthByEye(name, by_eye, 0.0, None, 0.0)
    for line in find_lines(pixels, dilate(label, max(1, round(mean_width(label))))).lines:
        away = np.hypot(*(line.points - (x - left, y - top)).T)
        own = np.argsort(away, kind="stable")[:_POINTS]
        if away[own[0]] < nearest:
            nearest = float(away[own[0]])
            widths = (values[own].mean() for values in (label_widths(label, line), line.width, line.sigma))
            found = WidthByEye(name, by_eye, *map(float, widths))
    return found


def by_eye_table(places: Sequence[WidthByEye]) -> str:
    """Return a Markdown table of all places, with the errors of labels and of measured widths."""
    rows = ["| place | by eye (px) | label (px) | measured (px) |", "|---|---:|---:|---:|"]
    for one in places:
        measured = "no line" if one.measured is None else f"{one.measured:.1f} ± {NORMAL_95 * one.sigma:.1f}"
        rows.append(f"| {one.place} | {one.by_eye:.1f} | {one.label:.1f} | {measured} |")
    known = [one for one in places if one.measured is not None]
    for name, values in (
        ("label", [one.label for one in known]),
        ("measured", [one.measured or 0.0 for one in known]),
    ):
        errors = np.array(values) - [one.by_eye for one in known]
        ratio = np.median(np.array(values) / [one.by_eye for one in known])
        rows.append(
            f"| {name}: {len(known)} places | MAE {np.abs(errors).mean():.2f} | bias {errors.mean():+.2f} "
            f"| median ratio {ratio:.2f} |"
        )
    return "\n".join(rows)
