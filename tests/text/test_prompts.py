"""Prompts as text: cleaning, parts, windows, negations."""

import pytest

from drywallqa.errors import PromptError
from drywallqa.text import prompts


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("  Segment   CRACK ", "segment crack"),
        ("hairline\tfissure\n", "hairline fissure"),
        ("ｃｒａｃｋ", "crack"),  # full-width letters
        ("cra\u200bck?", "crack?"),
        ("crack \U0001f9f1", "crack \U0001f9f1"),
        ("joint/tape", "joint/tape"),
        ("\ud800crack", "crack"),  # a lone surrogate, as broken clients send
    ],
)
def test_clean__one_form(given: str, expected: str) -> None:
    assert prompts.clean_prompt(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("\x00\x07\u200b", "only control characters"),
        ("a" * 10_001, "10,001 characters"),
    ],
)
def test_clean__refused_with_a_sentence(given: str, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        prompts.clean_prompt(given)


def test_clean__no_text() -> None:
    with pytest.raises(PromptError, match="int"):
        prompts.clean_prompt(7)  # type: ignore[arg-type]


def test_clean__ten_thousand_characters_are_fine() -> None:
    assert len(prompts.clean_prompt("a" * 10_000)) == 10_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crack and taping area", ["crack", "taping area"]),
        ("cracks, seams & holes", ["cracks", "seams", "holes"]),
        ("joint/tape", ["joint", "tape"]),
        ("hairline crack", ["hairline crack"]),
        ("sandy wall", ["sandy wall"]),
        ("///", ["///"]),
        ("find the crack and mark it", ["find the crack"]),
    ],
)
def test_parts__split_at_conjunctions(text: str, expected: list[str]) -> None:
    assert prompts.prompt_parts(text) == expected


def test_windows__sentences_then_overlapping_words() -> None:
    text = "look at it. one two three four five six"
    assert prompts.word_windows(text, 4) == ["look at it", "one two three four", "three four five six"]


def test_windows__every_word_is_in_one() -> None:
    words = [f"w{number}" for number in range(201)]
    seen = {word for window in prompts.word_windows(" ".join(words), 10) for word in window.split()}
    assert seen == set(words)


@pytest.mark.parametrize(
    ("text", "scope", "rest"),
    [
        ("no cracks", "cracks", ""),
        ("wall without any cracks", "any cracks", "wall"),
        ("without cracks, smooth", "cracks", "smooth"),
        ("crack-free wall", "crack", "wall"),
        ("seamless wall", "seam", "wall"),
        ("everything except the seams", "the seams", "everything"),
        ("not taped joints", "taped", "joints"),
        ("seam that has not been taped yet", "been taped", "seam that has yet"),
        ("not a crack but a seam", "a crack", "but a seam"),
        ("joint without tape", "tape", "joint"),
        ("a wall that isn't cracked", "cracked", "a wall that"),
    ],
)
def test_negations__scope_and_rest(text: str, scope: str, rest: str) -> None:
    assert [(n.scope, n.rest) for n in prompts.negations(text)] == [(scope, rest)]


@pytest.mark.parametrize(
    "text", ["do not miss any crack", "not only hairline cracks", "crack or not", "crack"]
)
def test_negations__none_where_only_the_words_look_it(text: str) -> None:
    assert prompts.negations(text) == []


def test_negations__prefix_is_doubtful() -> None:
    (found,) = prompts.negations("uncracked wall")
    assert (found.scope, found.rest, found.doubtful) == ("cracked", "wall", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mark the crack so we can fill it", "mark the crack"),
        ("mark the crack, because it leaks", "mark the crack"),
        ("so mark it", "so mark it"),
        ("also cracks", "also cracks"),
    ],
)
def test_main_clause__before_the_purpose(text: str, expected: str) -> None:
    assert prompts.main_clause(text) == expected


@pytest.mark.parametrize(
    ("text", "asked", "refused"),
    [
        ("the line, not the area around it", "the line", ["the area around it"]),
        ("not the thin line, i want the wide band", "i want the wide band", ["the thin line"]),
        ("skip the cracks and show the seams", "show the seams", ["the cracks"]),
        ("forget about cracks, just the seams", "just the seams", ["cracks"]),
        ("the full area, not just the line", "the full area", []),
    ],
)
def test_contrast__what_is_asked_beside_what_is_not(text: str, asked: str, refused: list[str]) -> None:
    assert prompts.contrast(text) == (asked, refused)


@pytest.mark.parametrize("text", ["no cracks", "the crack", "cracks, seams", "not just the crack"])
def test_contrast__none_where_all_or_nothing_is_refused(text: str) -> None:
    assert prompts.contrast(text) == ("", [])


def test_without_place__keeps_what_a_thing_is_in() -> None:
    assert prompts.without_place("stress fracture above the door header") == "stress fracture"
    assert prompts.without_place("crack in the mirror") == "crack in the mirror"
