"""The shipped text side: prompts as people type them, and new concepts."""

import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import drywallqa
from drywallqa.errors import BundleError, PromptError, UnknownPromptError
from drywallqa.text import phrase_bank
from drywallqa.text.text_side import TextSide
from drywallqa.text_training.phrasing_lists import measure_phrasings, read_lists

FOLDER = Path(drywallqa.__file__).parent / "bundles" / "compact"

PHRASINGS = Path(__file__).parents[1] / "phrasings"

STORY = (
    "Good morning, we moved into an old house last year. It has two floors, a garden and a garage. "
    "Our neighbours are friendly and the shops are near. In winter it was very cold for weeks. "
)


@pytest.fixture(scope="module")
def side() -> TextSide:
    return TextSide.load(FOLDER)


@pytest.mark.parametrize(
    ("prompt", "concept"),
    [
        ("segment crack", "crack"),
        ("SEGMENT CRACK!!!", "crack"),
        ("hairline fissure in the plaster", "crack"),
        ("fissure or fracture", "crack"),
        ("find the crack and mark it", "crack"),
        ("please do not miss any crack", "crack"),
        ("mark the crack so that our plasterer can close it", "crack"),
        ("crack \U0001f9f1\U0001f525", "crack"),
        ("hairlin crak in teh plastr", "crack"),
        (STORY * 4 + "A long crack runs through the plaster. " + STORY, "crack"),
        ("segment taping area", "taping area"),
        ("segment joint/tape", "taping area"),
        ("where do two boards meet", "taping area"),
        ("joints that have not been taped", "taping area"),
        ("joint without tape", "taping area"),
    ],
)
def test_understand__any_phrasing(side: TextSide, prompt: str, concept: str) -> None:
    assert side.understand(prompt) == concept
    assert side.resolve(prompt) == concept


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (
            "segment dog",
            '"segment dog" does not match anything the model has learnt; it knows "crack" and "taping area"',
        ),
        ("mortar joint", "learnt"),
        ("tape measure", "learnt"),
        ("nail pop", "learnt"),
        ("water stain", "learnt"),
        ("\U0001f9f1", "learnt"),
        (STORY * 4, "learnt"),
        ("no cracks", "absence"),
        ("wall without cracks", "absence"),
        ("crack-free wall", "absence"),
        ("crack and taping area", "in one prompt"),
        ("cracks/seams", "in one prompt"),
        ("crack and dog", 'ask only for "crack"'),
    ],
)
def test_resolve__refused_in_a_sentence(side: TextSide, prompt: str, said: str) -> None:
    assert side.understand(prompt) is None
    with pytest.raises(UnknownPromptError) as caught:
        side.resolve(prompt)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_resolve__empty(side: TextSide) -> None:
    with pytest.raises(PromptError, match="empty"):
        side.resolve("  ")


def test_embed__unit_vectors_steady_in_any_company(side: TextSide) -> None:
    alone = side.embed(["crack"])
    many = TextSide.load(FOLDER).embed(["where do two boards meet in this picture", "CRACK", "dog"])
    assert alone.shape == (1, 64)
    assert alone.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1.0, atol=1e-3)
    np.testing.assert_allclose(many[1], alone[0], atol=1e-4)


def test_embed__ways_of_asking_lie_together_and_concepts_apart(side: TextSide) -> None:
    asked = side.embed(["segment crack", "find the cracks", "where is the crack", "mask of the crack"])
    assert (asked @ asked.T).min() > 0.85
    seams = side.embed(["segment taping area", "drywall seam", "where do two boards meet"])
    fissures = side.embed(["segment crack", "hairline fissure in the plaster", "the plaster has split"])
    crack, seam = (
        side.embed(phrase_bank.phrases_of(phrase_bank.bank_lines(bank))).mean(axis=0)
        for bank in ("crack", "taping_area")
    )
    assert (fissures @ (crack - seam) > 0).all()
    assert (seams @ (seam - crack) > 0).all()


def test_embed__long_prompt_by_its_meaning(side: TextSide) -> None:
    long, short = side.embed([STORY * 4 + "A long crack runs through the plaster. " + STORY, "long crack"])
    assert long @ short > 0.5


def test_embed__none(side: TextSide) -> None:
    assert side.embed([]).shape == (0, 64)


def test_pickle__same_answers(side: TextSide) -> None:
    copy = pickle.loads(pickle.dumps(side))
    np.testing.assert_array_equal(copy.embed(["wall crack"]), side.embed(["wall crack"]))
    assert copy.understand("board seam") == "taping area"


def test_understand__from_many_threads(side: TextSide) -> None:
    fresh, found = TextSide.load(FOLDER), []

    def ask(number: int) -> None:
        found.append(fresh.understand(f"crack number {number % 3} in the wall"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["crack"] * 24


def test_save__roundtrip(side: TextSide, tmp_path: Path) -> None:
    side.save(tmp_path)
    again = TextSide.load(tmp_path)
    assert again.concepts == side.concepts
    assert again.understand("segment crack") == "crack"
    assert not list(tmp_path.glob("*.part"))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8 * 2**20


@pytest.mark.parametrize("name", ["text_encoder.onnx", "vocabulary.txt", "understanding.json"])
def test_load__missing_or_damaged_names_the_file(name: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "bundle")
    (tmp_path / "bundle" / name).write_bytes(b"\xff\x00 not this")
    with pytest.raises(BundleError, match=name.partition(".")[0]):
        TextSide.load(tmp_path / "bundle")
    (tmp_path / "bundle" / name).unlink()
    with pytest.raises(BundleError, match=name.partition(".")[0]):
        TextSide.load(tmp_path / "bundle")


def test_with_concepts__three_that_overlap_by_blind_phrasings(side: TextSide) -> None:
    three = side.with_concepts({"crack": (), "taping area": (), "seam line": ()})
    for name in ("seam_line", "three", "four"):
        result = measure_phrasings(three, read_lists(PHRASINGS / name, three.concepts))
        assert result.rate(known=True) >= 0.95, result.describe()
        assert result.rate(known=False) >= 0.97, result.describe()
    assert three.understand("seam line") == three.understand("the joint line") == "seam line"


def test_read__a_list_that_nothing_was_tuned_to(side: TextSide) -> None:
    result = measure_phrasings(side, read_lists(PHRASINGS / "five", side.concepts))
    assert result.rate(known=True) >= 0.97, result.describe()
    assert result.rate(known=False) >= 0.95, result.describe()


def test_read__what_is_named_beside_a_negation_is_asked_for(side: TextSide) -> None:
    assert side.understand("the crack, not the seam") == "crack"
    assert side.understand("taping area, not the crack") == "taping area"
    assert side.read("not the crack").kind == "negated"


def test_with_concepts__learns_a_new_one_and_keeps_the_old(side: TextSide) -> None:
    grown = side.with_concepts({"crack": [], "socket": ["wall socket", "electrical outlet", "power outlet"]})
    assert grown.concepts == ("crack", "socket")
    assert grown.understand("segment the sockets") == "socket"
    assert grown.understand("electrical outlets") == "socket"
    assert grown.understand("hairline fissure in the plaster") == "crack"
    assert grown.understand("drywall seam") is None  # no longer a concept
    assert grown.understand("segment dog") is None
    assert side.concepts == ("crack", "taping area", "seam line")
