from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.cli import main
from drywallqa.inspection.ledger_file import read_ledger
from fakes import FakeBundle, wall


@pytest.fixture(autouse=True)
def bundle(fake_bundle: FakeBundle) -> FakeBundle:
    fake_bundle.concepts = {"crack": ConceptSettings(), "taping area": ConceptSettings(straight=True)}
    return fake_bundle


def photo_in(folder: Path, *, crack: bool) -> Path:
    photo = wall(96, 128, crack=False)
    if crack:
        photo[30:38, 16:112] = (230, 20, 20)
    folder.mkdir(exist_ok=True)
    Image.fromarray(photo).save(folder / "a.png")
    return folder


def run(folder: Path, *more: str) -> int:
    return main(["inspect", str(folder), "--out", str(folder.parent / "out"), "--date", "2026-11-30", *more])


def test_inspect__a_failed_rule_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo_in(tmp_path / "site", crack=True), "--mm-per-pixel", "1", "--reviewer", "Ann") == 1
    printed = capsys.readouterr().out
    assert "1 photo, 1 finding. Worst verdict: fail (nhbc-9.1 version 1)." in printed
    assert (tmp_path / "out" / "findings.csv").is_file()


def test_inspect__a_refused_photo_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photo_in(tmp_path / "site", crack=False)
    (folder / "bad.jpg").write_bytes(b"nothing")
    assert run(folder) == 3
    assert capsys.readouterr().err.count("error:") == 1


def test_inspect__nothing_to_complain_about_exits_0(tmp_path: Path) -> None:
    assert run(photo_in(tmp_path / "site", crack=False)) == 0


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--mm-per-pixel", "0", "--mm-per-pixel"),
        ("--marker", "10 parsecs", "--marker"),
        ("--visit", "old", "choose last or new"),
        ("--rules", "none-such", "none-such"),
        ("--date", "yesterday", "YYYY-MM-DD"),
    ],
)
def test_inspect__wrong_usage_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, words: str
) -> None:
    assert run(photo_in(tmp_path / "site", crack=True), option, value) == 2
    assert words in capsys.readouterr().err


def test_inspect__merges_splits_and_additions_outlive_another_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = photo_in(tmp_path / "site", crack=True), tmp_path / "out"
    photo = wall(96, 128, crack=False)
    photo[8:16, 4:52] = photo[36:44, 76:124] = photo[64:72, 4:124] = (230, 20, 20)
    Image.fromarray(photo).save(folder / "a.png")
    assert run(folder, "--mm-per-pixel", "1") == 1
    rows = ["finding,action,with,points,photo,concept,reviewer,time", ",,,,,,,"]
    rows += [
        "2,merge,3,,,,Ann,",
        '1,split,,"64,68",,,Ann,',
        ',add,,"10,80 60,80 60,92 10,92",a.png,crack,Ann,',
    ]
    (out / "reviews.csv").write_text("\n".join(rows), "utf-8")
    assert run(folder, "--mm-per-pixel", "1") == 1
    before = read_ledger(out / "inspection.json")
    states = [(one.number, one.state, one.into) for one in before.findings]
    assert states == [
        (1, "split", (5, 6)), (2, "merged", (4,)), (3, "merged", (4,)),
        *((number, "open", ()) for number in (4, 5, 6, 7)),
    ]  # fmt: skip
    (out / "reviews.csv").unlink()
    assert run(folder, "--mm-per-pixel", "2", "--overwrite") == 1
    after = read_ledger(out / "inspection.json")
    assert [(one.number, one.state, one.into) for one in after.findings] == states
    for old, new in zip(before.findings, after.findings, strict=True):
        (was,), (now,) = old.observations, new.observations
        assert (was.mm, now.mm) != (None, None) or not was.line_visible
        if was.mm and now.mm:
            assert now.mm.area.value == pytest.approx(4 * (was.mm.area.value or 0), rel=1e-6)
    assert "warning" not in capsys.readouterr().err
