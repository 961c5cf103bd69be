import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from drywallqa import files
from drywallqa.errors import OutputError
from drywallqa.files import (
    append_line,
    check_folder,
    file_lock,
    json_bytes,
    read_json_lines,
    whole_file,
    whole_folder,
    write_whole,
)


def test_write_whole__replaces(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.bin", b"one")
    write_whole(tmp_path / "a" / "b.bin", b"two")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"two"
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_write_whole__interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "b.bin", b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "b.bin", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_check_folder__a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    for folder in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(OutputError, match="results cannot be written to this folder"):
            check_folder(folder)


def test_read_json_lines__line_feeds_alone_end_a_line(tmp_path: Path) -> None:
    names = ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb", "a\x0cb", "a\x1cb", "a\rb", "a\nb"]
    path = tmp_path / "a.jsonl"
    for name in names:
        append_line(path, json_bytes({"name": name}, None))
    assert list(read_json_lines(path)) == [(number, {"name": name}) for number, name in enumerate(names, 1)]


def test_read_json_lines__what_is_no_object_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\n[1]\n{"b": \n{"c": "\xff"}\n' + b"[" * 100_000 + b'\n{"d": 2}')
    assert list(read_json_lines(path)) == [
        (1, {"a": 1}), (3, None), (4, None), (5, None), (6, None), (7, {"d": 2})
    ]  # fmt: skip


def test_append_line__starts_anew_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for there, then in ((b"", b"new\n"), (b"old\n", b"old\nnew\n"), (b"ol", b"ol\nnew\n")):
        path.write_bytes(there)
        append_line(path, b"new\n")
        assert path.read_bytes() == then


def test_locked__one_at_a_time_and_leaves_nothing(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(50):
            with file_lock(tmp_path / "a.jsonl"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    if sys.platform != "win32":
        assert list(tmp_path.iterdir()) == []


def test_locked__is_given_back_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), file_lock(tmp_path / "a.jsonl"):
            raise KeyError


def test_whole_file__is_synced_through_a_handle_that_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="this system tells nothing of how a handle was opened")
    synced = []

    def sync(number: int) -> None:
        synced.append(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", sync)
    with whole_file(tmp_path / "b.bin", durable=True) as beside:
        beside.write_bytes(b"new")
    assert synced == [os.O_RDWR]  # Windows refuses a handle that was opened for reading
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_whole_file__a_disk_that_cannot_sync_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.bin").write_bytes(b"old")

    def fail(number: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"), whole_file(tmp_path / "b.bin", durable=True) as beside:
        beside.write_bytes(b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_sources__sync_in_one_place() -> None:
    source = Path(files.__file__).parent
    found = [path.name for path in source.rglob("*.py") if "os.fsync(" in path.read_text("utf-8")]
    assert found == ["files.py"]


def test_json_bytes__name_that_is_no_text() -> None:
    name = b"K\xfcche \xc3\xa9".decode("utf-8", "surrogateescape")
    content = json_bytes({"photo": name})
    assert "é" in content.decode()
    assert json.loads(content) == {"photo": name}


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_whole_folder__appears_when_it_is_complete(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "b") as new:
        (new / "one").touch()
        assert not (tmp_path / "a" / "b").exists()
    assert _names(tmp_path) == ["a", "a/b", "a/b/one"]
    assert (tmp_path / "a" / "b").stat().st_mode == (tmp_path / "a").stat().st_mode


def test_whole_folder__takes_the_place_of_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with whole_folder(tmp_path / "b") as new:
        (new / "one").touch()
    assert _names(tmp_path) == ["b", "b/one"]


@pytest.mark.parametrize("replace", [True, False])
def test_whole_folder__an_error_leaves_the_old_folder(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old").touch()

    def fill() -> None:
        with whole_folder(tmp_path / "b", replace=replace) as new:
            (new / "one").touch()
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="no space left" if replace else "not empty"):
        fill()
    assert _names(tmp_path) == ["b", "b/old"]


def test_whole_folder__replaces_an_old_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "old").touch()
    with whole_folder(tmp_path / "b", replace=True) as new:
        (new / "one").touch()
    assert _names(tmp_path) == ["b", "b/one"]


def test_whole_folder__a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    with pytest.raises(OutputError, match="cannot be written"), whole_folder(tmp_path / "b"):
        pass
