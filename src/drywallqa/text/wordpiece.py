"""WordPiece: cut a text into the pieces of an uncased vocabulary, as BERT does it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from drywallqa.errors import BundleError

PADDING = "[PAD]"
UNKNOWN = "[UNK]"
LONGEST_WORD = 100


class WordPiece:
    """Turns text into piece numbers by greedy longest match (Devlin et al., BERT, 2018)."""

    def __init__(self, pieces: Sequence[str]) -> None:
        """Take the vocabulary; a piece's number is its place in `pieces`.

        Raises:
            BundleError: If the vocabulary lacks the padding or the unknown piece.
        """
        self.pieces = list(pieces)
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}
        if PADDING not in self._numbers or UNKNOWN not in self._numbers:
            raise BundleError(
                f"the vocabulary lacks {PADDING} or {UNKNOWN}; download or build the bundle again"
            )
        self.padding = self._numbers[PADDING]
        self.unknown = self._numbers[UNKNOWN]

    @classmethod
    def load(cls, path: Path) -> WordPiece:
        """Read a vocabulary file, one piece a line.

        Raises:
            BundleError: If the file cannot be read.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{path}: the vocabulary cannot be read; get the bundle again") from error
        return cls(text.removesuffix("\n").split("\n"))

    def save(self, path: Path) -> None:
        """Write the vocabulary, one piece a line."""
        path.write_text("\n".join(self.pieces) + "\n", encoding="utf-8")

    def encode(self, text: str, limit: int) -> list[int]:
        """Give the piece numbers of a text, at most `limit` of them."""
        numbers: list[int] = []
        for word in basic_words(text):
            numbers.extend(self._word(word))
            if len(numbers) >= limit:
                break
        return numbers[:limit]

    def _word(self, word: str) -> list[int]:
        """Cut one word; a word with a part outside the vocabulary is unknown as a whole."""
        if len(word) > LONGEST_WORD:
            return [self.unknown]
        numbers, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self._numbers.get(prefix + word[start:end])
                if number is not None:
                    break
            else:
                return [self.unknown]
            numbers.append(number)
            start = end
        return numbers


def basic_words(text: str) -> list[str]:
    """Split into lower-case words without accents; every punctuation mark is a word of its own."""
    found: list[str] = []
    current = ""
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn":
            continue
        alone = _stands_alone(character, category)
        if alone or character.isspace() or category.startswith("C"):
            if current:
                found.append(current)
            current = ""
            if alone:
                found.append(character)
        else:
            current += character
    if current:
        found.append(current)
    return found


def _stands_alone(character: str, category: str) -> bool:
    """Tell punctuation (ASCII symbols included) and Chinese characters, each a word of its own."""
    if category.startswith("P") or (
        character.isascii() and character.isprintable() and not character.isalnum()
    ):
        return not character.isspace()
    return 0x4E00 <= ord(character) <= 0x9FFF or 0x3400 <= ord(character) <= 0x4DBF
