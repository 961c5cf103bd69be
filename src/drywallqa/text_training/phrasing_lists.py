"""Measure how many phrasings in given lists a text model classifies or rejects correctly."""

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
    """Classification results for all phrasings.

    Attributes:
        confusion: Number of phrasings for each combination of true concept, predicted concept and result. A
            missing concept is None. The result is the predicted concept or, if there is none, the
            `PromptReading.kind`.
        misses: One line of text about each wrongly classified phrasing.
    """

    confusion: Counter[tuple[str | None, str | None, str]] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def count(self, *, known: bool) -> tuple[int, int]:
        """Return the number of correctly classified phrasings and the total number of phrasings.

        Args:
            known: True to count phrasings that mean a concept, False to count the other phrasings.
        """
        chosen = [(key, n) for key, n in self.confusion.items() if (key[0] is not None) == known]
        return sum(n for (truth, concept, _), n in chosen if concept == truth), sum(n for _, n in chosen)

    def rate(self, *, known: bool) -> float:
        """Compute the share of correctly classified phrasings. `known` has the same meaning as in `count`."""
        right, total = self.count(known=known)
        return right / max(total, 1)

    def describe(self) -> str:
        """Format both rates, the counts and the wrongly classified phrasings as text."""
        (right, concepts), (refused, others) = self.count(known=True), self.count(known=False)
        ordered = sorted(self.confusion.items(), key=lambda item: (str(item[0][0]), -item[1]))
        lines = [
            f"correct concept: {right} of {concepts} ({self.rate(known=True):.1%})",
            f"other phrasings refused: {refused} of {others} ({self.rate(known=False):.1%})",
            *(f"  {truth or 'no concept'} read as {read}: {count}" for (truth, _, read), count in ordered),
            *self.misses,
        ]
        return "\n".join(lines)


def read_lists(folder: Path, concepts: Sequence[str]) -> dict[str | None, list[str]]:
    """Read a folder of phrasing lists.

    A `.txt` file contains one phrasing per line. The file is named after the concept, such as
    `taping_area.txt` for "taping area". Each line of a `.tsv` file contains a concept, a tab, and a phrasing.
    Names that are not in `concepts`, such as "unrelated" or "near miss", are replaced by None.

    Raises:
        DataError: The folder contains no list, or a line of a `.tsv` file has no tab.
    """
    paths = sorted([*folder.glob("*.txt"), *folder.glob("*.tsv")])
    if not paths:
        raise DataError(
            f"{folder}: no phrasing lists; pass a folder with .txt files named after concepts, or .tsv files"
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
    """Classify every phrasing in the lists. Phrasings under the key None do not mean any concept."""
    result = PhrasingResult()
    for truth, phrasings in lists.items():
        for phrasing in phrasings:
            concept = side.understand(phrasing)
            read = concept or side.read(phrasing).kind
            result.confusion[truth, concept, read] += 1
            if concept != truth:
                result.misses.append(f'  missed: "{phrasing}" ({truth or "no concept"}) read as {read}')
    return result
