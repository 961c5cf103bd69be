"""Read the shipped lists of phrases, and vary phrases with request templates, typos and punctuation.

The lists are called phrase banks. Each bank is a text file in `phrases`, usually with the phrases for one
concept.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.text.prompts import clean_prompt

FOLDER = Path(__file__).parent / "phrases"
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def expand(line: str) -> list[str]:
    """Expand the alternatives in one line: `[fine|thin] crack` gives `fine crack` and `thin crack`."""
    parts = _CHOICE.split(line)
    options = [part.split("|") if place % 2 else [part] for place, part in enumerate(parts)]
    return [" ".join("".join(chosen).split()) for chosen in itertools.product(*options)]


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file with phrases. Comments and blank lines are skipped.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: the phrases cannot be read; pass a UTF-8 text file with one phrase per line"
        ) from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@cache
def bank_lines(name: str) -> tuple[str, ...]:
    """Return the unexpanded lines of a shipped phrase bank, such as `crack`, `other_near` or `templates`."""
    return tuple(read_lines(FOLDER / f"{name}.txt"))


def phrases_of(lines: Iterable[str]) -> list[str]:
    """Expand the alternatives in all lines; return the phrases in order, without duplicates."""
    return list(dict.fromkeys(phrase for line in lines for phrase in expand(line)))


def some_phrases(phrases: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most `most` phrases, evenly spaced and starting with the first."""
    return tuple(phrases[:: max(1, -(-len(phrases) // most))])


def concept_lines() -> dict[str, tuple[str, ...]]:
    """Return the unexpanded lines for each concept that has a shipped phrase bank."""
    stems = sorted(path.stem for path in FOLDER.glob("*.txt"))
    concepts = [stem for stem in stems if stem != "templates" and not stem.startswith("other_")]
    return {stem.replace("_", " "): bank_lines(stem) for stem in concepts}


def other_lines() -> list[str]:
    """Return the unexpanded lines that do not name a concept, such as near misses and everyday things."""
    stems = sorted(path.stem for path in FOLDER.glob("other_*.txt"))
    return [line for stem in stems for line in bank_lines(stem)]


def banks_for(names: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Assign the shipped phrases to the concepts that a model knows.

    A phrase in the banks of two known concepts is assigned to the concept whose bank has fewer phrases. For
    example, "joint line" means the seam line if the model knows the concept "seam line". Otherwise, it means
    the taping area.

    Args:
        names: The known concepts.

    Returns:
        The phrases for each known concept that has a bank, and the phrases that mean only unknown concepts.
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
    """Look up a cleaned prompt in the shipped phrases.

    Returns:
        The concept that the phrase means. "" if the phrase means something else. None if the phrase is not
        listed. If one of `concepts` has no shipped bank, phrases in the `other_*` banks count as not listed.
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


OTHER = "other"
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_ABSENT = (
    "no {}", "without {}", "wall without {}", "a wall without any {}", "{} free wall", "not {}", "not a {}",
    "anything but {}", "everything except the {}", "absence of {}", "free of {}", "there is no {}",
    "the wall has no {}", "surface with no {}", "non {}", "do not segment {}", "ignore the {}",
)  # fmt: skip
_DECORATED = ("{} \N{BRICK}", "{}!", "{}.", "{}?", "- {}", "{}...")
_BOTH = ("{} and {}", "{} and the {}", "{}, {}", "both {} and {}", "{} or {}", "{} plus {}")


def mistype(phrase: str, rng: random.Random) -> str:
    """Make one typo in a word of at least four letters: swap, drop, double or replace a letter."""
    words = phrase.split()
    places = [place for place, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not places:
        return phrase
    place = rng.choice(places)
    word, at = words[place], rng.randrange(1, len(words[place]) - 1)
    kind, letter, end = rng.randrange(4), word[at], at + 1
    if kind == 0:
        typed, end = word[at + 1] + letter, at + 2
    elif kind == 1:
        typed = ""
    elif kind == 2:
        typed = letter * 2
    else:
        typed = _neighbour(letter, rng)
    words[place] = word[:at] + typed + word[end:]
    return " ".join(words)


def _neighbour(letter: str, rng: random.Random) -> str:
    for row in _KEYBOARD:
        if letter in row:
            at = row.index(letter)
            return row[max(at - 1, 0)] if rng.random() < 0.5 else row[min(at + 1, len(row) - 1)]
    return letter


def decorate(phrase: str, rng: random.Random) -> str:
    """Add a symbol that does not change the meaning, such as an exclamation mark or an emoji."""
    return rng.choice(_DECORATED).replace("{}", phrase)


def phrase_request(phrase: str, rng: random.Random) -> str:
    """Insert a phrase into a random template. Templates near the start of the list are likelier."""
    templates = bank_lines("templates")
    place = min(rng.randrange(len(templates)), rng.randrange(len(templates)))
    return templates[place].replace("{}", phrase)


def labelled_phrases(
    concepts: Mapping[str, Sequence[str]], others: Sequence[str], seed: int = 0, scale: int = 6
) -> list[tuple[str, str]]:
    """Generate labelled examples (phrase, label). The label is a concept, or "other" for other meanings.

    Every concept gets about the same number of examples. The classifier can therefore learn a concept from
    only ten phrases.

    Args:
        concepts: Unexpanded lines for each concept, in the format of the phrase banks.
        others: Unexpanded lines that do not mean any of the concepts.
        seed: Seed of the random choices.
        scale: Number of examples per phrase in `others`.
    """
    rng = random.Random(seed)
    other_phrases = phrases_of(others)
    made = [(text, OTHER) for text in _vary(other_phrases, scale * len(other_phrases), rng)]
    each = len(made) // 3
    for name, lines in concepts.items():
        phrases = phrases_of(lines)
        made += [(text, name) for text in _vary(phrases, max(each, 3 * len(phrases)), rng)]
        made += [(text, OTHER) for text in _change_meaning(phrases, other_phrases, each // 8, rng)]
    return made


def _vary(phrases: Sequence[str], count: int, rng: random.Random) -> list[str]:
    made = list(phrases)
    while len(made) < count:
        text = phrases[len(made) % len(phrases)]
        if rng.random() < 0.85:
            text = phrase_request(text, rng)
        if rng.random() < 0.25:
            text = mistype(text, rng)
        if rng.random() < 0.1:
            text = decorate(text, rng)
        made.append(text)
    return made


def _change_meaning(
    phrases: Sequence[str], others: Sequence[str], count: int, rng: random.Random
) -> list[str]:
    """Make phrases that ask for the absence of a concept, or for both a concept and another thing."""
    short = [phrase for phrase in phrases if len(phrase.split()) <= 2]
    things = [phrase for phrase in others if len(phrase.split()) <= 2]
    made = []
    for _ in range(count if short and things else 0):
        if rng.random() < 0.7:
            made.append(rng.choice(_ABSENT).replace("{}", rng.choice(short)))
        else:
            pair = [rng.choice(short), rng.choice(things)]
            rng.shuffle(pair)
            made.append(rng.choice(_BOTH).format(*pair))
    return made
