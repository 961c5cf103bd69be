"""Rendered phone photos: how many walls without cracks are marked, and how much of each crack is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drywallqa.evaluation.ratios import Ratios
from drywallqa.imaging.morphology import dilate
from drywallqa.intervals import Figure
from drywallqa.metrics import FALSE_ALARM_SHARE, TOLERANCE
from drywallqa.synthetic.phone_cracks import WIDTHS, PhoneCrack
from drywallqa.synthetic.phone_walls import PhoneWall, render_phone_wall
from drywallqa.synthetic.surfaces import BOARDS
from drywallqa.synthetic.walls import CRACK, Kind

Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Marks = Callable[[Photo], Mapping[str, Mask]]
"""Marks a photo [H,W,3]: concept → mask [H,W]."""
Report = Callable[[str], None]
Figures = dict[str, Figure]
Size = tuple[int, int] | None

BROAD = 3
"""Width in px from which cracks are also counted together."""
_SHARE_OF_JOINTS = 0.3  # of the walls without cracks
_A_WALL = 4  # cracks
_SHORTEST = 50  # px; of a shorter piece nothing is said


def clean_walls(marks: Marks, seed: int, count: int, report: Report, size: Size = None) -> Figures:
    """Render walls without cracks and count those that are marked.

    Concepts other than the crack are counted on walls without joints.

    Args:
        marks: The model.
        seed: First part of every wall's seed.
        count: Walls to render.
        report: Told how far it is.
        size: Height and width in px; a phone's by default.
    """
    ratios, groups = Ratios(), Ratios()
    for number in range(count):
        generator = np.random.default_rng([seed, 1, number])
        kind: Kind = "seam" if generator.random() < _SHARE_OF_JOINTS else "neither"
        wall = render_phone_wall(generator, size, kind)
        for concept, mask in marks(wall.photo).items():
            if concept == CRACK or kind == "neither":
                add_alarm(ratios, concept, f"wall {number}", mask)
            for group in _groups(wall) if concept == CRACK else ():
                alarm = bool(mask.mean() > FALSE_ALARM_SHARE)
                groups.add(f"{concept}, {group}: over 0.1 % marked", f"wall {number}", alarm, events=True)
        _tell(report, "walls without cracks", number + 1, count)
    return ratios.figures() | dict(sorted(groups.figures().items()))


def _groups(wall: PhoneWall) -> tuple[str, str]:
    """Groups of walls that have figures of their own: by surface, and by whether something else is there."""
    surface = "board" if wall.surface in BOARDS else wall.surface
    return surface, "with objects" if wall.objects else "bare wall"


def add_alarm(ratios: Ratios, name: str, cluster: str, mask: Mask) -> None:
    """Count a mask that should be empty: whether over 0.1 % of the photo is marked, and whether any px is."""
    ratios.add(f"{name}: over 0.1 % marked", cluster, bool(mask.mean() > FALSE_ALARM_SHARE), events=True)
    ratios.add(f"{name}: any px marked", cluster, bool(mask.any()), events=True)


def cracked_walls(marks: Marks, seed: int, least: int, report: Report, size: Size = None) -> Figures:
    """Render walls until each width class has `least` cracks, and measure how much of their length is found.

    A px of a centreline is found where the mask comes as near as half the crack's width + 3 px at 640 (3 px ·
    longer side / 640). Px as near to another crack are not counted, since its mask would count for both.

    Args:
        marks: The model.
        seed: First part of every wall's seed.
        least: Cracks of each width; fewer where twice the usual number of walls does not hold them.
        report: Told how far it is.
        size: Height and width in px; a phone's by default.
    """
    names = {width: f"{width} px wide" for width in WIDTHS}
    ratios = Ratios([*names.values(), f"{BROAD} px and wider"])
    counts, number = dict.fromkeys(WIDTHS, 0), 0
    most = 2 * -(-least * len(WIDTHS) // _A_WALL)
    while min(counts.values()) < least and number < most:
        rarest = sorted(counts, key=lambda width: counts[width])[:_A_WALL]
        wall = render_phone_wall([seed, 2, number], size, "crack", sorted(rarest))
        mask = marks(wall.photo)[CRACK]
        for crack, found, length in found_lengths(wall, mask):
            counts[crack.width] += 1
            ratios.add(names[crack.width], f"wall {number}", found, length)
            if crack.width >= BROAD:
                ratios.add(f"{BROAD} px and wider", f"wall {number}", found, length)
        beside = dilate(wall.crack_mask, round(_tolerance(mask)))
        true = int((mask & beside).sum())
        ratios.add("marked px within 3 px at 640 of a crack", f"wall {number}", true, int(mask.sum()))
        number += 1
        _tell(report, "walls with cracks", number, -(-least * len(WIDTHS) // _A_WALL))
    return ratios.figures()


def found_lengths(wall: PhoneWall, mask: Mask) -> list[tuple[PhoneCrack, int, int]]:
    """Of each crack: the px of its centreline that are found, and those that count."""
    found = []
    for crack in wall.cracks:
        reach = crack.width / 2 + _tolerance(mask)
        line = _alone(crack, [other for other in wall.cracks if other is not crack], reach)
        if len(line) >= _SHORTEST:
            found.append((crack, _near(line, mask, round(reach)), len(line)))
    return found


def _tolerance(mask: Mask) -> float:
    return float(TOLERANCE * max(mask.shape) / 640)


def _alone(crack: PhoneCrack, others: Sequence[PhoneCrack], reach: float) -> NDArray[np.float64]:
    """Points of a crack's centreline that no other crack's mask comes as near to as `reach` px."""
    line = crack.centreline
    for other in others:
        if not len(line):
            break
        course = other.centreline[::4]
        distance = np.hypot(line[:, None, 0] - course[None, :, 0], line[:, None, 1] - course[None, :, 1]).min(
            axis=1
        )
        line = line[distance > reach + other.width / 2]
    return line


def _near(line: NDArray[np.float64], mask: Mask, radius: int) -> int:
    """How many points [N,2] of x, y lie within `radius` px of the mask."""
    x, y = line.round().astype(int).T
    top, left = max(0, y.min() - radius), max(0, x.min() - radius)
    part = mask[top : y.max() + radius + 1, left : x.max() + radius + 1]
    return int(dilate(part, radius)[y - top, x - left].sum())


def _tell(report: Report, what: str, done: int, count: int) -> None:
    if done % 10 == 0 or done == count:
        report(f"{what}: {done} of {count}")
