"""Vary phrases as people do: other words, typing errors, marks. Make labelled examples of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from drywallqa.text import phrase_bank

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
    """Make one slip in a word of four letters or more: swap, drop, double, or hit a neighbouring key."""
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
    """Add a mark that people add without a meaning, such as an exclamation mark or a pictogram."""
    return rng.choice(_DECORATED).replace("{}", phrase)


def phrase_request(phrase: str, rng: random.Random) -> str:
    """Put a phrase into a shipped template; the first and commonest templates come up more often."""
    templates = phrase_bank.bank_lines("templates")
    place = min(rng.randrange(len(templates)), rng.randrange(len(templates)))
    return templates[place].replace("{}", phrase)


def labelled_phrases(
    concepts: Mapping[str, Sequence[str]], others: Sequence[str], seed: int = 0, scale: int = 6
) -> list[tuple[str, str]]:
    """Make labelled examples: (phrase, concept), with "other" for phrases that mean none of them.

    Every concept gets about the same number of examples, so that a concept with only ten phrases counts too.

    Args:
        concepts: The lines of each concept, as `phrase_bank` reads them.
        others: Lines that mean none of the concepts.
        seed: Fixes the choice.
        scale: Examples made of each other phrase.
    """
    rng = random.Random(seed)
    other_phrases = phrase_bank.phrases_of(others)
    made = [(text, OTHER) for text in _vary(other_phrases, scale * len(other_phrases), rng)]
    each = len(made) // 3
    for name, lines in concepts.items():
        phrases = phrase_bank.phrases_of(lines)
        made += [(text, name) for text in _vary(phrases, max(each, 3 * len(phrases)), rng)]
        made += [(text, OTHER) for text in _change_meaning(phrases, other_phrases, each // 8, rng)]
    return made


def _vary(phrases: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Return the phrases themselves, then requests, typing errors and marks up to `count`."""
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
    """Make phrases that ask for the absence of a concept, or for another thing beside it."""
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
