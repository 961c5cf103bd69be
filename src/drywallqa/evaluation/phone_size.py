"""Measure a bundle at phone resolution (2 to 16 megapixels): false alarms and found cracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.mosaics import SIDE, mosaic, one_per_source_photo
from drywallqa.errors import ConfigError
from drywallqa.evaluation.measured_model import without_rendered
from drywallqa.evaluation.phone_wall_accuracy import (
    LARGE_WALLS,
    Figures,
    Marks,
    Ratios,
    Report,
    Size,
    add_alarm,
    add_pixels,
    clean_walls,
    cracked_walls,
    large_walls,
)
from drywallqa.evaluation.release_tests import MaskSource, Photo
from drywallqa.inference.segmenter import Segmenter
from drywallqa.intervals import Figure
from drywallqa.metrics import Counts
from drywallqa.synthetic.camera import Camera, develop_photo
from drywallqa.synthetic.walls import CRACK, TAPING_AREA

WALLS, BOARDS, CRACKS, MOSAICS, LARGE = "walls", "boards", "cracks", "mosaics", LARGE_WALLS
SECTIONS = (WALLS, BOARDS, CRACKS, MOSAICS, LARGE)  # in the order of measurement
TITLES = {
    WALLS: "rendered walls of 8 to 16 megapixels without a crack",
    BOARDS: "photos of boards without a crack, enlarged and asked for cracks",
    CRACKS: "share of the length of rendered cracks that is found, within half their width + 3 px at 640",
    MOSAICS: "crack photos side by side, 1920×1920 px",
    LARGE: "photographs of walls at the camera's own size; lines within 3 px at 640",
}
_WALLS, _MOST = 200, {BOARDS: 60, CRACKS: 60, MOSAICS: 30}
# Split → first part of the seed of rendered walls, and name of the split of external photos.
_SPLITS = {"val": (7_000_000, "dev"), "test": (8_000_000, "final")}

ENLARGED = (2000, 4032)  # longer sides, in px, to which photos of boards are enlarged
CELLS = 3  # photos in each row and each column of a mosaic


def measure_phone_size(
    segmenter: Segmenter,
    dataset: Dataset,
    split: str = "test",
    sections: Sequence[str] = (),
    *,
    count: int | None = None,
    elsewhere: Path | None = None,
    size: Size = None,
    report: Report = print,
) -> dict[str, Figures]:
    """Measure a segmenter with its default settings. Only one large photo is in memory at a time.

    Args:
        segmenter: The segmenter. The bundle of the segmenter must have the concept "crack".
        dataset: A data set with splits that contain photos of cracks and boards.
        split: "val" or "test". Walls are rendered with different seeds for the two splits.
        sections: Some of `SECTIONS`; by default all sections that can be measured.
        count: Number of rendered walls without a crack (default 200). If this value is smaller than the
            number of boards (60), mosaics (30) or cracks per width (60), it also replaces that number.
        elsewhere: Folder of external photos, for the section "large-walls".
        size: Height and width of rendered walls in px; by default the size of a phone photo.
        report: Called with a description of each step.

    Returns:
        Section → metric → value with its interval.

    Raises:
        ConfigError: The split or a section is unknown, the model lacks the concept "crack", or "large-walls"
            is requested without a folder.
        DataError: The list of external photos or a mask is missing or invalid.
        PhotoError: A photo cannot be read.
    """
    bundle = segmenter.bundle
    if split not in _SPLITS:
        raise ConfigError(f"the phone-size suite cannot use the split '{split}'; choose val or test")
    if unknown := [name for name in sections if name not in SECTIONS]:
        raise ConfigError(f"unknown section '{unknown[0]}'; choose from {', '.join(SECTIONS)}")
    if CRACK not in bundle.concepts:
        raise ConfigError(
            f"the bundle {bundle.name} has no concept '{CRACK}', which the phone-size suite needs"
        )
    if LARGE in sections and elsewhere is None:
        raise ConfigError(f"the section '{LARGE}' needs a folder of external photos; pass --elsewhere DIR")
    wanted = sections or [name for name in SECTIONS if name != LARGE or elsewhere is not None]
    (seed, external), part = _SPLITS[split], without_rendered(dataset.part(split))
    most = {name: min(count or usual, usual) for name, usual in _MOST.items()}
    marks = MaskSource(segmenter, {c: f"segment {c}" for c in bundle.concepts}).masks
    crack = MaskSource(segmenter, {CRACK: f"segment {CRACK}"}).masks
    measures: dict[str, Callable[[], Figures]] = {
        WALLS: lambda: clean_walls(marks, seed, count or _WALLS, report, size),
        BOARDS: lambda: enlarged_boards(crack, part, seed, most[BOARDS], report),
        CRACKS: lambda: cracked_walls(crack, seed, most[CRACKS], report, size),
        MOSAICS: lambda: crack_mosaics(crack, part, seed, most[MOSAICS], report),
        LARGE: lambda: large_walls(crack, elsewhere or Path(), external, report),
    }
    return {name: measures[name]() for name in SECTIONS if name in wanted}


def enlarged_boards(
    marks: Marks, part: Dataset, seed: int, most: int, report: Report, sides: Sequence[int] = ENLARGED
) -> Figures:
    """Enlarge photos of boards without a crack, and count the photos on which the model marks a crack.

    Photos are enlarged by bicubic interpolation to each length in `sides`. Photos are also enlarged to the
    last length by Lanczos interpolation, and then passed through a simulated phone camera. In the bootstrap,
    copies of one source photo stay together.

    Args:
        marks: The model.
        part: The photos. Only photos with a joint that are labelled as free of cracks are used.
        seed: First number of the seed of each simulated camera.
        most: Maximum number of photos. The first copy of each source photo is used before any second copy.
        report: Called with a description of each step.
        sides: Lengths of the longer side of the enlarged photos, in px.
    """
    boards = _in_turn(s for s in part if s.labels.get(TAPING_AREA) and s.labels.get(CRACK, "") is None)
    boards = boards[:most]
    ratios = Ratios()
    for number, sample in enumerate(boards):
        photo = part.read_photo(sample)
        for way, large in _enlargements(photo, sides, np.random.default_rng([seed, 3, number])):
            add_alarm(ratios, way, sample.photograph, marks(large)[CRACK])
        report(f"enlarged boards: {number + 1} of {len(boards)}")
    return ratios.figures()


def _in_turn(samples: Iterable[Sample]) -> list[Sample]:
    """Return the first copy of every source photo, then every second copy, and so on."""
    copies: Counter[str] = Counter()
    turns: list[tuple[int, Sample]] = []
    for sample in samples:
        copies[sample.photograph] += 1
        turns.append((copies[sample.photograph], sample))
    return [sample for _, sample in sorted(turns, key=lambda turn: turn[0])]


def _enlargements(
    photo: Photo, sides: Sequence[int], generator: np.random.Generator
) -> Iterator[tuple[str, Photo]]:
    def enlarged(side: int, way: Image.Resampling) -> Photo:
        factor = side / max(photo.shape[:2])
        size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
        return np.asarray(Image.fromarray(photo).resize(size, way))

    for side in sides:
        yield f"{side} px, bicubic", enlarged(side, Image.Resampling.BICUBIC)
    large = enlarged(sides[-1], Image.Resampling.LANCZOS)
    lit = np.ascontiguousarray(large.transpose(2, 0, 1), np.float32) / np.float32(255)
    developed = develop_photo(lit, Camera.draw(generator), generator)
    yield f"{sides[-1]} px, Lanczos and a phone's camera", developed


def crack_mosaics(marks: Marks, part: Dataset, seed: int, most: int, report: Report) -> Figures:
    """Measure pixel recall and precision on mosaics of nine crack photos. Each source photo is used once.

    Args:
        marks: The model.
        part: The photos. Only photos of 640×640 px with a crack are used.
        seed: Seed for the random selection of the photos in each mosaic.
        most: Maximum number of mosaics.
        report: Called with a description of each step.
    """
    cracks = [s for s in one_per_source_photo(part, CRACK) if (s.height, s.width) == (SIDE, SIDE)]
    order = np.random.default_rng([seed, 4]).permutation(len(cracks))
    each, ratios = CELLS * CELLS, Ratios()
    count = min(most, len(cracks) // each)
    for number in range(count):
        chosen = [cracks[place] for place in order[number * each : (number + 1) * each]]
        photo, truth = mosaic(part, chosen, CRACK, CELLS)
        add_pixels(ratios, f"mosaic {number}", Counts.of(marks(photo)[CRACK], truth))
        report(f"mosaics: {number + 1} of {count}")
    return ratios.figures()


def phone_size_lines(sections: Mapping[str, Figures]) -> list[str]:
    """Format the metrics as lines of text."""
    lines = []
    for section, figures in sections.items():
        lines.append(f"{TITLES[section]}:")
        rows = [f"  {name}: {share_text(figure)}" for name, figure in figures.items()]
        lines += rows or ["  nothing to measure in this split"]
    return lines


def share_text(figure: Figure) -> str:
    """Format a share with its interval, the number of pairs and the number of source photos."""
    interval = f"95 % interval {figure.low:.1%}–{figure.high:.1%}"
    return f"{figure.value:.1%} ({interval}; {figure.pairs} in {figure.photographs} photographs)"
