"""Short phrases to distil on: the vocabulary's words, combinations of them, and the shipped banks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from drywallqa.text import phrase_bank
from drywallqa.text.phrase_variation import phrase_request

_PAIRS = (
    "{} and {}", "{} in the {}", "{} on a {}", "{} with {}", "{} of the {}", "{} next to the {}", "{} {}",
    "{} between {}", "the {} {}", "{} without {}", "{} for the {}", "{}, {}",
)  # fmt: skip


def build(
    pieces: Sequence[str], concepts: Mapping[str, Sequence[str]], others: Sequence[str], size: int
) -> list[str]:
    """Make about `size` phrases, each once; half of them about the banks, the rest about anything.

    Args:
        pieces: The teacher's vocabulary.
        concepts: Lines of each concept.
        others: Lines of everything else.
        size: How many phrases are wanted.
    """
    rng = random.Random(7)
    templates = phrase_bank.templates()
    words = [piece for piece in pieces if piece.isascii() and piece.isalpha() and len(piece) > 2]
    known = [phrase for lines in concepts.values() for phrase in phrase_bank.phrases_of(lines)]
    bank = known + phrase_bank.phrases_of(others)
    made = dict.fromkeys([*bank, *words])
    while len(made) < size:
        made[_one(words, known, bank, templates, rng)] = None
    return list(made)


def _one(
    words: Sequence[str],
    known: Sequence[str],
    bank: Sequence[str],
    templates: Sequence[str],
    rng: random.Random,
) -> str:
    """One phrase of a random kind."""
    draw = rng.random()
    if draw < 0.25:
        return phrase_request(rng.choice(known), templates, rng)
    if draw < 0.45:
        return phrase_request(rng.choice(bank), templates, rng)
    if draw < 0.55:
        return rng.choice(_PAIRS).format(rng.choice(bank), rng.choice(bank))
    if draw < 0.65:
        return rng.choice(_PAIRS).format(*rng.sample([rng.choice(bank), rng.choice(words)], 2))
    if draw < 0.8:
        return rng.choice(_PAIRS).format(rng.choice(words), rng.choice(words))
    if draw < 0.9:
        return phrase_request(" ".join(rng.sample(words, rng.randint(1, 3))), templates, rng)
    return " ".join(rng.choice(bank) for _ in range(rng.randint(2, 3)))
