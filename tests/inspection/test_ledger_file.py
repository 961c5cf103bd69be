"""A ledger survives its file, and a damaged file is refused with the place of the damage."""

import json
from pathlib import Path
from typing import Any

import pytest

from drywallqa.errors import DataError
from drywallqa.inspection.ledger import (
    CentreLine,
    Finding,
    Ledger,
    Observation,
    PhotoRecord,
    Place,
    Review,
    ScaleRecord,
    Sizes,
    Verdict,
    Visit,
)
from drywallqa.inspection.ledger_file import read_ledger, write_ledger
from drywallqa.inspection.measures import Measure


def example_ledger() -> Ledger:
    measure = Measure(2.0, 1.5, 2.5)
    sizes = Sizes("px", *[measure] * 5, Measure(None, 0.0, 3.0))
    line = CentreLine(((1.0, 2.0), (3.0, 4.0)), (2.0, 2.5), (), (True, False))
    observation = Observation(
        1, "a/b.jpg", "compact", (0, 0, 9, 9), (((0.0, 0.0), (9.0, 0.0), (9.0, 9.0)),), (line,), sizes, None,
        (3.0, 4.0), 45.0, 1.0, 0, 2, None, 0.9, True, (Verdict("width", "pass", "fine"),),
    )  # fmt: skip
    scale = ScaleRecord(0.5, 0.02, "given", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    photo = PhotoRecord("a/b.jpg", "a", "0" * 64, 640, 480, ("blurred",), scale, 1.5)
    visit = Visit(1, "2026-11-30", "Ann", "compact", "1" * 64, {"crack": 0.5}, "nhbc 1", (photo,))
    review = Review(1, "merge", "Ann", "2026-11-30T10:00:00+00:00", {"with": [2]})
    finding = Finding(1, "a", "crack", (observation,))
    return Ledger("house", 2, (Place("a", "hall", "north"),), (visit,), (finding,), (review,))


def line_of(data: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = data["findings"][0]["observations"][0]["centre_lines"][0]
    return line


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "inspection.json"
    write_ledger(example_ledger(), path)
    assert read_ledger(path) == example_ledger()
    assert example_ledger().visits[0].photos[0].detection_limit_mm == pytest.approx(0.75 * 1.0392)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("name"), "ledger lacks the key 'name'"),
        (lambda data: data.update(nmae="x"), "unknown key 'nmae'"),
        (lambda data: data["findings"][0].update(number="one"), r"findings\[0\].number is 'one'"),
        (lambda data: data["findings"][0].update(number=True), r"findings\[0\].number is True"),
        (lambda data: data["findings"][0].update(state="gone"), r"findings\[0\].state is 'gone'"),
        (
            lambda data: data["findings"][0]["observations"][0].update(box=[1]),
            r"box has 1 items instead of 4",
        ),
        (lambda data: data.update(schema=99), "has the schema 99"),
        (lambda data: data.pop("schema"), "is not an inspection; restore the file from a backup"),
        (
            lambda data: data["findings"][0]["observations"][0].update(orientation=float("nan")),
            "finite number",
        ),
        (lambda data: line_of(data).update(width_px=[10**400] * 2), "finite number"),
        (lambda data: line_of(data).update(width_px=[1.0]), "finding 1 lacks a width at a vertex"),
        (
            lambda data: data["visits"][0]["photos"][0].update(
                scale={"mm_per_pixel": -1, "relative_sigma": 0.1, "source": ""}
            ),
            "the scale of the photo 'a/b.jpg' of visit 1 is not positive",
        ),
        (lambda data: data.update(findings={}), "not a list"),
        (lambda data: data.update(places=[]), "the place 'a' is missing"),
        (lambda data: data.update(next_number=1), "not below next_number"),
        (lambda data: data["findings"].append(data["findings"][0]), "not unique"),
        (lambda data: data["visits"].append(data["visits"][0]), r"visits have the numbers \[1, 1\]"),
        (
            lambda data: data["visits"][0]["photos"].append(data["visits"][0]["photos"][0]),
            "contains a photo twice",
        ),
        (
            lambda data: data["visits"][0]["photos"].clear(),
            "finding 1 refers to the photo 'a/b.jpg' of visit 1, which is missing",
        ),
        (lambda data: data["findings"][0].update(into=[7]), "finding 7 is missing"),
        (lambda data: data["reviews"][0].update(finding=7), "finding 7 is missing"),
    ],
)
def test_damage_is_named(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "inspection.json"
    write_ledger(example_ledger(), path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=message):
        read_ledger(path)


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000])
def test_not_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "inspection.json").write_text(text)
    with pytest.raises(DataError, match=r"inspection\.json cannot be read"):
        read_ledger(tmp_path / "inspection.json")
