"""CLIP's tokenizer in plain Python, against the library's own."""

import json

import pytest

from drywallqa.errors import BundleError
from drywallqa.text.prompt_tower import ClipTokens, clip_words

MERGES = [
    ("c", "r"), ("a", "c"), ("cr", "ac"), ("crac", "k</w>"), ("s", "e"), ("a", "a"), ("aa", "aa"),
    ("t", "a"), ("p", "e</w>"), ("ta", "pe</w>"), ("Ã", "¤"), ("!", "!</w>"), ("n", "t</w>"),
]  # fmt: skip
TEXTS = [
    "segment crack", "segment joint/tape", "CRACK's edge, it'll don't!!", "wall 12 m² №4",
    "Fugenrisse über'm Tür",
    "cafe\u0301  naïve\tİstanbul ΣΑΣ", "a" * 200, "漆喰のひび 🧱🧱", "",
    "!?'s", "x<|endoftext|>y", "¾ Ⅷ _a_b-c",
]  # fmt: skip


@pytest.fixture(scope="module")
def theirs():
    transformers = pytest.importorskip("transformers", reason="the train extra is not installed")
    from drywallqa.models.towers import letter_tokenizer

    table = letter_tokenizer(514).get_vocab()
    for first, second in MERGES:
        table.setdefault(first + second, len(table))
    return transformers.CLIPTokenizer(vocab=table, merges=MERGES)


@pytest.mark.parametrize("text", TEXTS)
def test_encode__equals_the_librarys(theirs, text):
    ours = ClipTokens(theirs.backend_tokenizer.to_str().encode())
    for longest in (77, 8):
        expected = theirs([text], truncation=True, max_length=longest)["input_ids"][0]
        assert ours.encode(text, longest) == expected


def test_encode__merges_are_used(theirs):
    ours = ClipTokens(theirs.backend_tokenizer.to_str().encode())
    assert len(ours.encode("crack")) == 3


def test_read__merges_as_texts(theirs):
    stored = json.loads(theirs.backend_tokenizer.to_str())
    stored["model"]["merges"] = [" ".join(pair) for pair in stored["model"]["merges"]]
    ours = ClipTokens(json.dumps(stored).encode())
    assert ours.encode("tape crack") == theirs(["tape crack"])["input_ids"][0]


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"model": {"type": "WordPiece", "vocab": {}, "merges": []}}',
     b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}',
     b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["abc"]}}'],
)  # fmt: skip
def test_read__damaged(content):
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        ClipTokens(content)


def test_words__letters_digits_others_apart():
    assert list(clip_words("It's 12mm, ok?!")) == ["it", "'s", "1", "2", "mm", ",", "ok", "?!"]
