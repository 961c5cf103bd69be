"""Measure `drywallqa compare` on rendered pairs of photos with cracks of known growth.

    python tools/measure_compare.py [--pairs 100] [--first 0] [--model] [--json FILE] [--pictures DIR]

Each pair shows one wall at two visits. The second photo is shifted, zoomed by up to 20 % and tilted by up to
20°. It has another light, blur, noise and compression. Half of the cracks have become wider by 1 px of the
first photo. Without --model, the outlines are the true masks made three times too wide. With --model, the
outlines are those of the model.

It also tries to align photos of different walls of one surface, which must fail.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from drywallqa import load
from drywallqa.inference.queries import SegmentOptions
from drywallqa.inspection.alignment import align
from drywallqa.inspection.alignment_features import find_features
from drywallqa.inspection.finding_overlap import LinePath, overlap_length, path_of
from drywallqa.inspection.finding_search import search_findings
from drywallqa.inspection.ledger import Finding, Ledger, PhotoRecord, Place, Visit
from drywallqa.inspection.observing import PhotoView, observe
from drywallqa.inspection.scale import project
from drywallqa.inspection.second_look import visible_points
from drywallqa.inspection.visit_changes import VisitPair, find_changes
from drywallqa.inspection.visit_ledger import joined_ledger, seen_in_visit
from drywallqa.inspection.visits import PhotoPair, match_findings
from drywallqa.synthetic.camera import light
from drywallqa.synthetic.canvas import Stroke, blurred, coverage
from drywallqa.synthetic.cracks import midpoint_displacement
from drywallqa.synthetic.objects import OBJECTS, draw_objects
from drywallqa.synthetic.surfaces import BOARDS, WALLS, surface
from drywallqa.visualization.comparison_pictures import write_comparison_picture

WALL, PHOTO = (1140, 1520), (720, 960)  # height, width
SCALE = 0.75  # px of the first photo per px of the wall
GROWTH = 1.0  # px of the first photo
TOLERANCE = 6.0  # px within which a finding lies on a true crack
SURFACES = BOARDS + WALLS


@dataclass
class TrueCrack:
    """A crack: its path in px of the wall, its widths and its growth in px of the first photo."""

    path: np.ndarray
    widths: np.ndarray
    growth: float


@dataclass
class Shot:
    """A photo, the homography from the wall to it, and its exact crack mask."""

    pixels: np.ndarray
    homography: np.ndarray
    mask: np.ndarray


def make_cracks(generator: np.random.Generator) -> list[TrueCrack]:
    """Place two to four cracks, one in each quarter of the wall's middle."""
    cracks = []
    for quarter in generator.permutation(4)[: int(generator.integers(2, 5))]:
        corner = (np.array([quarter % 2, quarter // 2]) * 0.37 + 0.13) * WALL[::-1]
        for _ in range(100):
            start, end = corner + generator.random((2, 2)) * 0.36 * np.array(WALL[::-1])
            if np.hypot(*(end - start)) > 270:
                break
        path = midpoint_displacement(start, end, [0.09] * 3 + [0.05] * 3, generator)
        place = np.linspace(0, 1, len(path) - 1)
        shape = 1 + 0.2 * np.sin(2 * np.pi * (place * generator.uniform(1, 4) + generator.random()))
        width = float(np.exp(generator.uniform(np.log(1.8), np.log(10.0))))
        cracks.append(TrueCrack(path, width * shape, GROWTH * float(generator.random() < 0.5)))
    return cracks


def take(seed: int, visit: int, name: str, cracks: list[TrueCrack], homography: np.ndarray) -> Shot:
    """Render the wall at a visit, and photograph it."""
    wall = np.random.default_rng([seed, 0])
    canvas = surface(name, WALL, wall)
    draw_objects(canvas, ["nails"] if seed % 2 else [], OBJECTS)
    strokes = [Stroke(one.path, (one.widths + one.growth * visit) / SCALE) for one in cracks]
    cover = coverage(strokes, WALL, oversampling=4)
    canvas.blend(cover * np.float32(wall.uniform(0.5, 0.9)), np.array([0.1, 0.09, 0.08]))
    canvas.height -= blurred(cover, 1.5)
    canvas.generator = np.random.default_rng([seed, 1 + visit])
    lit = np.ascontiguousarray(light(canvas).transpose(1, 2, 0))
    shrink = min(1.0, float(np.sqrt(abs(np.linalg.det(homography[:2, :2])))))
    lit = cv2.GaussianBlur(lit, (0, 0), 0.5 * np.sqrt(1 / shrink**2 - 1) + 1e-3)
    seen = cv2.warpPerspective(
        lit, homography, PHOTO[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return Shot(
        develop(seen, canvas.generator), homography, cv2.warpPerspective(cover, homography, PHOTO[::-1]) > 0.5
    )


def develop(seen: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add lens blur, noise and JPEG compression to a brightness [H,W,3]."""
    blurry = cv2.GaussianBlur(seen, (0, 0), generator.uniform(0.5, 1.2))
    noisy = blurry * 255 + generator.normal(0, generator.uniform(1, 5), blurry.shape[:2])[..., None]
    photo = np.clip(noisy, 0, 255).astype(np.uint8)[..., ::-1]
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(70, 97))]
    return np.ascontiguousarray(
        cv2.imdecode(cv2.imencode(".jpg", photo, quality)[1], cv2.IMREAD_COLOR)[..., ::-1]
    )


def camera(generator: np.random.Generator, zoom: float, tilt: float, shift: float, roll: float) -> np.ndarray:
    """Return the homography [3,3] from the wall to a photo of a tilted camera."""
    focal, direction = 1.1 * max(PHOTO), generator.uniform(0, 2 * np.pi)
    axis = np.deg2rad(tilt) * np.array([np.cos(direction), np.sin(direction), 0])
    turn = cv2.Rodrigues(axis)[0] @ cv2.Rodrigues(np.array([0, 0, np.deg2rad(roll)]))[0]
    centre = np.array([WALL[1], WALL[0]]) * (0.5 + shift * generator.uniform(-1, 1, 2))
    distance = np.array([0, 0, focal / (SCALE * zoom)])
    plane = np.column_stack([turn[:, 0], turn[:, 1], distance - turn[:, :2] @ centre])
    return np.array([[focal, 0, PHOTO[1] / 2], [0, focal, PHOTO[0] / 2], [0, 0, 1]]) @ plane


def take_pair(seed: int) -> tuple[str, list[TrueCrack], Shot, Shot]:
    """Render one wall at two visits."""
    generator = np.random.default_rng([seed, 9])
    name, cracks = SURFACES[seed % len(SURFACES)], make_cracks(generator)
    first = camera(generator, 1.0, generator.uniform(0, 5), 0.02, generator.uniform(-3, 3))
    second = camera(
        generator, generator.uniform(0.8, 1.2), generator.uniform(0, 20), 0.08, generator.uniform(-8, 8)
    )
    return name, cracks, take(seed, 0, name, cracks, first), take(seed, 1, name, cracks, second)


def ledger_of(shot: Shot, path: str, segmenter) -> Ledger:
    """Inspect one photo."""
    outline, probability = outline_of(shot, segmenter)
    found = search_findings(shot.pixels, outline, probability, "crack", joints=False).found
    view = PhotoView(1, path, "", max(PHOTO))
    findings = tuple(
        Finding(number, "wall", "crack", (observe(one, view),)) for number, one in enumerate(found, 1)
    )
    record = PhotoRecord(path, "wall", "0" * 64, PHOTO[1], PHOTO[0])
    visit = Visit(1, "2026-11-30", photos=(record,))
    return Ledger("wall", len(findings) + 1, (Place("wall"),), (visit,), findings)


def outline_of(shot: Shot, segmenter) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the model's outline and probability, or the true mask made three times too wide."""
    if segmenter is not None:
        (answer,) = segmenter.segment(shot.pixels, "segment crack", options=SegmentOptions(mask="outline"))
        return answer.mask, answer.probability
    distance = cv2.distanceTransform(shot.mask.astype(np.uint8), cv2.DIST_L2, 5)
    outline = np.zeros(PHOTO, np.uint8)
    ridge = shot.mask & (distance >= cv2.dilate(distance, np.ones((3, 3))) - 1e-3)
    for y, x in zip(*np.nonzero(ridge), strict=True):
        cv2.circle(outline, (int(x), int(y)), max(3, round(3 * distance[y, x])), 1, -1)
    return outline > 0, None


def crack_of(observations, cracks: list[TrueCrack], shot: Shot) -> int | None:
    """Return the index of the true crack on which a finding lies."""
    path = path_of(tuple(observations))
    lengths = []
    for one in cracks:
        points = project(shot.homography, one.path)
        dense = np.concatenate([np.linspace(a, b, 4)[:-1] for a, b in pairwise(points)])
        step = float(np.hypot(*np.diff(dense, axis=0).T).mean())
        lengths.append(overlap_length(path, LinePath(dense, np.full(len(dense), np.nan), step), TOLERANCE))
    return int(np.argmax(lengths)) if max(lengths) > 0 else None


def align_shots(shots: list[Shot], ledgers: list[Ledger]):
    """Align two photos by their texture and the lines of their findings."""
    features = []
    for shot, ledger in zip(shots, ledgers, strict=True):
        seen = [one for finding in ledger.findings for one in finding.observations]
        lines = [np.array(line.points) for one in seen for line in one.centre_lines]
        features.append(find_features(shot.pixels, lines))
    return align(*features)


def compare_pair(seed: int, segmenter, tally: Counter, pictures: Path | None) -> tuple[Shot, Ledger]:
    """Compare the two visits of one wall, and count the right and wrong results."""
    name, cracks, *shots = take_pair(seed)
    ledgers = [ledger_of(shot, path, segmenter) for shot, path in zip(shots, ("a.jpg", "b.jpg"), strict=True)]
    alignment = align_shots(shots, ledgers)
    records = [ledger.visits[0].photos[0] for ledger in ledgers]
    pairs = [] if alignment is None else [PhotoPair(*records, alignment)]
    matches = match_findings(seen_in_visit(ledgers[0], 1), seen_in_visit(ledgers[1], 1), pairs)
    joined = joined_ledger(*ledgers, matches, pairs)
    pixels = {"a.jpg": shots[0].pixels, "b.jpg": shots[1].pixels}

    def look(photo: str, path: LinePath, tolerance: float) -> np.ndarray:
        return visible_points(pixels[photo], path, tolerance)

    changes = find_changes(VisitPair(joined, 1, 2, pairs, look, look))
    tally["pairs"] += 1
    tally["pairs not aligned"] += alignment is None
    print(f"{seed} {name}{': not aligned' if alignment is None else ''}", flush=True)
    count_changes(tally, {one.number: one for one in changes}, joined, cracks, shots)
    if pictures is not None and pairs:
        photos = (shots[0].pixels, shots[1].pixels)
        print(write_comparison_picture(photos, pairs[0], joined, changes, pictures).path)
    return shots[0], ledgers[0]


def count_changes(
    tally: Counter, changes: dict, joined: Ledger, cracks: list[TrueCrack], shots: list[Shot]
) -> None:
    """Count the results for each finding on a true crack that both photos show."""
    on_crack = {}
    for finding in joined.findings:
        parts = [[one for one in finding.observations if one.visit == visit] for visit in (1, 2)]
        on_crack[finding.number] = [
            crack_of(part, cracks, shot) if part else None for part, shot in zip(parts, shots, strict=True)
        ]
    again = {crack for _, crack in on_crack.values() if crack is not None}
    for number, (crack, later) in on_crack.items():
        change = changes.get(number)
        if crack is None:
            tally[f"elsewhere {change.change}" if change else "elsewhere"] += later is None
            continue
        points = project(shots[1].homography, cracks[crack].path)
        if ((points > 0) & (points < PHOTO[::-1])).all(axis=1).mean() < 0.5:
            continue
        if crack not in again:
            tally["missed at the second visit"] += 1
            continue
        tally["findings"] += 1
        kept = later == crack or (change is None and later is None)
        tally["kept number"] += kept
        if change is not None and later == crack:
            count_growth(tally, change, cracks[crack].growth, number)
        else:
            print(f"   {number}: {change}", flush=True)


def count_growth(tally: Counter, change, growth: float, number: int) -> None:
    """Count found and false growth of one crack."""
    grown = change.change == "grown"
    tally["grown cracks" if growth else "unchanged cracks"] += 1
    tally["growth found" if growth else "false growth"] += grown
    if change.width is not None:
        tally["widths compared"] += 1
        tally["change inside interval"] += change.width.low <= growth <= change.width.high
        tally["sum of width errors"] += change.width.value - growth
        tally["sum of absolute width errors"] += abs(change.width.value - growth)
    if grown != bool(growth):
        print(f"   {number}: true growth {growth} px; {change.change}: {change.reason}", flush=True)


def main() -> None:
    """Measure, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first pair")
    parser.add_argument("--model", action="store_true", help="use the bundled model's outlines")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    segmenter = load() if options.model else None
    tally: Counter = Counter()
    earlier: dict[int, tuple[Shot, Ledger]] = {}
    for seed in range(options.first, options.first + options.pairs):
        earlier[seed] = compare_pair(seed, segmenter, tally, options.pictures)
        other = earlier.pop(seed - len(SURFACES), None)
        if other is not None:  # another wall with the same kind of surface
            shots, ledgers = zip(earlier[seed], other, strict=True)
            tally["pairs of different walls"] += 1
            tally["falsely aligned"] += align_shots(list(shots), list(ledgers)) is not None
    for name, number in sorted(tally.items()):
        print(f"{name}: {number:.6g}")
    if options.json:
        options.json.write_text(json.dumps(dict(sorted(tally.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
