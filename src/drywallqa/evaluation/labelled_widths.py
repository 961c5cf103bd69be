"""Compare measured crack widths with labels that follow the true edges, on real photos."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DataError
from drywallqa.evaluation.known_findings import Segment, Source
from drywallqa.imaging import mask_files, photos
from drywallqa.imaging.line_profile import left_normals
from drywallqa.imaging.line_search import CrackLine, find_lines
from drywallqa.imaging.morphology import Mask, dilate, label_components, mean_width
from drywallqa.inspection.crack_sizes import crack_sizes, reliable_points
from drywallqa.inspection.measures import Measure

Floats = NDArray[np.float64]

WIDTH_SETS = ("large-walls", "concrete-cc0")
"""Sets whose labels follow the edges of cracks."""

_SHORTEST = 40.0  # px of centre line with a true width; shorter findings are not compared
_STEP = 0.25  # px between samples of a label across a line
_FARTHEST = 60.0  # px, half of the largest width that is looked for
_BESIDE = 3.0  # px, distance of a centre line from its label that still counts


@dataclass(frozen=True)
class LabelledFinding:
    """One crack of a real photo: its mean width by its label, and as measured.

    Attributes:
        photo: Name of the photo.
        source: Where the outline is from: the label, made three times too wide, or the model.
        truth: Mean width of the label across the found line in px.
        measured: Measured mean width with its interval in px.
        point_error: Mean absolute difference of the widths over the points of the line in px.
    """

    photo: str
    source: Source
    truth: float
    measured: Measure
    point_error: float


def labelled_photos(folder: Path, name: str, part: str) -> Iterator[tuple[str, NDArray[np.uint8], Mask]]:
    """Yield name, photo [H,W,3] and label [H,W] of each photo of a set in a part.

    Args:
        folder: Folder with `split.csv` (set, file, part) and a folder `images` and `masks` for each set.
        name: Name of the set.
        part: Name of the part in `split.csv`.

    Raises:
        DataError: `split.csv` or a label is missing or invalid.
        PhotoError: A photo cannot be read.
    """
    path = folder / "split.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            files = [row["file"] for row in csv.DictReader(file) if (row["set"], row["part"]) == (name, part)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DataError(f"{path}: must have the columns 'set', 'file' and 'part' ({error!r})") from error
    for file_name in files:
        label = folder / name / "masks" / Path(file_name).with_suffix(".png").name
        yield file_name, photos.read_photo(folder / name / "images" / file_name), mask_files.read_mask(label)


def compare_photo(
    name: str, photo: NDArray[np.uint8], label: Mask, segment: Segment | None
) -> Iterator[LabelledFinding]:
    """Compare the widths of all cracks of one photo with their label.

    Args:
        name: Name of the photo.
        photo: The photo, uint8 [H,W,3].
        label: The label, bool [H,W].
        segment: The model; None searches in the label, made three times too wide.
    """
    if not label.any():
        return
    if segment is None:
        outline, probability = dilate(label, max(1, round(mean_width(label)))), None
    else:
        outline, probability = segment(photo)
    components = label_components(dilate(label, round(_BESIDE)))
    groups: dict[int, list[CrackLine]] = {}
    for line in find_lines(photo, outline, probability).lines:
        column, row = np.clip(line.points.round().astype(int), 0, np.array(label.shape[::-1]) - 1).T
        number = int(np.median(components[row, column]))
        if number:
            groups.setdefault(number, []).append(line)
    for lines in groups.values():
        found = _compare(name, "truth" if segment is None else "model", lines, label)
        if found is not None:
            yield found


def _compare(name: str, source: Source, lines: Sequence[CrackLine], label: Mask) -> LabelledFinding | None:
    pairs = []
    for line, kept in zip(lines, reliable_points(lines), strict=True):
        true = label_widths(label, line)
        pairs.append(np.stack([line.width, true], axis=1)[kept & (true > 0)])
    measured, true = np.concatenate(pairs).T
    sizes = crack_sizes(lines)
    if len(true) < _SHORTEST or sizes is None:
        return None
    error = float(np.abs(measured - true).mean())
    return LabelledFinding(name, source, float(true.mean()), sizes.width_mean, error)


def label_widths(label: Mask, line: CrackLine) -> Floats:
    """Return the width of a label [H,W] across a line at each point, [N] in px; 0 beside the label."""
    reach = min(_FARTHEST, 2 * float(line.width.max()) + 10)
    offsets = np.arange(-reach, reach + _STEP / 2, _STEP)
    normals = left_normals(line.points)
    x, y = (line.points[:, axis, None] + normals[:, axis, None] * offsets for axis in (0, 1))
    column, row = (np.rint(values).astype(np.intp) for values in (x, y))
    within = (column >= 0) & (row >= 0) & (column < label.shape[1]) & (row < label.shape[0])
    marked = within & label[np.clip(row, 0, label.shape[0] - 1), np.clip(column, 0, label.shape[1] - 1)]
    nearest = np.where(marked, np.abs(offsets), np.inf).argmin(axis=1)
    beside = np.abs(offsets[nearest]) > _BESIDE
    order = np.arange(len(offsets))
    unmarked = np.where(marked, -1, order)  # the nearest places on both sides that the label does not mark
    before = np.where(order <= nearest[:, None], unmarked, -1).max(axis=1)
    after = np.where(~marked & (order >= nearest[:, None]), order, len(offsets)).min(axis=1)
    widths = (after - before - 1) * _STEP
    return np.where(beside | ~marked.any(axis=1), 0.0, widths)


def labelled_table(findings: Sequence[LabelledFinding]) -> str:
    """Return a Markdown table of errors and coverage by source and true width."""
    rows = [
        "| outline | true width (px) | cracks | width is a number | MAE of the mean width (px) | bias (px) "
        "| MAE at a point (px) | coverage |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for source in ("truth", "model"):
        for low, high in ((0.0, 3.0), (3.0, 8.0), (8.0, 20.0), (20.0, float("inf"))):
            own = [one for one in findings if one.source == source and low <= one.truth < high]
            if own:
                rows.append(_labelled_row(source, low, high, own))
    return "\n".join(rows)


def _labelled_row(source: Source, low: float, high: float, findings: Sequence[LabelledFinding]) -> str:
    numbers = [one for one in findings if one.measured.value is not None]
    inside = np.mean([one.measured.low <= one.truth <= one.measured.high for one in findings])
    figures = "– | – | –"
    if numbers:
        errors = np.array([(one.measured.value or 0.0) - one.truth for one in numbers])
        points = np.mean([one.point_error for one in numbers])
        figures = f"{np.abs(errors).mean():.2f} | {errors.mean():+.2f} | {points:.2f}"
    outline = "label, three times too wide" if source == "truth" else "model"
    size = f"{low:g}–{high:g}" if np.isfinite(high) else f"from {low:g}"
    return (
        f"| {outline} | {size} | {len(findings)} | {len(numbers) / len(findings):.0%} | {figures} "
        f"| {inside:.0%} |"
    )
