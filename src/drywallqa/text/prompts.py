"""Clean prompts, split them into parts and word windows, and find negated words.

This module does not know the concepts. The text model decides whether a part of a prompt means a concept.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from drywallqa.errors import PromptError

LONGEST = 10_000  # maximum number of characters in a prompt

# Control characters are replaced by spaces. Format, surrogate and private-use characters are removed.
_REPLACEMENTS = {"Cc": " ", "Cf": "", "Cs": "", "Co": ""}

_SENTENCE_END = re.compile(r"[.!?;:\n]+(?=\s|$)")
_BETWEEN_THINGS = re.compile(
    r"\s*(?:,(?!\s*as\b)|[;/|&+])\s*"
    r"|\b(?:and|or|then|plus|versus|vs|as well as|along with|together with|in addition to)\b"
)
_PURPOSE = re.compile(
    r"\b(?:so that|so|because|in order to|since|before|after|while|as soon as|when|for me to)\b"
)
# These words state the location of a thing. The list does not include "in", "on" and "of", since these words
# can also state the kind of thing, as in "crack in the mirror".
_PLACE = re.compile(
    r"\b(?:above|behind|below|beneath|beside|by|close to|from|near|next to|over|under|underneath|"
    r"(?:left|right) of) (?:a|an|the|that|this|my|our)\b[^,;:.!?]*"
)
# Parts that contain only these words do not name a thing. Example: "mark it" in "find the crack and mark it".
_EMPTY = (
    "a all an and any are at be can check colour color could detect do draw each every find for get "
    "give have he hello help here hey hi highlight i identify in is it its just label let like "
    "locate look mark me need now of ok on one open our out outline photo picture image please pls "
    "point return segment select she show take tell thank thanks that the their them then there "
    "these they this those to trace try us want we what where which with would you your "
    "bottom corner even left lower middle ones pixel pixels right shape side small thick thin tiny top "
    "upper very wide "
)
_EMPTY_WORDS = frozenset(_EMPTY.split())
# These phrases look like negations, but the prompt still asks for the thing.
_NO_NEGATION = re.compile(
    r"\b(?:(?:do not|don'?t|never|without|not) (?:miss|missing|forget|forgetting|skip|skipping|overlook|"
    r"overlooking|leave out|leaving out|leave any)|nothing but|not only|no matter|if not|or not|no doubt|"
    r"without (?:a )?doubt|not sure|why not|whether or not|no problem|do not know|don'?t know|can ?not find|"
    r"can'?t find|can ?not see|can'?t see)\b"
)
_NEGATION = re.compile(
    r"\b(?P<verb>not|non|never|cannot|"
    r"(?:is|are|was|were|has|have|had|does|do|did|ca|wo|should|could)n'?t)\b[- ]*"
    r"|\b(?:anything but|everything but|all but|but no|but not|other than|apart from|aside from|"
    r"rather than|instead of|free of|free from|clear of|absence of|lack of|lacking|devoid of|none of|"
    r"except for|except|excepting|excluding|exclude|ignoring|ignore|omitting|omit|leave out|minus|sans|zero|"
    r"skipping|skip|forget(?: about)?|nothing about|no need (?:for|of)|without|w/o|neither|nor|no)\b\s*"
)
# "not just the line" in "the area, not just the line" does not exclude the line, since it follows another
# clause.
_NOT_ONLY = re.compile(r"^(?:and )?not (?:just|merely|simply)\b")
_CLAUSE_END = re.compile(
    r"\s*(?:[,;:.!?](?=\s|$)|\bbut\b|\band(?= (?:find|give|hand|just|mark|only|segment|show)\b))\s*"
)
_SCOPE_END = re.compile(r"[,.;:!?]|\b(?:but|only|just|instead|please)\b")
_PARTICIPLE = re.compile(
    r"(?:(?:a|an|the|any|yet|been|being|be|is|are|still|already|\w+ly)\s+)*\w+(?:ed|en|ing)\b"
)
_WITHOUT_SUFFIX = re.compile(r"\b(?P<thing>[^\W\d_]{3,})(?:[- ]free|less)\b")
_UN_PREFIX = re.compile(r"\bun(?P<thing>[^\W\d_]{4,})\b")


@dataclass(frozen=True)
class Negation:
    """A negated part of a prompt.

    Attributes:
        scope: The negated words, such as "cracks" in "wall without cracks".
        rest: The other words of the prompt, except the negating word, such as "wall" in "wall without
            cracks".
        doubtful: Whether the negation may be part of a name, as in "untaped joint".
    """

    scope: str
    rest: str
    doubtful: bool = False


def clean_prompt(prompt: str) -> str:
    """Check a prompt. Convert it to NFKC and lower case, with single spaces and without control characters.

    Args:
        prompt: The user's text.

    Raises:
        PromptError: The prompt is not a string, is empty, has only control characters, or is longer than
            10,000 characters.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"a prompt must be a string, not {type(prompt).__name__}; pass a string")
    if len(prompt) > LONGEST:
        raise PromptError(
            f"the prompt has {len(prompt):,} characters, but the limit is {LONGEST:,}; use a few words"
        )
    visible = "".join(_REPLACEMENTS.get(unicodedata.category(letter), letter) for letter in prompt)
    text = " ".join(unicodedata.normalize("NFKC", visible).lower().replace("’", "'").split())
    if not text:
        problem = "has only control characters" if prompt.strip() else "is empty"
        raise PromptError(f'the prompt {problem}; name what to segment, for example "crack"')
    return text


def prompt_parts(text: str) -> list[str]:
    """Split a cleaned prompt at commas, slashes, "and", "or" and similar words."""
    parts = [part.strip(" .!?-\"'") for part in _BETWEEN_THINGS.split(text)]
    return [part for part in parts if part and not set(part.split()) <= _EMPTY_WORDS] or [text]


def main_clause(text: str) -> str:
    """Return the text before the first "so that", "because" or similar, or else the whole text."""
    found = _PURPOSE.search(text)
    return _tidy(text[: found.start()]) if found and found.start() else text


def without_place(text: str) -> str:
    """Remove phrases that state a location, such as "above the door". The named thing remains."""
    return _tidy(_PLACE.sub(" ", text)) or text


def word_windows(text: str, longest: int) -> list[str]:
    """Split a cleaned prompt into sentences, and split long sentences into windows of words.

    Args:
        text: A cleaned prompt.
        longest: Maximum number of words in a window. Neighbouring windows share half of their words.
    """
    windows = []
    step = max(longest // 2, 1)
    for sentence in _SENTENCE_END.split(text):
        words = sentence.split()
        starts = range(0, max(len(words) - step, 1), step) if len(words) > longest else (0,)
        windows += [" ".join(words[start : start + longest]) for start in starts if words]
    return windows or [text]


def without_idioms(text: str) -> str:
    """Remove phrases that look like negations but do not negate the request, such as "do not miss"."""
    return _tidy(_NO_NEGATION.sub(" ", text)) or text


def negations(text: str) -> list[Negation]:
    """Find the negations in a cleaned prompt: "no X", "without X", "X-free", "not X-ed".

    In "not taped joints", only "taped" is negated. In "no joints on the wall", the rest of the clause is
    negated.
    """
    text = without_idioms(text)
    found = []
    for match in _NEGATION.finditer(text):
        after = text[match.end() :]
        participle = _PARTICIPLE.match(after) if match.group("verb") else None
        scope_end = _SCOPE_END.search(after)
        end = participle.end() if participle else scope_end.start() if scope_end else len(after)
        if scope := after[:end].strip():
            found.append(Negation(scope, _tidy(text[: match.start()] + " " + after[end:])))
    for pattern, doubtful in ((_WITHOUT_SUFFIX, False), (_UN_PREFIX, True)):
        for match in pattern.finditer(text):
            rest = _tidy(text[: match.start()] + " " + text[match.end() :])
            found.append(Negation(match.group("thing"), rest, doubtful))
    return found


def negated_scopes(text: str) -> list[str]:
    """Return the negated words of a cleaned prompt. Doubtful negations, such as "untaped", are left out."""
    return [negation.scope for negation in negations(text) if not negation.doubtful]


def contrast(text: str) -> tuple[str, list[str]]:
    """Separate the requested words of a prompt from the excluded words.

    For "the line, not the area around it", the result is ("the line", ["the area around it"]).

    Returns:
        The clauses with a request as one text, and the negated words of the other clauses. ("", []) if no
        clause contains a negation or every clause contains a negation.
    """
    clauses = [clause for clause in _CLAUSE_END.split(text) if clause.strip(" -")]
    asking, refused = [], list[str]()
    for place, clause in enumerate(clauses):
        scopes = negated_scopes(clause)
        refused += scopes
        if not scopes and not (place and _NOT_ONLY.match(clause)):
            asking.append(clause)
    return (", ".join(asking), refused) if len(asking) < len(clauses) and asking else ("", [])


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,.;:-")
