"""Compare widths that a person read off crack gauges with the widths that the package measures there.

    python tools/measure_gauges.py [--data ../shared/data/elsewhere/large-walls] [--outline model|label]

`benchmarks/crack_gauges.csv` has one row for each place. `width_px` and `width_mm` were read by eye off the
photo, with the scale from the gauge's own ruler or from the holes of its plate. `written_mm` is a width that
an engineer wrote on the wall beside a mark across the crack. The outline is the model's crack mask, or the
set's label dilated to three times its width.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drywallqa import load
from drywallqa.imaging.line_search import CrackLine, find_lines
from drywallqa.imaging.morphology import dilate, mean_width
from drywallqa.imaging.photos import open_picture, read_photo

GAUGES = Path(__file__).parent.parent / "benchmarks" / "crack_gauges.csv"
NEAR = 15.0  # px between the place of a reading and the line
AROUND = 4  # points of the line on each side of the place that enter the width
EYE_SIGMA = 0.5  # px, of a width that was read by eye


def outline_of(path: Path, photo: NDArray[np.uint8], kind: str) -> NDArray[np.bool_]:
    """Return the outline of the photo's cracks, bool [H,W]."""
    if kind == "model":
        return load().segment(photo, "segment crack")[0].outline
    with open_picture(path.parents[1] / "masks" / f"{path.stem}.png") as picture:
        label = np.asarray(picture.convert("L")) > 127
    return dilate(label, max(1, round(mean_width(label))))


def width_at(lines: tuple[CrackLine, ...], place: NDArray[np.float64]) -> float | None:
    """Return the median width in px near a place, or None if no line passes near it."""
    near = [(float(np.hypot(*(line.points - place).T).min()), line) for line in lines]
    distance, line = min(near, key=lambda pair: pair[0], default=(np.inf, None))
    if line is None or distance > NEAR:
        return None
    nearest = int(np.hypot(*(line.points - place).T).argmin())
    return float(np.median((line.left + line.right)[max(0, nearest - AROUND) : nearest + AROUND + 1]))


def main() -> None:
    """Print one line for each reading, and a summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/elsewhere/large-walls"))
    parser.add_argument("--outline", choices=("model", "label"), default="model")
    parser.add_argument("--gauges", type=Path, default=GAUGES)
    chosen = parser.parse_args()
    with chosen.gauges.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    print(f"{'photo':20} {'place':>12} {'by eye':>16} {'measured':>16} {'written':>8}")
    differences, found = [], {}
    for row in rows:
        path = chosen.data / "images" / row["photo"]
        if path not in found:
            photo = read_photo(path)
            found[path] = find_lines(photo, outline_of(path, photo, chosen.outline)).lines
        width = width_at(found[path], np.array([float(row["x"]), float(row["y"])]))
        scale = float(row["mm_per_pixel"] or "nan")
        measured = "no line" if width is None else f"{width:.1f} px {width * scale:.2f} mm"
        eye = f"{row['width_px']} px {row['width_mm'] or 'nan'} mm"
        print(
            f"{row['photo']:20} {row['x']:>6},{row['y']:>5} {eye:>16} {measured:>16} {row['written_mm']:>8}"
        )
        if width is not None:
            differences.append(width - float(row["width_px"]))
    if differences:
        print(
            f"{len(differences)} of {len(rows)} places measured: mean difference "
            f"{np.mean(differences):+.2f} px, mean absolute difference {np.mean(np.abs(differences)):.2f} px "
            f"(the eye is uncertain by {EYE_SIGMA} px)"
        )


if __name__ == "__main__":
    main()
