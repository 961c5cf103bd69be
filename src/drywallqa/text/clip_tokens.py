"""CLIP's tokenizer in plain Python: a prompt to the token ids that a CLIP text tower was trained on.

Byte-level byte-pair encoding (Sennrich et al., ACL 2016, https://arxiv.org/abs/1508.07909) as CLIP uses it
(Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020), read from the `tokenizer.json` that lies beside
published weights. The base install has no tokenizer library, and this is all of it that prompts need.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from drywallqa.errors import BundleError

TOKENIZER = "tokenizer.json"
LONGEST = 77
"""Tokens that the tower reads, start and end included."""
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
_WHOLE = (START, END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


class ClipTokens:
    """Turns texts into token ids.

    Args:
        vocabulary: Piece → id.
        merges: Pairs of pieces that are joined, the most frequent first.

    Raises:
        BundleError: The vocabulary lacks the start or the end of a text.
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        self._ids = dict(vocabulary)
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        if START not in self._ids or END not in self._ids:
            raise BundleError(f"{TOKENIZER}: lacks {START} or {END}; get the bundle again")
        self.end = self._ids[END]

    @classmethod
    def read(cls, content: bytes) -> ClipTokens:
        """Read the content of a `tokenizer.json`.

        Raises:
            BundleError: It is damaged, or of another kind of tokenizer.
        """
        try:
            model = json.loads(content)["model"]
            if model["type"] != "BPE":
                raise ValueError("it is no byte-pair encoding")
            # older files write a pair as one text, newer ones as a list
            halves = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
            pairs = [(str(first), str(second)) for first, second in halves]
            vocabulary = {str(piece): int(number) for piece, number in model["vocab"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{TOKENIZER}: damaged ({error}); get the bundle again") from error
        return cls(vocabulary, pairs)

    def encode(self, text: str, longest: int = LONGEST) -> list[int]:
        """Give a text's ids between start and end, at most `longest` in all; what is longer is cut."""
        found: list[int] = []
        for word in clip_words(text):
            found.extend([self._ids[word]] if word in (START, END) else self._pieces(word))
        return [self._ids[START], *found[: longest - 2], self.end]

    def _pieces(self, word: str) -> list[int]:
        letters = [BYTE_LETTERS[byte] for byte in word.encode()]
        pieces = [*letters[:-1], letters[-1] + _WORD_END]
        while len(pieces) > 1:
            ranked = [
                (self._ranks[pair], place)
                for place, pair in enumerate(pairwise(pieces))
                if pair in self._ranks
            ]
            if not ranked:
                break
            pieces = _join(pieces, min(ranked)[1])
        return [self._ids.get(piece, self.end) for piece in pieces]


def clip_words(text: str) -> Iterator[str]:
    """Cut a text, lower case, into runs of letters, single digits, and runs of anything else but spaces."""
    text = "".join(letter.lower() for letter in unicodedata.normalize("NFC", text))
    place = 0
    while place < len(text):
        whole = next((each for each in _WHOLE if text.startswith(each, place)), None)
        kind, end = _kind(text[place]), place + 1
        if whole is not None:
            end = place + len(whole)
        elif kind in "LO":
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        if kind != "S":
            yield text[place:end]
        place = end


def _join(pieces: list[str], place: int) -> list[str]:
    """Join a pair wherever it stands, from the left."""
    first, second = pieces[place], pieces[place + 1]
    joined, index = [], 0
    while index < len(pieces):
        if index + 1 < len(pieces) and (pieces[index], pieces[index + 1]) == (first, second):
            joined.append(first + second)
            index += 2
        else:
            joined.append(pieces[index])
            index += 1
    return joined


def _kind(letter: str) -> str:
    """Tell letters (L), numbers (N), spaces (S) and others (O) apart."""
    if letter.isspace():
        return "S"
    category = unicodedata.category(letter)[0]
    return category if category in "LN" else "O"


def _byte_letters() -> list[str]:
    """The printable letters by which byte-level tokenizers name the 256 bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


BYTE_LETTERS = _byte_letters()
"""Byte → letter."""
