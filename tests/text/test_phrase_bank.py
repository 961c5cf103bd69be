"""The shipped phrases and how they are varied."""

import json
import random
from pathlib import Path

import pytest

from drywallqa.bundle.bundle import DEFAULT, HEAD, load_bundle
from drywallqa.errors import DataError
from drywallqa.text import phrase_bank


def test_expand__alternatives() -> None:
    assert phrase_bank.expand("[fine|thin] crack [here|]") == [
        "fine crack here",
        "fine crack",
        "thin crack here",
        "thin crack",
    ]


def test_banks__large_and_apart() -> None:
    concepts = {
        name: set(phrase_bank.phrases_of(lines)) for name, lines in phrase_bank.concept_lines().items()
    }
    others = set(phrase_bank.phrases_of(phrase_bank.other_lines()))
    assert set(concepts) == {"crack", "seam line", "taping area"}
    assert min(map(len, concepts.values())) >= 400
    assert len(others) >= 1500
    assert not concepts["crack"] & (concepts["taping area"] | concepts["seam line"])
    assert not others & set.union(*concepts.values())


def test_banks_for__what_two_banks_hold_belongs_to_the_narrower_concept() -> None:
    three, strangers = phrase_bank.banks_for(["crack", "taping area", "seam line"])
    assert "joint line" in three["seam line"]
    assert "joint line" not in three["taping area"]
    assert not strangers
    two, strangers = phrase_bank.banks_for(["crack", "taping area"])
    assert "joint line" in two["taping area"]
    assert "joint line" not in strangers
    assert "seam centreline" in strangers
    assert phrase_bank.banks_for(["stain"])[0] == {}


def test_read_lines__missing_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt"):
        phrase_bank.read_lines(tmp_path / "none.txt")


def test_mistype__one_slip_in_one_word() -> None:
    rng = random.Random(3)
    for _ in range(200):
        found = phrase_bank.mistype("hairline crack", rng)
        assert sum(a != b for a, b in zip(found.split(), ["hairline", "crack"], strict=True)) <= 1
    assert phrase_bank.mistype("a 12 b", rng) == "a 12 b"


def test_examples__steady_and_balanced() -> None:
    lines = {"crack": ["crack", "fissure"], "socket": ["socket"]}
    made = phrase_bank.labelled_phrases(lines, ["dog", "cat", "water stain"] * 20)
    assert made == phrase_bank.labelled_phrases(lines, ["dog", "cat", "water stain"] * 20)
    labels = [label for _, label in made]
    assert set(labels) == {"crack", "socket", "other"}
    assert labels.count("socket") >= labels.count("other") // 5


def test_some_of__from_all_along_the_list() -> None:
    assert phrase_bank.some_phrases(["a", "b", "c"], 3) == ("a", "b", "c")
    assert phrase_bank.some_phrases([str(number) for number in range(10)], 4) == ("0", "3", "6", "9")
    assert phrase_bank.some_phrases([], 4) == ()


def test_load_bundle__templates_are_written_out(tmp_path: Path) -> None:
    head = json.loads((DEFAULT / HEAD).read_text("utf-8"))
    head["concepts"]["crack"]["phrasings"] = ["[hairline|thin] crack", "[a|b|c|d|e] [1|2|3|4|5|6]"]
    (tmp_path / HEAD).write_text(json.dumps(head), "utf-8")
    phrasings = load_bundle(tmp_path).concepts["crack"].phrasings
    assert phrasings[:2] == ("hairline crack", "a 1")
    assert len(phrasings) <= 20
    assert not any("[" in phrase for phrase in phrasings)
