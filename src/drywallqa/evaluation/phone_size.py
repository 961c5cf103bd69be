"""Figures of a bundle on photos of a phone's size: false alarms and found cracks at 2 to 16 megapixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError
from drywallqa.evaluation.phone_photos import crack_mosaics, enlarged_boards, large_walls
from drywallqa.evaluation.phone_wall_accuracy import (
    Figures,
    Marks,
    Mask,
    Photo,
    Report,
    Size,
    clean_walls,
    cracked_walls,
)
from drywallqa.inference.segmenter import Segmenter
from drywallqa.intervals import Figure
from drywallqa.synthetic.walls import CRACK

WALLS, BOARDS, CRACKS, MOSAICS, LARGE = "walls", "boards", "cracks", "mosaics", "large-walls"
SECTIONS = (WALLS, BOARDS, CRACKS, MOSAICS, LARGE)
"""The parts of the measurement, in their order."""
TITLES = {
    WALLS: "rendered walls of 8 to 16 megapixels without a crack",
    BOARDS: "photos of boards without a crack, enlarged and asked for cracks",
    CRACKS: "share of the length of rendered cracks that is found, within half their width + 3 px at 640",
    MOSAICS: "crack photos side by side, 1920×1920 px",
    LARGE: "photographs of walls at the camera's own size; lines within 3 px at 640",
}
_SEEDS = {"val": 7_000_000, "test": 8_000_000}
_PARTS = {"val": "dev", "test": "final"}  # of photographs from elsewhere


@dataclass(frozen=True)
class PhoneSizePlan:
    """How much is measured.

    Attributes:
        sections: Which of `SECTIONS`.
        walls: Rendered walls without a crack.
        cracks: Rendered cracks of each width.
        boards: Photos of boards at most, each enlarged in three ways.
        mosaics: Mosaics at most.
        size: Height and width of rendered walls in px; a phone's by default.
    """

    sections: Sequence[str] = SECTIONS
    walls: int = 200
    cracks: int = 60
    boards: int = 60
    mosaics: int = 30
    size: Size = None

    @classmethod
    def of(cls, count: int) -> PhoneSizePlan:
        """So many walls, and of everything else at most as many."""
        return cls(SECTIONS, count, min(count, cls.cracks), min(count, cls.boards), min(count, cls.mosaics))


@dataclass(frozen=True)
class PhoneSize:
    """Figures of one bundle on photos of a phone's size.

    Attributes:
        bundle: Its name and version.
        split: Which part was measured.
        sections: Section → figure's name → figure.
    """

    bundle: str
    split: str
    sections: Mapping[str, Mapping[str, Figure]]

    def to_json(self) -> dict[str, Any]:
        """Describe as plain data."""
        told = {
            section: {name: figure.to_json() for name, figure in figures.items()}
            for section, figures in self.sections.items()
        }
        return {"bundle": self.bundle, "split": self.split, "sections": told}


def measure_phone_size(
    segmenter: Segmenter,
    dataset: Dataset,
    split: str = "test",
    *,
    elsewhere: Path | None = None,
    plan: PhoneSizePlan | None = None,
    report: Report = print,
) -> PhoneSize:
    """Measure a segmenter at its default settings; one large photo is held at a time.

    Args:
        segmenter: The segmenter; its bundle knows the concept "crack".
        dataset: Split, with photos of cracks and of boards.
        split: "val" or "test"; rendered walls have other seeds in either.
        elsewhere: Folder of photographs from elsewhere, for the section "large-walls".
        plan: What to measure, and how much of it.
        report: Told each step.

    Raises:
        ConfigError: The split or a section is unknown, the model knows no cracks, or "large-walls" is asked
            for without a folder.
        DataError: Photos from elsewhere are not as they should be.
        PhotoError: A photo cannot be read.
    """
    plan = plan or PhoneSizePlan()
    _check(segmenter, split, plan, elsewhere)
    seed, part = _SEEDS[split], dataset.part(split)
    part = part.with_samples(s for s in part if not s.rendered)
    marks, crack = marker_of(segmenter), marker_of(segmenter, (CRACK,))
    measures: dict[str, Callable[[], Figures]] = {
        WALLS: lambda: clean_walls(marks, seed, plan.walls, report, plan.size),
        BOARDS: lambda: enlarged_boards(crack, part, seed, plan.boards, report),
        CRACKS: lambda: cracked_walls(crack, seed, plan.cracks, report, plan.size),
        MOSAICS: lambda: crack_mosaics(crack, part, seed, plan.mosaics, report),
        LARGE: lambda: large_walls(crack, elsewhere or Path(), _PARTS[split], report),
    }
    found = {name: measures[name]() for name in SECTIONS if name in plan.sections}
    bundle = segmenter.bundle
    return PhoneSize(f"{bundle.name} {bundle.version}", split, found)


def marker_of(segmenter: Segmenter, concepts: Sequence[str] = ()) -> Marks:
    """Return a function that marks photos under "segment CONCEPT", by default for every concept."""
    asked = {f"segment {concept}": concept for concept in concepts or segmenter.bundle.concepts}
    questions = segmenter.ask(list(asked))

    def marks(photo: Photo) -> dict[str, Mask]:
        answers = segmenter.answer(photo, questions, keep_probability=False)
        return {asked[answer.prompt]: answer.mask for answer in answers}

    return marks


def _check(segmenter: Segmenter, split: str, plan: PhoneSizePlan, elsewhere: Path | None) -> None:
    if split not in _SEEDS:
        raise ConfigError(f"'{split}' is no part to measure phone size on; choose val or test")
    for name in plan.sections:
        if name not in SECTIONS:
            raise ConfigError(f"'{name}' is no section; choose among {', '.join(SECTIONS)}")
    if CRACK not in segmenter.bundle.concepts:
        raise ConfigError(
            f"the bundle {segmenter.bundle.name} does not know cracks, which phone size is about"
        )
    if LARGE in plan.sections and elsewhere is None:
        raise ConfigError(f"the section '{LARGE}' needs the folder of photographs from elsewhere; name it")


def phone_size_lines(measured: PhoneSize) -> list[str]:
    """Describe the figures as text, a line a figure."""
    told = []
    for section, figures in measured.sections.items():
        told.append(f"{TITLES[section]}:")
        told += [f"  {name}: {share_text(figure)}" for name, figure in figures.items()]
        if not figures:
            told.append("  nothing to measure in this part")
    return told


def share_text(figure: Figure) -> str:
    """Write a share with its interval, and what is behind it."""
    interval = f"95 % interval {figure.low:.1%}–{figure.high:.1%}"
    return f"{figure.value:.1%} ({interval}; {figure.pairs} in {figure.photographs} photographs)"
