import stat
import zipfile

import pytest

from drywallqa.errors import DataError
from drywallqa.formats.zip_files import extract_zip


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
def test_extract__an_entry_that_would_land_elsewhere_is_refused(tmp_path, name):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(name, "evil")
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="would be written outside"):
        extract_zip(archive, tmp_path / "in")
    assert not (tmp_path / "evil.txt").exists()


def test_extract__a_link_is_refused(tmp_path):
    archive = tmp_path / "x.zip"
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="would be written outside"):
        extract_zip(archive, tmp_path)


def test_extract__a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zeros.jpg", bytes(40 << 20))
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="zip bomb"):
        extract_zip(archive, tmp_path / "in")
    assert not list((tmp_path / "in").iterdir())


def test_extract__two_files_of_one_name_are_refused(tmp_path):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("labels/a.txt", "0 0.5 0.5 0.5 0.5")
        opened.writestr("labels\\b.txt", "")
        opened.writestr("labels/b.txt", "")  # the same file twice loses nothing
    extract_zip(archive, tmp_path)
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("labels/a.txt", "")
    with pytest.raises(DataError, match=r"two different files 'labels/a\.txt'"):
        extract_zip(archive, tmp_path)


def test_extract__names_of_macos_zips(tmp_path):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("k__che.txt", "0")
    archive.write_bytes(archive.read_bytes().replace(b"k__che", "k\u00fcche".encode()))
    (tmp_path / "x").mkdir()
    extract_zip(archive, tmp_path / "x")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["k\u00fcche.txt"]


def test_extract__two_different_files_of_one_name_are_refused(tmp_path):
    archive = tmp_path / "x.zip"
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("walls/a.txt", "one")
        opened.writestr("walls\\a.txt", "two")
    with pytest.raises(DataError, match="walls"):
        extract_zip(archive, tmp_path / "in")
