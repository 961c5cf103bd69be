"""Two visits are compared from their inspections: what changed, the files, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compared_walls import LINE, OTHER, SHIFT, write_visit
from drywallqa.errors import DataError, OutputError
from drywallqa.inspection.ledger_file import read_ledger
from drywallqa.workflows.compare_visits import compare_visits

pytest.importorskip("cv2")


def test_compare__grown_and_new_and_all_files(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(OTHER, 3.0), (LINE, 6.0)], shift=SHIFT, date="2026-12-01")
    summary = compare_visits(before, after, tmp_path / "out")
    assert [(one.number, one.change) for one in summary.changes] == [(1, "grown"), (2, "new")]
    assert summary.got_worse
    width = summary.changes[0].width
    assert width is not None
    assert width.value == pytest.approx(3, abs=0.2)
    data = json.loads((tmp_path / "out/comparison.json").read_text("utf-8"))
    assert np.allclose(np.array(data["photos"][0]["homography"])[:2, 2], SHIFT, atol=0.5)
    rows = (tmp_path / "out/comparison.csv").read_text("utf-8").splitlines()
    assert rows[1].startswith("1,.,crack,grown,wall.png,wall.png,1,")
    page = (tmp_path / "out/comparison.html").read_text("utf-8")
    assert "Grown" in page
    assert "data:image" in page
    ledger = read_ledger(tmp_path / "out/inspection.json")
    assert [(one.number, [o.visit for o in one.observations]) for one in ledger.findings] == [
        (1, [1, 2]),
        (2, [2]),
    ]
    for visit in ledger.visits:
        assert (tmp_path / "out" / visit.folder / "wall.png").exists()


def test_compare__the_next_visit_continues_the_comparison(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(OTHER, 3.0), (LINE, 3.0)], shift=SHIFT)
    compare_visits(before, after, tmp_path / "second")
    third = write_visit(tmp_path / "c", [(OTHER, 3.0)], shift=-SHIFT)
    summary = compare_visits(tmp_path / "second", third, tmp_path / "third")
    assert [(one.number, one.change) for one in summary.changes] == [(1, "repaired"), (2, "unchanged")]
    assert [one.state for one in summary.ledger.findings] == ["repaired", "open"]
    assert summary.ledger.visits[2].number == 3


def test_compare__a_crack_that_the_model_missed_is_not_repaired(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(OTHER, 3.0), (LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(OTHER, 3.0), (LINE, 3.0)], shift=SHIFT, marked=1)
    (_, missed) = compare_visits(before, after, tmp_path / "out").changes
    assert (missed.change, missed.reason) == (
        "not comparable", "The later photo shows a line here that the model did not mark."
    )  # fmt: skip


def test_compare__same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(LINE, 4.0)], shift=SHIFT)
    for name in ("one", "two"):
        compare_visits(before, after, tmp_path / name)
    for file in ("comparison.json", "comparison.html", "comparison.csv", "inspection.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_refused__visits_that_do_not_match(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(OTHER, 3.0)], seed=5)
    with pytest.raises(DataError, match="do not match: no two photos surely show"):
        compare_visits(before, after, tmp_path / "out")


def test_refused__the_same_visit_twice(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    with pytest.raises(DataError, match="was given twice"):
        compare_visits(before, before, tmp_path / "out")
    copy = write_visit(tmp_path / "b", [(LINE, 3.0)])
    with pytest.raises(DataError, match="show the same photos"):
        compare_visits(before, copy, tmp_path / "out")


def test_refused__the_later_visit_first(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 4.0)])
    after = write_visit(tmp_path / "b", [(LINE, 4.0)], shift=SHIFT, date="2026-12-01")
    with pytest.raises(DataError, match="pass the earlier inspection first"):
        compare_visits(after, before, tmp_path / "out")


def test_refused__results_into_an_inspection(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(LINE, 3.0)], shift=SHIFT)
    with pytest.raises(OutputError, match="is one of the two visits"):
        compare_visits(before, after, after)


@pytest.mark.parametrize(
    ("fault", "sentence"), [("missing", "there is no such file"), ("changed", "has changed")]
)
def test_refused__photos_that_are_missing_or_changed(tmp_path: Path, fault: str, sentence: str) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(LINE, 3.0)], shift=SHIFT)
    photo = tmp_path / "b/photos/wall.png"
    if fault == "missing":
        photo.unlink()
    else:
        Image.new("RGB", (400, 300)).save(photo)
    with pytest.raises(DataError, match=sentence):
        compare_visits(before, after, tmp_path / "out")


def test_refused__no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        compare_visits(tmp_path / "x", tmp_path / "y", tmp_path / "out")


def test_align__photos_of_other_names_and_places_are_found(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(LINE, 3.0)], shift=SHIFT)
    path = after / "inspection.json"
    path.write_text(
        path.read_text("utf-8").replace('"wall.png"', '"IMG_7.png"').replace('"."', '"hall"'), "utf-8"
    )
    (tmp_path / "b/photos/wall.png").rename(tmp_path / "b/photos/IMG_7.png")
    (change,) = compare_visits(before, after, tmp_path / "out").changes
    assert (change.change, change.after) == ("unchanged", "IMG_7.png")
