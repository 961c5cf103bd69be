"""Measure a text side on lists of phrasings: how many reach their concept, how many others are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.text.phrase_bank import read_lines
from drywallqa.text.text_side import TextSide


@dataclass(frozen=True)
class Miss:
    """A phrasing that went wrong: what it means, and what was read."""

    phrasing: str
    meant: str | None
    read: str


@dataclass
class PhrasingResult:
    """Counts over all lists.

    Attributes:
        right: Phrasings of a concept that reached it.
        meaning: Phrasings of a concept.
        refused: Other phrasings that were refused.
        others: Other phrasings.
        confusion: (meant, read) with their counts; `None` is no concept.
        misses: What went wrong.
    """

    right: int = 0
    meaning: int = 0
    refused: int = 0
    others: int = 0
    confusion: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    misses: list[Miss] = field(default_factory=list)

    @property
    def right_rate(self) -> float:
        """Share of the concepts' phrasings that reached the right concept."""
        return self.right / max(self.meaning, 1)

    @property
    def refused_rate(self) -> float:
        """Share of the other phrasings that were refused."""
        return self.refused / max(self.others, 1)

    def describe(self) -> str:
        """The two rates, the confusion and the misses, as text."""
        lines = [
            f"right concept: {self.right} of {self.meaning} ({self.right_rate:.1%})",
            f"others refused: {self.refused} of {self.others} ({self.refused_rate:.1%})",
        ]
        ordered = sorted(self.confusion.items(), key=lambda item: (str(item[0][0]), -item[1]))
        lines += [f"  {meant or 'none of them'} read as {read}: {count}" for (meant, read), count in ordered]
        lines += [
            f'  missed: "{m.phrasing}" ({m.meant or "none of them"}) read as {m.read}' for m in self.misses
        ]
        return "\n".join(lines)


def read_lists(folder: Path, concepts: Sequence[str]) -> dict[str | None, list[str]]:
    """Read a folder of lists.

    `taping_area.txt` holds phrasings of "taping area", one a line; in a `.tsv` each line is what is meant, a
    tab, and the phrasing. What is no known concept ("unrelated", "near miss") means none of them.

    Raises:
        DataError: If the folder has no list, or a line of a `.tsv` has no tab.
    """
    paths = sorted([*folder.glob("*.txt"), *folder.glob("*.tsv")])
    if not paths:
        raise DataError(
            f"{folder}: no list of phrasings; give a folder of .txt files named by concept, or .tsv"
        )
    lists: dict[str | None, list[str]] = {}
    for path in paths:
        for line in read_lines(path):
            name, phrasing = path.stem.replace("_", " "), line
            if path.suffix == ".tsv":
                name, tab, phrasing = line.partition("\t")
                if not tab:
                    raise DataError(
                        f'{path}: "{line}" has no tab; write what is meant, a tab, and the phrasing'
                    )
            lists.setdefault(name if name in concepts else None, []).append(phrasing)
    return lists


def measure_phrasings(side: TextSide, lists: Mapping[str | None, Sequence[str]]) -> PhrasingResult:
    """Read every phrasing of every list; key `None` holds those that mean no concept."""
    result = PhrasingResult()
    for meant, phrasings in lists.items():
        for phrasing in phrasings:
            reading = side.read(phrasing)
            known = reading.concepts[0] if reading.kind == "known" else None
            result.confusion[meant, known or reading.kind] += 1
            result.meaning += meant is not None
            result.others += meant is None
            result.right += meant is not None and known == meant
            result.refused += meant is None and known is None
            if known != meant:
                result.misses.append(Miss(phrasing, meant, known or reading.kind))
    return result
