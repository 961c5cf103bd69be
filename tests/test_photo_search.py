from pathlib import Path

import pytest

from drywallqa.photo_search import find


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
    found = find([site])
    assert names(found.photos) == ["a.jpg", "b.PNG"]
    assert found.base == site
    assert not found.problems


def test_find__recursive(site: Path) -> None:
    found = find([site], recursive=True)
    assert names(found.photos) == ["a.jpg", "b.PNG", "c.jpg", "d.webp"]
    assert [found.folder_of(photo) for photo in found.photos] == ["", "", "deep", "deep/er"]


def test_find__pattern(site: Path) -> None:
    assert names(find([f"{site}/*.jpg"]).photos) == ["a.jpg"]
    assert names(find([f"{site}/**/*.jpg"]).photos) == ["a.jpg", "c.jpg"]


def test_find__file_with_pattern_letters(site: Path) -> None:
    (site / "a[1].jpg").write_bytes(b"x")
    assert names(find([site / "a[1].jpg"]).photos) == ["a[1].jpg"]


def test_find__named_file_counts_whatever_its_name(site: Path) -> None:
    assert names(find([site / "notes.txt"]).photos) == ["notes.txt"]


def test_find__each_photo_once(site: Path) -> None:
    assert names(find([site, site / "a.jpg", site / "deep" / ".." / "a.jpg"]).photos) == ["a.jpg", "b.PNG"]


def test_find__leaves_out_results(site: Path) -> None:
    found = find([site], recursive=True, leave_out=[site / "deep", site / "b.PNG"])
    assert names(found.photos) == ["a.jpg"]


def test_find__problems_do_not_stop_the_rest(site: Path) -> None:
    (site / "empty").mkdir()
    found = find([site / "empty", site / "missing.jpg", f"{site}/*.bmp", site / "a.jpg"])
    assert names(found.photos) == ["a.jpg"]
    assert found.base == site
    texts = [str(problem) for problem in found.problems]
    assert "no photo in this folder" in texts[0]
    assert "--recursive" in texts[0]
    assert "no such file" in texts[1]
    assert "no photo fits this pattern" in texts[2]


def test_find__common_folder_of_several(site: Path) -> None:
    found = find([site / "deep", site / "deep" / "er"])
    assert found.base == site / "deep"
    assert [found.folder_of(photo) for photo in found.photos] == ["", "er"]


def test_find__link_cycle_ends(site: Path) -> None:
    try:
        (site / "deep" / "loop").symlink_to(site, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert len(find([site], recursive=True).photos) == 4
