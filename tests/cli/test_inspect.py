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


def test_inspect__a_rerun_without_a_scale_keeps_the_millimetres(tmp_path: Path) -> None:
    folder, ledger = photo_in(tmp_path / "site", crack=True), tmp_path / "out" / "inspection.json"
    assert run(folder, "--mm-per-pixel", "1") == 1
    before = ledger.read_bytes()
    assert run(folder) == 1
    assert ledger.read_bytes() == before


def test_inspect__each_visit_has_its_own_pictures(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    folder, pictures = photo_in(tmp_path / "site", crack=True), tmp_path / "out" / "pictures"
    run(folder)
    before = {path: path.read_bytes() for path in pictures.rglob("*.jpg")}
    run(photo_in(tmp_path / "later", crack=False), "--visit", "new")
    assert len(before) == 2
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list((pictures / "visit-2").glob("*.jpg"))) == 1


def test_inspect__results_of_another_inspection_are_no_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photo_in(tmp_path / "site", crack=True)
    assert main(["inspect", str(folder), "--out", str(folder / "first")]) == 0
    assert run(folder) == 0
    err = capsys.readouterr().err
    assert "site/first contains the results of an inspection, so it was not searched for photos" in err
    (visit,) = read_ledger(tmp_path / "out" / "inspection.json").visits
    assert [photo.path for photo in visit.photos] == ["a.png"]


@pytest.mark.parametrize(
    ("path", "out", "code", "words"),
    [
        ("site", "site", 2, "cannot contain both the photos and the results"),
        ("nowhere", "out", 3, "no photo was found, so nothing was inspected"),
        ("empty", "out", 3, "no photo was found, so nothing was inspected"),
    ],
)
def test_inspect__folders_that_cannot_be_inspected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, out: str, code: int, words: str
) -> None:
    photo_in(tmp_path / "site", crack=True)
    (tmp_path / "empty").mkdir()
    assert main(["inspect", str(tmp_path / path), "--out", str(tmp_path / out)]) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / out / "inspection.json").exists()


def test_inspect__results_name_no_folder_of_this_machine(tmp_path: Path) -> None:
    folder = photo_in(tmp_path / "site", crack=True)
    (folder / "bad.jpg").write_bytes(b"nothing")
    assert run(folder, "--board", "1200mm") == 3
    for name in ("inspection.json", "report.html", "findings.csv"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("photo", "option", "known"),
    [
        ("a.png", (), True),
        ("a.png", ("--threshold", "0.9"), False),
        ("a.png", ("--prompt", "taping area"), False),
        ("dark.png", (), False),
    ],
)
def test_inspect__a_detection_limit_only_where_it_holds(
    tmp_path: Path, bundle: FakeBundle, photo: str, option: tuple[str, ...], known: bool
) -> None:
    bundle.name = "compact"
    folder = photo_in(tmp_path / "site", crack=True)
    Image.new("RGB", (128, 96)).save(folder / "dark.png")
    run(folder, *option)
    (visit,) = read_ledger(tmp_path / "out" / "inspection.json").visits
    (record,) = (one for one in visit.photos if one.path == photo)
    assert (record.detection_limit_px is not None) is known
