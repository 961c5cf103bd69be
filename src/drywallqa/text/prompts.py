"""Prompts as text: what can be used, and how a sentence falls into parts, windows and negated parts.

Nothing here knows any concept; whether a part means one is asked of the text side.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from drywallqa.errors import PromptError

LONGEST = 10_000

# Control characters part words; format, surrogate and private ones (zero-width joiners) stand inside words.
_SHOWN = {"Cc": " ", "Cf": "", "Cs": "", "Co": ""}

_SENTENCE_END = re.compile(r"[.!?;:\n]+(?=\s|$)")
_BETWEEN_THINGS = re.compile(
    r"\s*(?:,(?!\s*as\b)|[;/|&+])\s*"
    r"|\b(?:and|or|then|plus|versus|vs|as well as|along with|together with|in addition to)\b"
)
_PURPOSE = re.compile(
    r"\b(?:so that|so|because|in order to|since|before|after|while|as soon as|when|for me to)\b"
)
# Where a thing is says nothing of what it is; "in", "on" and "of" do: "crack in the mirror".
_PLACE = re.compile(
    r"\b(?:above|behind|below|beneath|beside|by|close to|from|near|next to|over|under|underneath|"
    r"(?:left|right) of) (?:a|an|the|that|this|my|our)\b[^,;:.!?]*"
)
# A part of these words alone names no thing: "find the crack *and mark it*".
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
# These look negated, yet ask for the thing all the more.
_NO_NEGATION = re.compile(
    r"\b(?:(?:do not|don'?t|never|without|not) (?:miss|missing|forget|forgetting|skip|skipping|overlook|"
    r"overlooking|leave out|leaving out|leave any)|nothing but|not only|no matter|if not|or not|no doubt|"
    r"without (?:a )?doubt|not sure|why not|whether or not|no problem|do not know|don'?t know|can ?not find|"
    r"can'?t find|can ?not see|can'?t see)\b"
)
_VERB_NEGATION = r"not|non|never|cannot|(?:is|are|was|were|has|have|had|does|do|did|ca|wo|should|could)n'?t"
_NEGATION = re.compile(
    rf"\b(?P<verb>{_VERB_NEGATION})\b[- ]*"
    r"|\b(?:anything but|everything but|all but|but no|but not|other than|apart from|aside from|"
    r"rather than|instead of|free of|free from|clear of|absence of|lack of|lacking|devoid of|none of|"
    r"except for|except|excepting|excluding|exclude|ignoring|ignore|omitting|omit|leave out|minus|sans|zero|"
    r"skipping|skip|forget(?: about)?|nothing about|no need (?:for|of)|without|w/o|neither|nor|no)\b\s*"
)
# "the area, not just the line": said after what is wanted, it takes nothing in
_TOO_LITTLE = re.compile(r"^(?:and )?not (?:just|merely|simply)\b")
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
    """A part that a prompt says to be absent.

    Attributes:
        scope: What is negated, for example `cracks`.
        rest: The prompt without it and without the negating word, for example `wall`.
        doubtful: True where the word may still name the thing itself ("untaped joint").
    """

    scope: str
    rest: str
    doubtful: bool = False


def clean_prompt(prompt: str) -> str:
    """Check a prompt and bring it to one form: NFKC, lower case, single spaces, no control characters.

    Args:
        prompt: What the user typed.

    Raises:
        PromptError: If it is no text, empty, of control characters only, or over 10,000 characters.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"a prompt is a text, not {type(prompt).__name__}; give it as a string")
    if len(prompt) > LONGEST:
        raise PromptError(
            f"the prompt has {len(prompt):,} characters, {LONGEST:,} are the most; say it in a few words"
        )
    if not prompt.strip():
        raise PromptError('the prompt is empty; name what to segment, for example "crack"')
    visible = "".join(_SHOWN.get(unicodedata.category(letter), letter) for letter in prompt)
    text = " ".join(unicodedata.normalize("NFKC", visible).lower().replace("’", "'").split())
    if not text:
        raise PromptError('the prompt has control characters only; name what to segment, for example "crack"')
    return text


def prompt_parts(text: str) -> list[str]:
    """Split a cleaned prompt at commas, slashes, "and", "or" and the like; one part where there are none."""
    found = [part.strip(" .!?-\"'") for part in _BETWEEN_THINGS.split(text)]
    return [part for part in found if part and not set(part.split()) <= _EMPTY_WORDS] or [text]


def main_clause(text: str) -> str:
    """What stands before the first "so that", "because", "before" and the like; all of it where none does."""
    found = _PURPOSE.search(text)
    return _tidy(text[: found.start()]) if found and found.start() else text


def without_place(text: str) -> str:
    """Take out where the thing is ("above the door"), so that the place does not drown it."""
    return _tidy(_PLACE.sub(" ", text)) or text


def word_windows(text: str, longest: int) -> list[str]:
    """Cut a cleaned prompt into its sentences, and long sentences into overlapping windows of words.

    Args:
        text: A cleaned prompt.
        longest: The most words of a window; windows overlap by half.
    """
    found = []
    for sentence in _SENTENCE_END.split(text):
        words = sentence.split()
        step = max(longest // 2, 1)
        starts = range(0, max(len(words) - step, 1), step) if len(words) > longest else (0,)
        found += [" ".join(words[start : start + longest]) for start in starts if words]
    return found or [text]


def without_idioms(text: str) -> str:
    """Take out what looks negated but is not ("do not miss", "not only"), so that it misleads nobody."""
    return _tidy(_NO_NEGATION.sub(" ", text)) or text


def negations(text: str) -> list[Negation]:
    """Find what a cleaned prompt says to be absent: "no X", "without X", "X-free", "not X-ed"."""
    text = without_idioms(text)
    found = []
    for match in _NEGATION.finditer(text):
        after = text[match.end() :]
        end = _scope_end(after, verb=match.group("verb") is not None)
        scope = after[:end].strip()
        if scope:
            found.append(Negation(scope, _tidy(text[: match.start()] + " " + after[end:])))
    for match in _WITHOUT_SUFFIX.finditer(text):
        found.append(Negation(match.group("thing"), _tidy(text[: match.start()] + " " + text[match.end() :])))
    for match in _UN_PREFIX.finditer(text):
        rest = _tidy(text[: match.start()] + " " + text[match.end() :])
        found.append(Negation(match.group("thing"), rest, doubtful=True))
    return found


def contrast(text: str) -> tuple[str, list[str]] | None:
    """Part what a cleaned prompt asks for from what it does not: "the line, *not the area around it*".

    Returns:
        The clauses that ask, joined, and what the others negate; None where no clause or every one negates.
    """
    clauses = [clause for clause in _CLAUSE_END.split(text) if clause.strip(" -")]
    refused = [_refused(clause, place) for place, clause in enumerate(clauses)]
    asked = [clause for clause, scopes in zip(clauses, refused, strict=True) if scopes is None]
    if not asked or len(asked) == len(clauses):
        return None
    return ", ".join(asked), [scope for scopes in refused for scope in scopes or ()]


def _refused(clause: str, place: int) -> list[str] | None:
    """What a clause says is not wanted, None where it says no such thing."""
    scopes = [negation.scope for negation in negations(clause) if not negation.doubtful]
    return scopes if scopes or (place and _TOO_LITTLE.match(clause)) else None


def _scope_end(after: str, *, verb: bool) -> int:
    """How far a negation reaches: "not taped joints" negates `taped` alone, "no joints" the clause."""
    participle = _PARTICIPLE.match(after) if verb else None
    if participle:
        return participle.end()
    end = _SCOPE_END.search(after)
    return end.start() if end else len(after)


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,.;:-")
