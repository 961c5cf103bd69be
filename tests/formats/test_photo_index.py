from pathlib import Path

import pytest

from drywallqa.formats.photo_index import PhotoIndex, PhotoName
from tiny_exports import write_photo


def _find(root: Path, *names: str) -> tuple[list[Path | None], list[str]]:
    index = PhotoIndex(root)
    found = index.find([PhotoName(name, (root,), "a.json", f"no. {name}") for name in names])
    return found, [problem.kind for problem in index.problems]


@pytest.mark.parametrize(
    "name",
    [
        "a b.jpg?x=1",
        "a%20b.jpg?x=1&y=2#top",
        "https://host/images/a%20b.jpg?x=1",
        "a%20b.jpg",
        "images\\a b.jpg",
    ],
)
def test_find__ignores_queries_and_escapes(tmp_path, name):
    photo = write_photo(tmp_path / "images" / "a b.jpg", 1)
    assert _find(tmp_path, name) == ([photo], [])


def test_find__several_queries_of_one_name_may_be_several_photos(tmp_path):
    write_photo(tmp_path / "download.jpg", 1)
    found, kinds = _find(tmp_path, "download.jpg?id=1", "download.jpg?id=2")
    assert found == [None, None]
    assert kinds == ["missing photo"] * 2


def test_find__a_mark_in_a_file_name_is_no_query(tmp_path):
    photos = [write_photo(tmp_path / name, number) for number, name in enumerate(("wall#1.jpg", "wall.jpg"))]
    assert _find(tmp_path, "wall#1.jpg", "wall.jpg") == (photos, [])
