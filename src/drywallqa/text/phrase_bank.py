"""The phrases that the project ships: ways to say each concept, and many ways to mean something else."""

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
    """Write out the alternatives of one line: `[fine|thin] crack` gives `fine crack` and `thin crack`."""
    parts = _CHOICE.split(line)
    options = [part.split("|") if place % 2 else [part] for place, part in enumerate(parts)]
    return [" ".join("".join(chosen).split()) for chosen in itertools.product(*options)]


def read_lines(path: Path) -> list[str]:
    """Read the lines of a bank, without comments and blanks.

    Raises:
        DataError: If the file cannot be read.
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
def lines_of(name: str) -> tuple[str, ...]:
    """The unexpanded lines of a shipped bank, for example `crack` or `other_near`."""
    return tuple(read_lines(FOLDER / f"{name}.txt"))


def phrases_of(lines: Iterable[str]) -> list[str]:
    """Every alternative of every line, each once, in order."""
    return list(dict.fromkeys(phrase for line in lines for phrase in expand(line)))


def some_phrases(phrases: Sequence[str], most: int) -> tuple[str, ...]:
    """Choose up to so many phrases from all along a list, the first among them."""
    step = max(1, -(-len(phrases) // most))
    return tuple(phrases[::step])


def concept_names() -> list[str]:
    """The concepts that have a shipped bank."""
    return sorted(path.stem.replace("_", " ") for path in FOLDER.glob("*.txt") if _is_concept(path.stem))


def concept_lines() -> dict[str, list[str]]:
    """The lines of every shipped concept."""
    return {name: list(lines_of(name.replace(" ", "_"))) for name in concept_names()}


def banks_for(names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Share the shipped phrases out among the concepts that a model knows.

    A phrase that two banks hold belongs to the narrower one, the one with fewer phrases: "joint line" means
    the seam's line to who knows it, and the taping area to who does not.

    Args:
        names: The concepts.

    Returns:
        The phrases of each of these concepts that has a bank; those that mean another shipped concept only.
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
    """What a cleaned prompt means by being a shipped phrase.

    Returns:
        One of these concepts; "" where the phrase stands for something else, which nobody can say beside a
        concept that is not shipped; None where it is not listed.
    """
    meanings = _meanings(concepts)
    return meanings.get(text, meanings.get(text.removeprefix("the ")))


@cache
def _meanings(concepts: tuple[str, ...]) -> dict[str, str]:
    banks, strangers = banks_for(concepts)
    strangers += phrases_of(other_lines()) if set(concepts) <= set(concept_names()) else []
    others = dict.fromkeys(map(clean_prompt, strangers), "")
    return others | {clean_prompt(phrase): name for name, bank in banks.items() for phrase in bank}


def other_lines() -> list[str]:
    """The lines of everything that is no concept: near misses, everyday things, other languages."""
    names = sorted(path.stem for path in FOLDER.glob("other_*.txt"))
    return [line for name in names for line in lines_of(name)]


def templates() -> list[str]:
    """Ways to ask for a thing; `{}` stands for the thing."""
    return list(lines_of("templates"))


def _is_concept(stem: str) -> bool:
    return stem != "templates" and not stem.startswith("other_")
