from pathlib import Path

import pytest

from drywallqa.errors import OutputError
from drywallqa.files import check_folder, write_whole


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
