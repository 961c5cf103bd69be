"""Vary phrases the way people do: ask in other words, mistype, add marks; and make labelled examples."""

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
_OBJECTS_WITH = ("{} and {}", "{} and the {}", "{}, {}", "both {} and {}", "{} or {}", "{} plus {}")


def mistype(phrase: str, rng: random.Random) -> str:
    """Make one slip in a word of four letters or more: swap, drop, double, or hit a neighbouring key."""
    words = phrase.split()
    places = [place for place, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not places:
        return phrase
    place = rng.choice(places)
    word, at = words[place], rng.randrange(1, len(words[place]) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        word = word[:at] + word[at + 1 :]
    elif kind == 2:
        word = word[:at] + word[at] + word[at:]
    else:
        word = word[:at] + _neighbour(word[at], rng) + word[at + 1 :]
    words[place] = word
    return " ".join(words)


def _neighbour(letter: str, rng: random.Random) -> str:
    for row in _KEYBOARD:
        at = row.find(letter)
        if at >= 0:
            return row[max(at - 1, 0)] if rng.random() < 0.5 else row[min(at + 1, len(row) - 1)]
    return letter


def decorate(phrase: str, rng: random.Random) -> str:
    """Add what people add without meaning anything by it: marks, a pictogram, an article."""
    kind = rng.randrange(6)
    return {
        0: f"{phrase} \N{BRICK}",
        1: f"{phrase}!",
        2: f"{phrase}.",
        3: f"{phrase}?",
        4: f"- {phrase}",
        5: f"{phrase}...",
    }[kind]


def phrase_request(phrase: str, templates: Sequence[str], rng: random.Random) -> str:
    """Put a phrase into one way of asking; the commonest ways (the first ones) come up more often."""
    template = templates[min(rng.randrange(len(templates)), rng.randrange(len(templates)))]
    return template.replace("{}", phrase)


def labelled_phrases(
    concepts: Mapping[str, Sequence[str]], others: Sequence[str], seed: int = 0, scale: int = 6
) -> list[tuple[str, str]]:
    """Make labelled examples: (phrase, concept), with "other" for what means none of them.

    Every concept gets about as many examples as all concepts' share of `others` allows, so that a concept
    known by ten phrases only is not drowned.

    Args:
        concepts: The lines of each concept, as `phrase_bank` reads them.
        others: Lines that mean none of the concepts.
        seed: Fixes the choice.
        scale: Examples made of each other phrase.
    """
    rng = random.Random(seed)
    templates = phrase_bank.templates()
    other_phrases = phrase_bank.phrases_of(others)
    made = [(text, OTHER) for text in _vary(other_phrases, templates, scale * len(other_phrases), rng)]
    each = len(made) // 3
    for name, lines in concepts.items():
        phrases = phrase_bank.phrases_of(lines)
        made += [(text, name) for text in _vary(phrases, templates, max(each, 3 * len(phrases)), rng)]
        made += [(text, OTHER) for text in _spoilt(phrases, other_phrases, each // 8, rng)]
    return made


def _vary(phrases: Sequence[str], templates: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """The phrases themselves, then asked, mistyped and decorated ones up to `count`."""
    made = list(phrases)
    while len(made) < count:
        text = phrases[len(made) % len(phrases)]
        if rng.random() < 0.85:
            text = phrase_request(text, templates, rng)
        if rng.random() < 0.25:
            text = mistype(text, rng)
        if rng.random() < 0.1:
            text = decorate(text, rng)
        made.append(text)
    return made


def _spoilt(phrases: Sequence[str], others: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Phrases of a concept made to ask for something else: its absence, or another thing beside it."""
    short = [phrase for phrase in phrases if len(phrase.split()) <= 2]
    things = [phrase for phrase in others if len(phrase.split()) <= 2]
    made = []
    for _ in range(count if short and things else 0):
        if rng.random() < 0.7:
            made.append(rng.choice(_ABSENT).replace("{}", rng.choice(short)))
        else:
            pair = [rng.choice(short), rng.choice(things)]
            rng.shuffle(pair)
            made.append(rng.choice(_OBJECTS_WITH).format(*pair))
    return made
