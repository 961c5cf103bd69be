"""Lengths and points that users type."""

from __future__ import annotations

import numpy as np
import pytest

from drywallqa.errors import ScaleError
from drywallqa.inspection.lengths import Length, parse_length, parse_mm, parse_points


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("50mm", 50, "mm"), ("2 in", 50.8, "mm"), ('2"', 50.8, "mm"), ("0.5 m", 500, "mm"),
        ("40px", 40, "px"),
        (" 1.2CM ", 12, "mm"), ("4ft", 1219.2, "mm"), ("1e3 mm", 1000, "mm"), (".5in", 12.7, "mm"),
    ],
)  # fmt: skip
def test_parse_length__units(text: str, value: float, unit: str) -> None:
    found = parse_length(text, "--band")
    assert found == Length(pytest.approx(value), unit)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("50", '--band: "50" has no unit; write it as 50mm'),
        ("50 furlongs", '--band: "furlongs" is not a known unit'),
        ("50 mm2", '"mm2" is not a known unit'),
        ("0mm", "--band: 0mm is not above zero"),
        ("-3 mm", "-3 mm is not above zero"),
        ("1e999mm", "is not a finite number"),
        ("nan mm", "is not a length"),
        ("1,5 mm", "is not a known unit"),
        ("", '"" is not a length'),
        ("mm", "is not a length"),
    ],
)
def test_parse_length__says_what_is_wrong(text: str, sentence: str) -> None:
    with pytest.raises(ScaleError, match="--band") as caught:
        parse_length(text, "--band")
    assert sentence in str(caught.value)


def test_parse_mm__refuses_pixels() -> None:
    assert parse_mm("4 ft", "--board") == pytest.approx(1219.2)
    with pytest.raises(ScaleError, match=r"--board: \"40px\" is in pixels"):
        parse_mm("40px", "--board")


@pytest.mark.parametrize("text", ["12,30 480,30", "12 30 480 30", "12,30;480,30", " 12, 30,  480, 30 "])
def test_parse_points__several_spellings(text: str) -> None:
    assert np.array_equal(parse_points(text, 2, "--line"), [[12, 30], [480, 30]])


@pytest.mark.parametrize("text", ["12,30", "1,2 3,4 5,6", "a,b c,d", "1,2 3,inf", ""])
def test_parse_points__wrong_number_of_points(text: str) -> None:
    with pytest.raises(ScaleError, match=r'--line: .* is not 2 points; .*"120,80 940,85"'):
        parse_points(text, 2, "--line")
