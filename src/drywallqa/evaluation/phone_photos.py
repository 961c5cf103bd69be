"""Photographs at a phone's size: boards enlarged, cracks in mosaics, and walls photographed large."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.mosaics import SIDE, mosaic, one_a_photograph
from drywallqa.errors import DataError
from drywallqa.evaluation.phone_wall_accuracy import Figures, Marks, Mask, Photo, Report, add_alarm
from drywallqa.evaluation.ratios import Ratios
from drywallqa.imaging import mask_files, photos
from drywallqa.imaging.morphology import dilate, skeletonise
from drywallqa.metrics import TOLERANCE, Counts
from drywallqa.synthetic.camera import Camera, develop_photo
from drywallqa.synthetic.walls import CRACK, TAPING_AREA

ENLARGED = (2000, 4032)
"""Longer sides in px to which boards are enlarged."""
CELLS = 3
"""Photos in a row and in a column of a mosaic."""
LARGE_WALLS = "large-walls"
_LEAST_TOLERANCE = 1.5  # px


def enlarged_boards(
    marks: Marks, part: Dataset, seed: int, most: int, report: Report, sides: Sequence[int] = ENLARGED
) -> Figures:
    """Enlarge photos of boards without a crack and count those on which cracks are marked.

    Three ways: to each side by bicubic interpolation, and to the last by Lanczos' with a phone's camera after
    it. Copies of one photograph are resampled together.

    Args:
        marks: The model.
        part: The photos; those that show a joint and are known to show no crack are taken.
        seed: First part of every camera's seed.
        most: Photos at most, one of every photograph before the second of any.
        report: Told how far it is.
        sides: Longer sides in px.
    """
    boards = [s for s in part if s.labels.get(TAPING_AREA) and s.labels.get(CRACK, "") is None]
    boards = _in_turn(boards)[:most]
    ratios = Ratios()
    for number, sample in enumerate(boards):
        photo = part.read_photo(sample)
        for way, large in _enlargements(photo, sides, np.random.default_rng([seed, 3, number])):
            add_alarm(ratios, way, sample.photograph, marks(large)[CRACK])
        report(f"enlarged boards: {number + 1} of {len(boards)}")
    return ratios.figures()


def _in_turn(samples: Sequence[Sample]) -> list[Sample]:
    """The first copy of every photograph, then the second of those that have one, and so on."""
    copies: dict[tuple[str, str], int] = {}
    turns = []
    for sample in samples:
        key = (sample.set_name, sample.source_photo)
        copies[key] = copies.get(key, 0) + 1
        turns.append(copies[key])
    return [samples[place] for place in np.argsort(turns, kind="stable")]


def _enlargements(
    photo: Photo, sides: Sequence[int], generator: np.random.Generator
) -> Iterator[tuple[str, Photo]]:
    for side in sides:
        yield f"{side} px, bicubic", _resized(photo, side, Image.Resampling.BICUBIC)
    large = _resized(photo, sides[-1], Image.Resampling.LANCZOS)
    lit = np.ascontiguousarray(large.transpose(2, 0, 1), np.float32) / np.float32(255)
    yield (
        f"{sides[-1]} px, Lanczos and a phone's camera",
        develop_photo(lit, Camera.draw(generator), generator),
    )


def _resized(photo: Photo, side: int, way: Image.Resampling) -> Photo:
    factor = side / max(photo.shape[:2])
    size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
    return np.asarray(Image.fromarray(photo).resize(size, way))


def crack_mosaics(marks: Marks, part: Dataset, seed: int, most: int, report: Report) -> Figures:
    """Lay nine crack photos side by side, each photograph once; recall and precision of their pixels.

    Args:
        marks: The model.
        part: The photos; those of 640×640 px that show a crack are taken.
        seed: Decides which photos lie together.
        most: Mosaics at most.
        report: Told how far it is.
    """
    cracks = [s for s in one_a_photograph(part, CRACK) if (s.height, s.width) == (SIDE, SIDE)]
    order = np.random.default_rng([seed, 4]).permutation(len(cracks))
    each, ratios = CELLS * CELLS, Ratios()
    count = min(most, len(cracks) // each)
    for number in range(count):
        chosen = [cracks[place] for place in order[number * each : (number + 1) * each]]
        photo, truth = mosaic(part, chosen, CRACK, CELLS)
        _add_pixels(ratios, f"mosaic {number}", Counts.of(marks(photo)[CRACK], truth))
        report(f"mosaics: {number + 1} of {count}")
    return ratios.figures()


def _add_pixels(ratios: Ratios, cluster: str, counts: Counts) -> None:
    ratios.add("pixel recall", cluster, counts.tp, counts.tp + counts.fn)
    ratios.add("pixel precision", cluster, counts.tp, counts.tp + counts.fp)


def large_walls(marks: Marks, folder: Path, part: str, report: Report) -> Figures:
    """Measure lines and pixels of cracks on photographs of walls at the camera's own size.

    Line recall is the share of the truth's skeleton within 3 px at 640 (at least 1.5 px) of the mask's
    skeleton, line precision the share of the mask's within that of the truth's; both pooled over photos.

    Args:
        marks: The model.
        folder: Holds `split.csv` (set, file, part) and `large-walls/images/*.jpg` and `masks/*.png`.
        part: Which photos.
        report: Told how far it is.

    Raises:
        DataError: The list or a mask is missing or does not fit.
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
                f"{path}: the mask is {truth.shape[1]}×{truth.shape[0]} px but its photo "
                f"{photo.shape[1]}×{photo.shape[0]}; give it the photo's size"
            )
        mask = marks(photo)[CRACK]
        _add_lines(ratios, name, mask, truth)
        _add_pixels(ratios, name, Counts.of(mask, truth))
        report(f"large walls: {number + 1} of {len(names)}")
    return ratios.figures()


def _listed(path: Path, part: str) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [row["file"] for row in rows if row["set"] == LARGE_WALLS and row["part"] == part]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DataError(f"{path}: no list of photos with set, file and part ({error!r})") from error
    if not names:
        raise DataError(f"{path}: lists no photo of the set {LARGE_WALLS} in the part '{part}'")
    return names


def _add_lines(ratios: Ratios, name: str, mask: Mask, truth: Mask) -> None:
    radius = round(max(_LEAST_TOLERANCE, TOLERANCE * max(mask.shape) / 640))
    found, ideal = skeletonise(mask), skeletonise(truth)
    ratios.add("line recall", name, int((ideal & dilate(found, radius)).sum()), int(ideal.sum()))
    ratios.add("line precision", name, int((found & dilate(ideal, radius)).sum()), int(found.sum()))
