"""`drywallqa refine`, on walls whose cracks are red and whose seams are blue."""

from pathlib import Path

import numpy as np
import pytest

import drywallqa.workflows.refine
from drywallqa.bundle.bundle import Bundle, load_bundle
from drywallqa.cli import main
from drywallqa.evaluation.refinements import RefinementRow, best_refinements
from drywallqa.inference.refinement import Refinement
from drywallqa.intervals import Figure
from measured_walls import SpeckledBackend, load_json, make_bundle, make_dataset


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known: dict[str, Bundle] = {}

    def add(**options: object) -> Path:
        folder = tmp_path / "bundle"
        known[str(folder)] = make_bundle(folder, **options)
        return folder

    monkeypatch.setattr(drywallqa.workflows.refine, "load_bundle", lambda path=None: known[str(path)])
    return add


def run(data: Path, model: Path, *more: str) -> int:
    return main(["refine", "--data", str(data), "--model", str(model), "-q", *more])


def candidates(*names: str) -> list[str]:
    return [part for name in names for part in ("--candidate", name)]


def test_refine__a_table_with_what_each_gains(data, use, tmp_path, capsys) -> None:
    out = tmp_path / "table.json"
    before = (use() / "bundle.json").read_bytes()
    model = tmp_path / "bundle"
    names = ("morphology", "guided", "crf", "join", "guided+join")
    assert run(data, model, "--out", str(out), *candidates(*names)) == 0
    told = capsys.readouterr().out
    assert "split 'val': 9 photos made from 8 source photos" in told
    assert told.count("guided+join") == 2
    rows = load_json(out)["rows"]
    assert len(rows) == 2 * 6  # none is always measured
    for row in rows:
        figures = row["figures"]
        assert ("F1 within 3 px" in figures) == (row["concept"] == "crack")
        assert 0 <= figures["IoU"]["low"] <= figures["IoU"]["value"] <= figures["IoU"]["high"] <= 1
        if row["refinement"] == "none":
            assert row["gains"]["IoU"]["value"] == 0
            assert row["milliseconds"] == 0
        else:
            assert row["milliseconds"] > 0
    assert (model / "bundle.json").read_bytes() == before, "nothing is written without --write"
    assert run(data, model, "--out", str(out), *candidates("morphology")) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_refine__what_is_worth_having_is_stored_and_segmenting_does_it(data, use, capsys) -> None:
    model = use(backend=SpeckledBackend())
    assert run(data, model, "--write", *candidates("morphology", "join")) == 0
    told = capsys.readouterr().out
    assert "crack: the best refinement is morphology" in told
    stored = load_bundle(model)
    stored.check()
    assert {name: each.refine for name, each in stored.concepts.items()} == {
        "crack": "morphology", "taping area": "morphology",
    }  # fmt: skip


def test_refine__where_nothing_gains_none_stays(data, use, capsys) -> None:
    model = use()
    before = load_bundle(model).concepts
    assert run(data, model, "--write", *candidates("join")) == 0
    assert "no refinement is used" in capsys.readouterr().out
    assert load_bundle(model).concepts == before


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (["--candidate", "sharpen"], 2, "unknown refinement 'sharpen'"),
        (["--set", "nowhere"], 3, "no set ['nowhere'] in 'val'"),
    ],
)
def test_refine__wrong_requests_are_one_sentence(data, use, capsys, change, code, words) -> None:
    assert run(data, use(), *change) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_refine__without_validation_photos_is_refused(tmp_path, use, capsys) -> None:
    make_dataset(tmp_path / "data", splits=("train", "test"))
    assert run(tmp_path / "data", use()) == 3
    assert "no photo in split 'val'" in capsys.readouterr().err


def row(
    name: str, gain: float, low: float, milliseconds: float, f1: float = 0.0, alarms: float = 0.0
) -> RefinementRow:
    figures = {
        "IoU": Figure(gain, low, gain + 0.01, 9, 9),
        "F1 within 3 px": Figure(f1, f1 - 0.001, f1 + 0.001, 9, 9),
        "false alarms": Figure(alarms, np.nan, np.nan, 9, 9),
    }
    return RefinementRow("crack", Refinement.parse(name), 0.5, {}, figures, milliseconds)


def test_best__is_sure_harms_nothing_and_is_quick() -> None:
    none = row("none", 0, 0, 0)
    assert str(best_refinements([none, row("guided", 0.02, -0.001, 9)])["crack"].refinement) == "none"
    assert str(best_refinements([none, row("guided", 0.004, 0.003, 9)])["crack"].refinement) == "none"
    assert str(best_refinements([none, row("guided", 0.02, 0.01, 9, f1=-0.01)])["crack"].refinement) == "none"
    assert str(best_refinements([none, row("crf", 0.02, 0.01, 9, alarms=0.01)])["crack"].refinement) == "none"
    rows = [none, row("crf+join", 0.021, 0.01, 90), row("guided", 0.02, 0.01, 9), row("join", 0.01, 0.009, 1)]
    assert str(best_refinements(rows)["crack"].refinement) == "guided"
