"""The record of a folder: appended to by several runs at once, whole after any kill, compacted at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from drywallqa.errors import OutputError
from drywallqa.inference import manifest as module
from drywallqa.inference.manifest import FIELDS, Manifest, made_in

ADD_MANY = """
import sys
from pathlib import Path
from drywallqa.inference.manifest import Manifest

manifest = Manifest(Path(sys.argv[1]))
for number in range(150):
    manifest.add({"mask": f"{sys.argv[2]}{number}.png", "source": f"{sys.argv[2]}{number}.jpg"})
    if number % 10 == 0:
        manifest.compact()
"""


def lines(folder: Path) -> list[dict[str, object]]:
    text = (folder / "manifest.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def of(name: str, **more: object) -> dict[str, object]:
    return {"mask": f"{name}.png", "source": f"{name}.jpg", **more}


def test_manifest__last_line_counts_and_compacts(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for area in (0.1, 0.2):
        manifest.add(of("a", area=area))
    assert len(lines(tmp_path)) == 2
    manifest.compact()
    assert [line["area"] for line in lines(tmp_path)] == [0.2]
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_manifest__success_takes_the_place_of_an_error(tmp_path: Path) -> None:
    Manifest(tmp_path).add({"source": "a.jpg", "error": "damaged"})
    manifest = Manifest(tmp_path)
    manifest.add(of("a"))
    manifest.compact()
    assert lines(tmp_path) == [of("a")]


def test_manifest__what_is_taken_back_is_gone_before_and_after_compaction(tmp_path: Path) -> None:
    Manifest(tmp_path).add({"source": "a.jpg", "error": "damaged"})
    Manifest(tmp_path).add({"prompt": "dog", "error": "unknown"})
    manifest = Manifest(tmp_path)
    manifest.take_back(["a.jpg", "never-failed.jpg"], ["dog"])
    assert len(lines(tmp_path)) == 4
    assert list(manifest) == list(Manifest(tmp_path)) == []
    manifest.add({"prompt": "dog", "error": "again"})
    manifest.compact()
    assert lines(tmp_path) == [{"prompt": "dog", "error": "again"}]


def test_manifest__a_photo_and_a_prompt_of_one_name_are_two(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    failed = [{"source": "crack", "error": "missing"}, {"prompt": "crack", "error": "means two things"}]
    for record in failed:
        manifest.add(record)
    manifest.compact()
    assert lines(tmp_path) == failed
    manifest.take_back(["crack"])
    assert list(manifest) == failed[1:]


def test_manifest__cut_off_line_loses_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    Manifest(tmp_path).add(of("a", prompt="é"))
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole.replace(b"a.", b"b.")[:cut])
        manifest = Manifest(tmp_path)
        manifest.add(of("c"))
        assert {str(record["mask"]) for record in Manifest(tmp_path)} >= {"a.png", "c.png"}
        manifest.compact()
        assert {line["mask"] for line in lines(tmp_path)} >= {"a.png", "c.png"}


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_manifest__names_that_end_a_line_elsewhere(tmp_path: Path, odd: str) -> None:
    Manifest(tmp_path).add(of(f"a{odd}b", prompt=f"segment{odd}crack"))
    manifest = Manifest(tmp_path)
    assert manifest.masks[f"a{odd}b.png"] == of(f"a{odd}b", prompt=f"segment{odd}crack")


def test_manifest__names_that_are_no_text(tmp_path: Path) -> None:
    Manifest(tmp_path).add({"mask": "a.png", "source": "bad\udce4name.jpg", "prompt": "🔥"})
    assert lines(tmp_path)[0]["source"] == "bad\udce4name.jpg"
    assert "🔥" in (tmp_path / "manifest.jsonl").read_text(encoding="utf-8")


def test_manifest__is_never_rewritten_while_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    original = module.write_whole
    monkeypatch.setattr(
        module, "write_whole", lambda path, content: (written.append(path), original(path, content))
    )
    for _ in range(2):
        manifest = Manifest(tmp_path)
        for number in range(50):
            manifest.add(of(str(number)))
        assert len(written) == 0
    manifest.compact()
    manifest.compact()
    assert len(written) == 1
    assert len(lines(tmp_path)) == 50


def test_manifest__two_runs_lose_nothing_of_each_other(tmp_path: Path) -> None:
    Manifest(tmp_path).add(of("a", area=0.1))
    one, other = Manifest(tmp_path), Manifest(tmp_path)
    one.add(of("a", area=0.2))
    other.add(of("b"))
    one.compact()
    assert [record["mask"] for record in one] == ["a.png", "b.png"]
    other.add(of("c"))
    other.compact()
    assert lines(tmp_path) == [of("a", area=0.2), of("b"), of("c")]


def test_manifest__processes_that_add_and_compact_at_once_lose_nothing(tmp_path: Path) -> None:
    names = ("x", "y", "z")
    started = [subprocess.Popen([sys.executable, "-c", ADD_MANY, str(tmp_path), name]) for name in names]
    assert [process.wait(300) for process in started] == [0, 0, 0]
    Manifest(tmp_path).compact()
    assert {line["mask"] for line in lines(tmp_path)} == {f"{n}{i}.png" for n in names for i in range(150)}


def test_manifest__that_cannot_be_compacted_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OutputError(f"{path}: somebody reads it")

    manifest = Manifest(tmp_path)
    manifest.add(of("a", area=0.1))
    manifest.add(of("a", area=0.2))
    monkeypatch.setattr(module, "write_whole", refuse)
    manifest.compact()
    assert len(lines(tmp_path)) == 2
    assert list(manifest) == [of("a", area=0.2)]


def test_made_in__every_kind_of_file_and_nothing_else(tmp_path: Path) -> None:
    record = {**dict.fromkeys(FIELDS, "text"), "error": None, "quality": [], "height": 3}
    Manifest(tmp_path).add({**record, "mask": "a.png", "contour": "below/a.contour.png"})
    assert made_in(tmp_path) == [tmp_path / "a.png", tmp_path / "below" / "a.contour.png"]
