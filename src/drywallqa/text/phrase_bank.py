"""The phrases that come with the package: those of each concept, and many that mean something else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.text.prompts import clean_prompt

FOLDER = Path(__file__).parent / "phrases"
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def expand(line: str) -> list[str]:
    """Return every alternative of one line: `[fine|thin] crack` gives `fine crack` and `thin crack`."""
    parts = _CHOICE.split(line)
    options = [part.split("|") if place % 2 else [part] for place, part in enumerate(parts)]
    return [" ".join("".join(chosen).split()) for chosen in itertools.product(*options)]


def read_lines(path: Path) -> list[str]:
    """Read the lines of a bank, without comments and blank lines.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: the phrases cannot be read; give a UTF-8 text file, one phrase a line"
        ) from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@cache
def bank_lines(name: str) -> tuple[str, ...]:
    """Return the unexpanded lines of a shipped bank, for example `crack`, `other_near` or `templates`."""
    return tuple(read_lines(FOLDER / f"{name}.txt"))


def phrases_of(lines: Iterable[str]) -> list[str]:
    """Return every alternative of every line, each once, in order."""
    return list(dict.fromkeys(phrase for line in lines for phrase in expand(line)))


def some_phrases(phrases: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most `most` phrases, evenly spaced from the first one on."""
    return tuple(phrases[:: max(1, -(-len(phrases) // most))])


def concept_lines() -> dict[str, tuple[str, ...]]:
    """Return the lines of each concept that has a shipped bank."""
    stems = sorted(path.stem for path in FOLDER.glob("*.txt"))
    concepts = [stem for stem in stems if stem != "templates" and not stem.startswith("other_")]
    return {stem.replace("_", " "): bank_lines(stem) for stem in concepts}


def other_lines() -> list[str]:
    """Return the lines that mean no concept: near misses, everyday things, other languages."""
    stems = sorted(path.stem for path in FOLDER.glob("other_*.txt"))
    return [line for stem in stems for line in bank_lines(stem)]


def banks_for(names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Assign the shipped phrases to the concepts that a model knows.

    A phrase in two banks belongs to the bank with fewer phrases. So "joint line" means the seam line in a
    model that knows this concept, and the taping area in one that does not.

    Args:
        names: The known concepts.

    Returns:
        The phrases of each known concept with a bank, and the phrases that mean unknown concepts only.
    """
    banks = {name: phrases_of(lines) for name, lines in concept_lines().items()}
    wanted = set(names)
    taken: set[str] = set()
    shared: dict[str, list[str]] = {}
    for name in sorted(wanted & banks.keys(), key=lambda name: len(banks[name])):
        shared[name] = [phrase for phrase in banks[name] if phrase not in taken]
        taken |= set(banks[name])
    strangers = [p for name, bank in banks.items() if name not in wanted for p in bank if p not in taken]
    return shared, strangers


def shipped_meaning(text: str, concepts: tuple[str, ...]) -> str | None:
    """Look a cleaned prompt up in the shipped phrases.

    Returns:
        One of these concepts; "" if the phrase means something else; None if the phrase is not listed. With
        a concept that is not shipped, the phrases that mean no shipped concept count as not listed.
    """
    meanings = _meanings(concepts)
    return meanings.get(text, meanings.get(text.removeprefix("the ")))


@cache
def _meanings(concepts: tuple[str, ...]) -> dict[str, str]:
    banks, strangers = banks_for(concepts)
    if set(concepts) <= concept_lines().keys():
        strangers += phrases_of(other_lines())
    others = dict.fromkeys(map(clean_prompt, strangers), "")
    return others | {clean_prompt(phrase): name for name, bank in banks.items() for phrase in bank}
