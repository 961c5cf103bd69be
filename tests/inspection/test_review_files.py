"""`reviews.csv` is read strictly: what a person decided is never guessed."""

import csv
from pathlib import Path

import pytest

from drywallqa.errors import ReviewError
from drywallqa.inspection.review_files import COLUMNS, read_reviews, write_review_template
from inspection_examples import finding_of, ledger_of, observation_of, photo_of

HEAD = "finding,action,with,points,photo,concept,rule,text,reviewer,time\n"


def filed(folder: Path, text: str, reviewer: str = "Ann", head: str = HEAD):  # type: ignore[no-untyped-def]
    path = folder / "reviews.csv"
    path.write_text(head + text, encoding="utf-8")
    return read_reviews(path, reviewer)


def test_each_action_is_read(tmp_path: Path) -> None:
    rows = filed(
        tmp_path,
        "1,confirm,,,,,crack-width,,,\n"
        "2,reject,,,,,,a cable,Bob,2026-11-30T14:00:00+01:00\n"
        "3,merge,4 #5,,,,,,,\n"
        '6,split,,"10,20.5 30,40",a.jpg,crack,,,,\n'
        '7,Comment,,,,,,"two\nlines, with a comma",,\n'
        ',add,,"1,2 3,4 5,6",b.jpg,,,,,\n'
        "8,delete,,,,,,,,2026-11-30T14:00:00Z\n",
    )
    assert [r.action for r in rows] == ["confirm", "reject", "merge", "split", "comment", "add", "delete"]
    assert [r.finding for r in rows] == [1, 2, 3, 6, 7, 0, 8]
    assert [r.reviewer for r in rows] == ["Ann", "Bob", "Ann", "Ann", "Ann", "Ann", "Ann"]
    assert rows[0].detail == {"rule": "crack-width"}
    assert rows[1].time == "2026-11-30T14:00:00+01:00"
    assert rows[2].detail == {"with": [4, 5]}
    assert rows[3].detail == {"points": [[10, 20.5], [30, 40]]}
    assert rows[4].detail == {"text": "two\nlines, with a comma"}
    assert (rows[5].photo, rows[5].detail) == ("b.jpg", {"points": [[1, 2], [3, 4], [5, 6]]})
    assert rows[6].time == "2026-11-30T14:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,confrm,,,,,,,,\n", "row 2: the action 'confrm' is unknown; did you mean 'confirm'"),
        ("\n1,confirm,,,,,,,,\nx,delete,,,,,,,,\n", "row 4: 'x' is not the number of a finding"),
        ("-1,delete,,,,,,,,\n", "'-1' is not the number of a finding"),
        ("1.5,delete,,,,,,,,\n", "'1.5' is not the number"),
        (",delete,,,,,,,,\n", "'' is not the number of a finding"),
        ("1,merge,,,,,,,,\n", "the action 'merge' needs the column 'with'"),
        ("1,merge,two,,,,,,,\n", "'two' is not the number of a finding"),
        ("1,comment,,,,,,,,\n", "'comment' needs the column 'text'"),
        (',add,,"1,2 3,4 5,6",,,,,,\n', "'add' needs the column 'photo'"),
        (",add,,,a.jpg,,,,,\n", "'add' needs the column 'points'"),
        (',add,,"1,2 3,4",a.jpg,,,,,\n', "an outline needs at least three points"),
        ('4,add,,"1,2 3,4 5,6",a.jpg,,,,,\n', "leave 'finding' empty"),
        ("1,delete,2,,,,,,,\n", "'delete' does not use the column 'with'"),
        ("1,reject,,,,,crack-width,,,\n", "'reject' does not use the column 'rule'"),
        ('1,split,,"1,2 3",,,,,,\n', "points: .* is not 1 points"),
        ('1,split,,"1,nan",,,,,,\n', "points: .* is not 1 points"),
        ("1,delete,,,,,,,,yesterday\n", "'yesterday' is not a time"),
        ("1,delete,,,,,,,,2026-11-30T14:00:00\n", "has no offset from UTC"),
        ("1,delete,,,,,,,,,extra\n", "has 11 cells, but there are 10 columns"),
        ('1,delete,"x\n', "is not a CSV file"),
    ],
)
def test_each_fault_names_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ReviewError, match=message) as caught:
        filed(tmp_path, text)
    assert "reviews.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("finding,actoin\n", "row 1: the column 'actoin' is unknown; did you mean 'action'"),
        ("finding,text\n", "row 1: the column 'action' is missing"),
        ("finding,action,action\n", "row 1: the column 'action' occurs twice"),
        ("", "row 1: the column 'finding' is missing"),
    ],
)
def test_columns_are_checked(tmp_path: Path, head: str, message: str) -> None:
    with pytest.raises(ReviewError, match=message):
        filed(tmp_path, "", head=head)


def test_a_reviewer_is_needed(tmp_path: Path) -> None:
    with pytest.raises(
        ReviewError, match="row 2: there is no reviewer; fill in the column or pass --reviewer"
    ):
        filed(tmp_path, "1,delete,,,,,,,,\n", reviewer="")


def test_files_of_other_spreadsheets(tmp_path: Path) -> None:
    (row,) = filed(tmp_path, "1;split;12,5;Ann\r\n", "", "\ufeffFinding;Action;points;reviewer\r\n")
    assert row.detail == {"points": [[12, 5]]}
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + "1,comment,,,,,,é,,\n".encode("latin-1"))
    with pytest.raises(ReviewError, match=r"latin\.csv is not UTF-8; save it as 'CSV UTF-8'"):
        read_reviews(tmp_path / "latin.csv")
    with pytest.raises(ReviewError, match="cannot be read"):
        read_reviews(tmp_path / "missing.csv")


def test_the_template_is_valid_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    photo = photo_of(path="=hall/a.jpg")
    finding = finding_of(1, observation_of(photo="=hall/a.jpg"))
    old = finding_of(3, observation_of(visit=9))
    assert write_review_template(
        ledger_of(finding, finding_of(2, state="deleted"), old, photos=(photo,)), path
    )
    assert read_reviews(path) == []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["finding"], row["photo"], row["concept"]) for row in rows] == [
        ("1", "'=hall/a.jpg", "crack")
    ]
    path.write_text(path.read_text(encoding="utf-8").replace("1,,", "1,confirm,"), encoding="utf-8")
    (row,) = read_reviews(path, "Ann")
    assert (row.photo, row.concept) == ("=hall/a.jpg", "crack")
    assert not write_review_template(ledger_of(finding, photos=(photo,)), path)
    assert len(read_reviews(path, "Ann")) == 1
