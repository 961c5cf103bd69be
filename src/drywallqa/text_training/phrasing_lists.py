"""Measure a text side on lists of phrasings: how many reach their concept, how many others are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.text.phrase_bank import read_lines
from drywallqa.text.text_side import TextSide


@dataclass
class PhrasingResult:
    """Counts over all lists.

    Attributes:
        right: Phrasings of a concept that reached it.
        meaning: Phrasings of a concept.
        refused: Other phrasings that were refused.
        others: Other phrasings.
        confusion: The count of each (true concept, reading); None is no concept.
        misses: A line about each phrasing that was read wrongly.
    """

    right: int = 0
    meaning: int = 0
    refused: int = 0
    others: int = 0
    confusion: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    @property
    def right_rate(self) -> float:
        """Share of the concepts' phrasings that reached the right concept."""
        return self.right / max(self.meaning, 1)

    @property
    def refused_rate(self) -> float:
        """Share of the other phrasings that were refused."""
        return self.refused / max(self.others, 1)

    def describe(self) -> str:
        """Return the two rates, the confusion and the misses as text."""
        lines = [
            f"right concept: {self.right} of {self.meaning} ({self.right_rate:.1%})",
            f"others refused: {self.refused} of {self.others} ({self.refused_rate:.1%})",
        ]
        ordered = sorted(self.confusion.items(), key=lambda item: (str(item[0][0]), -item[1]))
        lines += [f"  {truth or 'none of them'} read as {read}: {count}" for (truth, read), count in ordered]
        return "\n".join([*lines, *self.misses])


def read_lists(folder: Path, concepts: Sequence[str]) -> dict[str | None, list[str]]:
    """Read a folder of lists.

    `taping_area.txt` holds phrasings of "taping area", one per line. Each line of a `.tsv` holds a concept, a
    tab, and a phrasing. A name that is no known concept ("unrelated", "near miss") stands for None.

    Raises:
        DataError: The folder has no list, or a line of a `.tsv` has no tab.
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
    """Read every phrasing of every list; the key None holds those that mean no concept."""
    result = PhrasingResult()
    for truth, phrasings in lists.items():
        for phrasing in phrasings:
            concept = side.understand(phrasing)
            read = concept or side.read(phrasing).kind
            result.confusion[truth, read] += 1
            if concept != truth:
                result.misses.append(f'  missed: "{phrasing}" ({truth or "none of them"}) read as {read}')
            elif truth:
                result.right += 1
            else:
                result.refused += 1
        if truth:
            result.meaning += len(phrasings)
        else:
            result.others += len(phrasings)
    return result
