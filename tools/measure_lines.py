"""Compare crack masks with outlines on photos whose labels follow the crack: line F1 and width ratio.

    python tools/measure_lines.py --part dev [--sets concrete-cc0 tiles] [--data ../shared/data/elsewhere]
        [--overlays OUT] [--model BUNDLE]
    python tools/measure_lines.py --rendered 60

With --rendered, the photos are rendered walls with cracks, and the labels are the cracks' true pixels.

The folder has SET/images, SET/masks and split.csv with the columns set, file and part. The model segments
each photo once. Three masks are scored: the outline, the pruned skeleton of the outline (its width is 1 px,
so its F1 shows how much of the gain comes from pruning spurs), and the crack mask. For line F1, the skeletons
of mask and label are compared within 3 px at 640. The width ratio is the mean width of the mask divided by
that of the label. Sets without labels state in how many photos the outline covers more than 0.1 %.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa import load
from drywallqa.evaluation.speed_parts import describe_machine
from drywallqa.imaging.line_search import find_lines
from drywallqa.imaging.mask_files import read_mask
from drywallqa.imaging.morphology import dilate, mean_width, skeletonise
from drywallqa.imaging.path_search import count_neighbours
from drywallqa.imaging.photos import read_photo
from drywallqa.inference.queries import SegmentOptions
from drywallqa.metrics import FALSE_ALARM_SHARE, LineScore
from drywallqa.synthetic.surfaces import BOARDS, JOINTED, WALLS
from drywallqa.synthetic.walls import WallOptions, render_wall

Mask = NDArray[np.bool_]
_FIRST_SEED = 170_000  # of the rendered walls
NAMES = ("outline", "pruned skeleton", "crack mask")


@dataclass(frozen=True)
class Shot:
    """A photo uint8 [H,W,3] with its set, its name and its label [H,W], or None without a label."""

    group: str
    name: str
    photo: NDArray[np.uint8]
    label: Mask | None


def rendered_walls(count: int) -> Iterator[Shot]:
    """Yield rendered walls with cracks, one surface after the other."""
    surfaces = (*BOARDS, *WALLS, *JOINTED)
    for number in range(count):
        name = surfaces[number % len(surfaces)]
        wall = render_wall(_FIRST_SEED + number, kind="crack", options=WallOptions(surface=name))
        yield Shot(f"rendered {name}", str(number), wall.photo, wall.masks["crack"])


def photos_of(data: Path, part: str, sets: list[str]) -> Iterator[Shot]:
    """Yield the photos of a part."""
    with (data / "split.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["part"] == part and (not sets or row["set"] in sets):
                name = Path(row["file"]).name
                label = data / row["set"] / "masks" / f"{Path(name).stem}.png"
                photo = read_photo(data / row["set"] / "images" / name)
                yield Shot(row["set"], Path(name).stem, photo, read_mask(label) if label.exists() else None)


def draw(photo: NDArray[np.uint8], outline: Mask, crack: Mask, label: Mask | None, path: Path) -> None:
    """Write the photo beside the outline (yellow), the crack mask (red) and the label (green)."""
    panels = [photo]
    for mask, colour in ((outline, (255, 220, 0)), (crack, (255, 0, 0)), (label, (0, 220, 0))):
        panel = photo.copy()
        if mask is not None:
            panel[mask & (dilate(~mask, 1) if mask is outline else True)] = colour
        panels.append(panel)
    picture = Image.fromarray(np.concatenate(panels, axis=1))
    picture.thumbnail((2400, 2400))
    picture.save(path)


def pruned_skeleton(outline: Mask) -> Mask:
    """Return the skeleton of an outline without branches that are shorter than the outline is wide."""
    skeleton, length = skeletonise(outline), round(mean_width(outline))
    pruned = skeleton.copy()
    for _ in range(length):
        pruned &= count_neighbours(pruned) > 1
    tips = pruned & (count_neighbours(pruned) <= 1)
    for _ in range(length):  # the ends of what is left grow back
        tips = dilate(tips, 1) & skeleton | tips
    return pruned | tips


class Tally:
    """The scores of one set: a row for each photo with a label and an outline, and counts of false alarms."""

    def __init__(self) -> None:
        self.scores: list[list[LineScore]] = []
        self.missed, self.empty, self.alarms, self.with_line = 0, 0, 0, 0
        self.segmenting, self.searching = 0.0, 0.0

    def add(self, masks: tuple[Mask, ...], label: Mask | None) -> None:
        """Score the masks of one photo."""
        if label is not None and label.any():
            if masks[0].any():
                self.scores.append([LineScore.of(mask, label) for mask in masks])
            else:
                self.missed += 1
            return
        self.empty += 1
        alarm = masks[0].mean() > FALSE_ALARM_SHARE
        self.alarms += bool(alarm)
        self.with_line += bool(alarm and masks[-1].any())

    def rows(self, name: str) -> Iterator[str]:
        """Yield lines of a Markdown table."""
        seconds = f"{self.segmenting:.1f} + {self.searching:.1f}"
        if self.empty:
            alarms = f"{self.alarms} false alarms, {self.with_line} of them with a line"
            yield f"| {name} | {self.empty} without a crack | {alarms} | | | {seconds} |"
        for number, mask in enumerate(NAMES if self.scores else ()):
            scores = [row[number] for row in self.scores]
            keys = ("recall", "precision", "f1")
            recall, precision, f1 = (float(np.mean([getattr(one, key) for one in scores])) for key in keys)
            ratios = [score.width_ratio for score in scores if np.isfinite(score.width_ratio)]
            ratio = f"{np.median(ratios):.2f}" if mask != NAMES[1] and ratios else "–"
            count = f"{len(scores)} (+ {self.missed} without a mask)" if self.missed else f"{len(scores)}"
            figures = f"{f1:.3f} ({recall:.3f}, {precision:.3f}) | {ratio}"
            yield f"| {name} | {count} | {mask} | {figures} | {seconds} |"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/elsewhere"))
    parser.add_argument("--part", default="dev")
    parser.add_argument("--rendered", type=int, help="number of rendered walls, instead of the photos")
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--model")
    parser.add_argument("--overlays", type=Path)
    chosen = parser.parse_args()
    segmenter, everything = load(chosen.model), Tally()
    tallies: dict[str, Tally] = {}
    shots = rendered_walls(chosen.rendered) if chosen.rendered else photos_of(
        chosen.data, chosen.part, chosen.sets
    )  # fmt: skip
    for shot in shots:
        start = time.process_time()
        prediction = segmenter.segment(shot.photo, "segment crack", options=SegmentOptions(mask="outline"))[0]
        middle = time.process_time()
        outline = prediction.mask
        crack = find_lines(shot.photo, outline, prediction.probability).mask
        end, pruned = time.process_time(), pruned_skeleton(outline)
        for tally in (tallies.setdefault(shot.group, Tally()), everything):
            tally.segmenting += middle - start
            tally.searching += end - middle
            tally.add((outline, pruned, crack), shot.label)
        if chosen.overlays:
            chosen.overlays.mkdir(parents=True, exist_ok=True)
            path = chosen.overlays / f"{shot.group}-{shot.name}.jpg"
            draw(shot.photo, outline, crack, shot.label, path)
    if chosen.rendered:
        tallies["rendered"] = everything
    shown = "Rendered walls" if chosen.rendered else f"Part {chosen.part}"
    print(f"{shown}, {date.today()}, {describe_machine()}\n")
    print(
        "| set | photos | mask | line F1 (recall, precision) | width ratio, median | CPU s: model + lines |"
    )
    print("|---|---|---|---|---|---|")
    for name, tally in tallies.items():
        print("\n".join(tally.rows(name)))


if __name__ == "__main__":
    main()
