import json
import os
from pathlib import Path

import pytest

from drywallqa import files
from drywallqa.errors import OutputError
from drywallqa.files import check_folder, json_bytes, whole_file, write_whole


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
        with pytest.raises(OutputError, match="no results can be written in this folder"):
            check_folder(folder)


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
