import os
from pathlib import Path, PureWindowsPath

import pytest

from drywallqa.imaging import photo_search
from drywallqa.imaging.photo_search import FoundFiles, common_folder, folder_below, search_photos
from drywallqa.inference.plan import place_photos


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.PNG", "notes.txt", ".hidden.jpg", "deep/c.jpg", "deep/er/d.webp", ".git/e.jpg"):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "site"


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_find__folder(site: Path) -> None:
    found = search_photos([site])
    assert names(found.photos) == ["a.jpg", "b.PNG"]
    assert found.base == site
    assert not found.problems


def test_find__recursive(site: Path) -> None:
    found = search_photos([site], recursive=True)
    assert names(found.photos) == ["a.jpg", "b.PNG", "c.jpg", "d.webp"]
    assert [found.folder_of(photo) for photo in found.photos] == ["", "", "deep", "deep/er"]


def test_find__pattern(site: Path) -> None:
    assert names(search_photos([f"{site}/*.jpg"]).photos) == ["a.jpg"]
    assert names(search_photos([f"{site}/**/*.jpg"]).photos) == ["a.jpg", "c.jpg"]


def test_find__file_with_pattern_letters(site: Path) -> None:
    (site / "a[1].jpg").write_bytes(b"x")
    assert names(search_photos([site / "a[1].jpg"]).photos) == ["a[1].jpg"]


def test_find__named_file_counts_whatever_its_name(site: Path) -> None:
    assert names(search_photos([site / "notes.txt"]).photos) == ["notes.txt"]


def test_find__each_photo_once(site: Path) -> None:
    assert names(search_photos([site, site / "a.jpg", site / "deep" / ".." / "a.jpg"]).photos) == [
        "a.jpg",
        "b.PNG",
    ]


def test_find__leaves_out_results(site: Path) -> None:
    found = search_photos([site], recursive=True, leave_out=[site / "deep", site / "b.PNG"])
    assert names(found.photos) == ["a.jpg"]


def test_find__problems_do_not_stop_the_rest(site: Path) -> None:
    (site / "empty").mkdir()
    found = search_photos([site / "empty", site / "missing.jpg", f"{site}/*.bmp", site / "a.jpg"])
    assert names(found.photos) == ["a.jpg"]
    assert found.base == site
    texts = [str(problem) for problem in found.problems]
    assert "no photo in this folder" in texts[0]
    assert "--recursive" in texts[0]
    assert "no such file" in texts[1]
    assert "no photo matches this pattern" in texts[2]


def test_find__common_folder_of_several(site: Path) -> None:
    found = search_photos([site / "deep", site / "deep" / "er"])
    assert found.base == site / "deep"
    assert [found.folder_of(photo) for photo in found.photos] == ["", "er"]


def test_find__link_cycle_ends(site: Path) -> None:
    try:
        (site / "deep" / "loop").symlink_to(site, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert len(search_photos([site], recursive=True).photos) == 4


def link(place: Path, target: Path) -> None:
    try:
        place.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("this system makes no links")


@pytest.mark.parametrize("target", [".", "deep", ".."])
def test_find__link_cycle_below_a_pattern_finds_each_photo_once(site: Path, target: str) -> None:
    (site.parent / "beside.jpg").write_bytes(b"x")
    link(site / "deep" / "er" / "loop", (site / target).resolve())
    found = search_photos([f"{site}/**/*.jpg"])
    assert [path.relative_to(site).as_posix() for path in found.photos] == ["a.jpg", "deep/c.jpg"]
    assert not found.problems
    assert names(search_photos([f"{site}/**"]).photos) == ["a.jpg", "b.PNG", "c.jpg", "d.webp"]
    assert names(search_photos([f"{site}/**/er/**/*.webp"]).photos) == ["d.webp"]


def test_find__many_links_to_folders_around_are_not_followed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        link(site / "deep" / f"loop{number}", site)
        link(site / "deep" / "er" / f"loop{number}", site / "deep")
    visits: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: visits.append(os.fspath(place)) or scan(place))
    assert len(search_photos([f"{site}/**/*.jpg"]).photos) == 2
    assert len(visits) < 10  # following them all would take longer than anybody lives


def test_find__a_linked_folder_is_looked_into_under_its_own_name_first(site: Path, tmp_path: Path) -> None:
    link(site / "aaa", site / "deep")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "z.jpg").write_bytes(b"x")
    link(site / "far", tmp_path / "far")
    found = search_photos([f"{site}/**/*.jpg"])
    assert [found.folder_of(path) for path in found.photos] == ["", "deep", "far"]
    assert names(search_photos([f"{site}/*/*.jpg"]).photos) == ["c.jpg", "z.jpg"]


def test_find__each_real_file_once(site: Path) -> None:
    link(site / "0-first.jpg", site / "deep" / "c.jpg")
    found = search_photos([site], recursive=True)
    assert names(found.photos) == ["a.jpg", "b.PNG", "c.jpg", "d.webp"]
    assert not found.problems
    only = search_photos([site / "deep", f"{site}/0*.jpg", site / "deep"])
    assert (names(only.photos), only.problems) == (["c.jpg"], ())
    assert names(search_photos([site / "deep" / "c.jpg", site / "0-first.jpg"]).photos) == [
        "c.jpg",
        "0-first.jpg",
    ]


def test_find__two_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_search, "absolute_path", PureWindowsPath)
    folders = [PureWindowsPath(text) for text in ("C:/site/a", "D:/old", "c:/Site/b", "//nas/photos/x")]
    photos = tuple(folder / "1.jpg" for folder in folders)
    assert common_folder(folders) == PureWindowsPath("C:/site")
    found = FoundFiles(photos, common_folder(folders))
    items, refused = place_photos(found, recursive=False)
    assert [item.folder for item in items] == ["a", "D/old", "b", "nas/photos/x"]
    assert not refused


@pytest.mark.parametrize(
    ("folder", "below"),
    [("C:/site", ""), ("c:/SITE/x", "x"), ("C:/", "C"), ("E:/", "E"), ("//?/F:/x", "F/x"), ("D:/a", "D/a")],
)
def test_folder_below__names_that_any_system_takes(folder: str, below: str) -> None:
    assert folder_below(PureWindowsPath(folder), PureWindowsPath("C:/site")) == below


@pytest.mark.parametrize("pattern", ["", "*", "**/*.jpg"])
def test_find__results_of_an_inspection_are_left_out(site: Path, pattern: str) -> None:
    (site / "deep" / "inspection.json").write_text("{}")
    found = search_photos([site / pattern], recursive=True)
    assert set(names(found.photos)) <= {"a.jpg", "b.PNG"}
    assert found.photos
    assert found.inspections == (site / "deep",)


def test_find__a_pattern_leaves_out_subfolders_of_the_results(site: Path) -> None:
    found = search_photos([f"{site}/**/*"], leave_out=[site / "deep"])
    assert names(found.photos) == ["a.jpg", "b.PNG"]
