"""WordPiece on a vocabulary of a few pieces."""

from pathlib import Path

import pytest

from drywallqa.errors import BundleError
from drywallqa.text.text_encoder import WordPiece, basic_words

PIECES = ["[PAD]", "[UNK]", "crack", "##s", "hair", "##line", "/", "c", "##r"]


def test_encode__greedy_longest_match() -> None:
    assert WordPiece(PIECES).encode("Hairline cracks/crack", 20) == [4, 5, 2, 3, 6, 2]


def test_encode__word_with_a_foreign_part_is_unknown_as_a_whole() -> None:
    assert WordPiece(PIECES).encode("crackz hair \U0001f9f1", 20) == [1, 4, 1]


def test_encode__limit() -> None:
    assert WordPiece(PIECES).encode("crack " * 500, 3) == [2, 2, 2]


def test_words__accents_go_and_marks_stand_alone() -> None:
    assert basic_words("Fenêtre, a-b  $5 墙壁") == ["fenetre", ",", "a", "-", "b", "$", "5", "墙", "壁"]


def test_load__one_piece_per_line(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").write_text("\n".join(PIECES) + "\n", "utf-8")
    assert WordPiece.load(tmp_path / "vocabulary.txt").pieces == PIECES


def test_load__missing_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"vocabulary\.txt"):
        WordPiece.load(tmp_path / "vocabulary.txt")


def test_init__without_padding() -> None:
    with pytest.raises(BundleError, match="PAD"):
        WordPiece(["crack"])
