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
    """The readings of all phrasings.

    Attributes:
        confusion: The count of each (true concept, concept read, reading); None is no concept, and a reading
            without a concept has the name of its kind.
        misses: A line about each phrasing that was read wrongly.
    """

    confusion: Counter[tuple[str | None, str | None, str]] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def count(self, *, known: bool) -> tuple[int, int]:
        """Return how many phrasings of concepts (known) or of none were read rightly, of how many."""
        chosen = [(key, n) for key, n in self.confusion.items() if (key[0] is not None) == known]
        return sum(n for (truth, concept, _), n in chosen if concept == truth), sum(n for _, n in chosen)

    @property
    def right_rate(self) -> float:
        """Share of the concepts' phrasings that reached the right concept."""
        right, total = self.count(known=True)
        return right / max(total, 1)

    @property
    def refused_rate(self) -> float:
        """Share of the other phrasings that were refused."""
        refused, total = self.count(known=False)
        return refused / max(total, 1)

    def describe(self) -> str:
        """Return the two rates, the confusion and the misses as text."""
        (right, concepts), (refused, others) = self.count(known=True), self.count(known=False)
        ordered = sorted(self.confusion.items(), key=lambda item: (str(item[0][0]), -item[1]))
        lines = [
            f"right concept: {right} of {concepts} ({self.right_rate:.1%})",
            f"others refused: {refused} of {others} ({self.refused_rate:.1%})",
            *(f"  {truth or 'none of them'} read as {read}: {count}" for (truth, _, read), count in ordered),
            *self.misses,
        ]
        return "\n".join(lines)


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
                    raise DataError(f'{path}: "{line}" has no tab; write a concept, a tab, and the phrasing')
            lists.setdefault(name if name in concepts else None, []).append(phrasing)
    return lists


def measure_phrasings(side: TextSide, lists: Mapping[str | None, Sequence[str]]) -> PhrasingResult:
    """Read every phrasing of every list; the key None holds those that mean no concept."""
    result = PhrasingResult()
    for truth, phrasings in lists.items():
        for phrasing in phrasings:
            concept = side.understand(phrasing)
            read = concept or side.read(phrasing).kind
            result.confusion[truth, concept, read] += 1
            if concept != truth:
                result.misses.append(f'  missed: "{phrasing}" ({truth or "none of them"}) read as {read}')
    return result
