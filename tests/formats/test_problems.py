"""The page on formats lists every kind of problem, and tells the losses from the notes."""

import re
from pathlib import Path

from drywallqa.formats import problems

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
KINDS = {value for name, value in vars(problems).items() if name.isupper() and isinstance(value, str)}


def test_page__lists_every_kind_and_whether_something_is_lost():
    rows = re.findall(r"(?m)^\| ([a-z ]+) \| [^|]+ \| (yes|no) \|", PAGE.read_text(encoding="utf-8"))
    assert {kind for kind, _ in rows} == KINDS
    assert {kind for kind, lost in rows if lost == "yes"} == problems.LOSSES


def test_problem__names_its_place_even_for_a_whole_export():
    assert str(problems.Problem("empty", "a.txt", "line 2", "marks nothing")) == (
        "a.txt, line 2: empty: marks nothing"
    )
    assert str(problems.Problem("passed over", "", "", "2 files")) == "passed over: 2 files"
