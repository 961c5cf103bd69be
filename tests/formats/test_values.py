import pytest

from drywallqa.formats.problems import UNREAD_SIZE, unread_size
from drywallqa.formats.values import is_true, number_of, size_of


@pytest.mark.parametrize("text", ["64", "64.0", "64px", " 64 PX", "64 pixels", 64, 64.0])
def test_number__with_the_unit_px(text):
    assert number_of(text) == 64
    assert size_of(text, "48px") == (64, 48)


@pytest.mark.parametrize("text", ["64 mm", "50%", "px", "wide", True, [64]])
def test_number__with_another_unit_or_without_digits(text):
    assert number_of(text) is None
    (problem,) = unread_size(text, 48, "a.json", "image id 1")
    assert problem.kind == UNREAD_SIZE
    assert str(text) in str(problem)


@pytest.mark.parametrize("side", [None, "", 0])
def test_unread_size__nothing_was_stated(side):
    assert unread_size(side, side, "a.json", "") == []
    assert unread_size("64px", 48.0, "a.json", "") == []


@pytest.mark.parametrize(
    ("value", "truth"),
    [(True, True), (1, True), ("1", True), ("true", True), ("False", False), ("no", False), (None, False)],
)
def test_is_true__of_any_type(value, truth):
    assert is_true(value) is truth
