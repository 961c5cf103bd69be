"""Measure false alarms and the detected length of cracks on walls at phone resolution."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DataError
from drywallqa.evaluation.measure import Mask
from drywallqa.evaluation.release_tests import Photo
from drywallqa.imaging import mask_files, photos
from drywallqa.imaging.morphology import dilate, skeletonise
from drywallqa.intervals import Figure, Terms
from drywallqa.metrics import FALSE_ALARM_SHARE, TOLERANCE, Counts
from drywallqa.synthetic.phone_cracks import WIDTHS, PhoneCrack
from drywallqa.synthetic.phone_walls import PhoneWall, render_phone_wall
from drywallqa.synthetic.surfaces import BOARDS
from drywallqa.synthetic.walls import CRACK, Kind

Marks = Callable[[Photo], Mapping[str, Mask]]  # marks a photo [H,W,3]: concept → mask [H,W]
Report = Callable[[str], None]
Figures = dict[str, Figure]
Size = tuple[int, int] | None

BROAD = 3  # cracks of at least this width in px also form a common group
_SHARE_OF_JOINTS = 0.3  # this share of the walls without cracks has joints
_A_WALL = 4  # cracks per wall
LARGE_WALLS = "large-walls"  # the set of wall photos in the original size of the camera
_LEAST_TOLERANCE = 1.5  # smallest allowed distance between true and predicted lines, in px
_SHORTEST = 50  # length in px; shorter cracks are not counted


class Ratios:
    """Ratios by name, each stored as one numerator and one denominator per cluster.

    Args:
        names: Names of the ratios that `figures` returns first, in order. Other names follow in the order of
            their first `add`.

    Example:
        >>> ratios = Ratios()
        >>> ratios.add("marked", "photo 1", True, events=True)
        >>> ratios.add("marked", "photo 2", False, events=True)
        >>> ratios.figures()["marked"].value
        0.5
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._sums: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in names}
        self._events: set[str] = set()

    def add(self, name: str, cluster: str, part: float, whole: float = 1, *, events: bool = False) -> None:
        """Add a numerator and a denominator to a ratio.

        Args:
            name: The ratio's name.
            cluster: The source photo. In the bootstrap, all pairs of a source photo stay together.
            part: Amount to add to the ratio's numerator.
            whole: Amount to add to the ratio's denominator.
            events: Whether the numerator counts events (see `intervals.Terms`).
        """
        sums = self._sums.setdefault(name, {}).setdefault(cluster, np.zeros(3))
        sums += (part, whole, 1)
        if events:
            self._events.add(name)

    def figures(self) -> Figures:
        """Return each ratio that has data, with its 95 % interval."""
        found = {}
        for name, clusters in self._sums.items():
            if clusters:
                part, whole, pairs = np.array(list(clusters.values())).T
                terms = Terms(part, whole, len(clusters), int(pairs.sum()), name in self._events)
                found[name] = terms.figure()
        return found


def clean_walls(marks: Marks, seed: int, count: int, report: Report, size: Size = None) -> Figures:
    """Render walls without cracks and count the walls on which the model marks something.

    Concepts other than "crack" are counted only on walls without joints.

    Args:
        marks: The model.
        seed: First number of the seed of each wall.
        count: Number of walls to render.
        report: Called with a progress message after every tenth wall.
        size: Height and width in px; by default the size of a phone photo.
    """
    ratios, groups = Ratios(), Ratios()
    for number in range(count):
        generator = np.random.default_rng([seed, 1, number])
        kind: Kind = "seam" if generator.random() < _SHARE_OF_JOINTS else "neither"
        wall = render_phone_wall(generator, size, kind)
        for concept, mask in marks(wall.photo).items():
            if concept == CRACK or kind == "neither":
                add_alarm(ratios, concept, f"wall {number}", mask)
            if concept == CRACK:
                surface = "board" if wall.surface in BOARDS else wall.surface
                alarm = bool(mask.mean() > FALSE_ALARM_SHARE)
                for group in (surface, "with objects" if wall.objects else "bare wall"):
                    name = f"{concept}, {group}: over 0.1 % marked"
                    groups.add(name, f"wall {number}", alarm, events=True)
        _report_tenth(report, "walls without cracks", number + 1, count)
    return ratios.figures() | dict(sorted(groups.figures().items()))


def add_alarm(ratios: Ratios, name: str, cluster: str, mask: Mask) -> None:
    """Count a mask that should be empty in two rates: over 0.1 % marked, and at least one pixel marked."""
    ratios.add(f"{name}: over 0.1 % marked", cluster, bool(mask.mean() > FALSE_ALARM_SHARE), events=True)
    ratios.add(f"{name}: any px marked", cluster, bool(mask.any()), events=True)


def add_pixels(ratios: Ratios, cluster: str, counts: Counts) -> None:
    """Add a mask's pixel counts to pixel recall and pixel precision."""
    ratios.add("pixel recall", cluster, counts.tp, counts.tp + counts.fn)
    ratios.add("pixel precision", cluster, counts.tp, counts.tp + counts.fp)


def cracked_walls(marks: Marks, seed: int, least: int, report: Report, size: Size = None) -> Figures:
    """Render walls until each width has `least` cracks, and measure how much of their length is detected.

    A pixel of a crack's centreline counts as found if its distance to the mask is at most half the crack's
    width plus a tolerance of 3 px · longer side / 640. Pixels within this distance of another crack are left
    out, because the mask of the other crack would count for both cracks.

    Args:
        marks: The model.
        seed: First number of the seed of each wall.
        least: Number of cracks to render for each width. Rendering stops early at twice the number of walls
            that are needed if every crack is long enough.
        report: Called with a progress message after every tenth wall.
        size: Height and width in px; by default the size of a phone photo.
    """
    names = {width: f"{width} px wide" for width in WIDTHS}
    together = f"{BROAD} px and wider"
    ratios = Ratios([*names.values(), together])
    counts, number = dict.fromkeys(WIDTHS, 0), 0
    usual = -(-least * len(WIDTHS) // _A_WALL)
    while min(counts.values()) < least and number < 2 * usual:
        rarest = sorted(counts, key=lambda width: counts[width])[:_A_WALL]
        wall = render_phone_wall([seed, 2, number], size, "crack", sorted(rarest))
        mask, cluster = marks(wall.photo)[CRACK], f"wall {number}"
        for crack, found, length in found_lengths(wall, mask):
            counts[crack.width] += 1
            ratios.add(names[crack.width], cluster, found, length)
            if crack.width >= BROAD:
                ratios.add(together, cluster, found, length)
        true = int((mask & dilate(wall.crack_mask, round(_tolerance(mask)))).sum())
        ratios.add("marked px within 3 px at 640 of a crack", cluster, true, int(mask.sum()))
        number += 1
        _report_tenth(report, "walls with cracks", number, usual)
    return ratios.figures()


def found_lengths(wall: PhoneWall, mask: Mask) -> list[tuple[PhoneCrack, int, int]]:
    """Count the found and the total centreline pixels of each crack that is long enough."""
    found = []
    for crack in wall.cracks:
        reach = crack.width / 2 + _tolerance(mask)
        line = _alone(crack, [other for other in wall.cracks if other is not crack], reach)
        if len(line) >= _SHORTEST:
            # to save time, only the area around the crack is dilated
            x, y = line.round().astype(int).T
            radius = round(reach)
            top, left = max(0, y.min() - radius), max(0, x.min() - radius)
            near = dilate(mask[top : y.max() + radius + 1, left : x.max() + radius + 1], radius)
            found.append((crack, int(near[y - top, x - left].sum()), len(line)))
    return found


def _tolerance(mask: Mask) -> float:
    return float(TOLERANCE * max(mask.shape) / 640)


def _alone(crack: PhoneCrack, others: Sequence[PhoneCrack], reach: float) -> NDArray[np.float64]:
    """Return the points of a crack's centreline that are more than `reach` px away from other cracks."""
    line = crack.centreline
    for other in others:
        if len(line):
            steps = line[:, None] - other.centreline[None, ::4]
            distance = np.hypot(steps[..., 0], steps[..., 1]).min(axis=1)
            line = line[distance > reach + other.width / 2]
    return line


def large_walls(marks: Marks, folder: Path, part: str, report: Report) -> Figures:
    """Measure how well masks match the lines and pixels of cracks on wall photos at full camera resolution.

    The tolerance is 3 px · longer side / 640, and at least 1.5 px. Line recall is the share of the skeleton
    of the ground truth within the tolerance of the mask's skeleton. Line precision is the share of the mask's
    skeleton within the tolerance of the skeleton of the ground truth. Line recall and line precision are
    pooled over photos.

    Args:
        marks: The model.
        folder: Folder with `split.csv` (set, file, part), `large-walls/images/*.jpg` and `masks/*.png`.
        part: Name of the split to measure, as in the column "part" of `split.csv`.
        report: Called with a description of each step.

    Raises:
        DataError: `split.csv` or a mask is missing or invalid.
        PhotoError: A photo cannot be read.
    """
    names = _listed(folder / "split.csv", part)
    ratios = Ratios()
    for number, name in enumerate(names):
        photo = photos.read_photo(folder / LARGE_WALLS / "images" / name)
        path = folder / LARGE_WALLS / "masks" / Path(name).with_suffix(".png").name
        truth = mask_files.read_mask(path)
        if truth.shape != photo.shape[:2]:
            raise DataError(
                f"{path}: the mask is {truth.shape[1]}×{truth.shape[0]} px but its photo is "
                f"{photo.shape[1]}×{photo.shape[0]} px; resize the mask"
            )
        mask = marks(photo)[CRACK]
        radius = round(max(_LEAST_TOLERANCE, _tolerance(mask)))
        found, ideal = skeletonise(mask), skeletonise(truth)
        ratios.add("line recall", name, int((ideal & dilate(found, radius)).sum()), int(ideal.sum()))
        ratios.add("line precision", name, int((found & dilate(ideal, radius)).sum()), int(found.sum()))
        add_pixels(ratios, name, Counts.of(mask, truth))
        report(f"large walls: {number + 1} of {len(names)}")
    return ratios.figures()


def _listed(path: Path, part: str) -> list[str]:
    """Read the file names of the photos of a split from `split.csv`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [row["file"] for row in rows if row["set"] == LARGE_WALLS and row["part"] == part]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DataError(
            f"{path}: must be a table of photos with the columns 'set', 'file' and 'part' ({error!r})"
        ) from error
    if not names:
        raise DataError(f"{path}: lists no photo of the set {LARGE_WALLS} in the split '{part}'")
    return names


def _report_tenth(report: Report, what: str, done: int, count: int) -> None:
    if done % 10 == 0 or done == count:
        report(f"{what}: {done} of {count}")
