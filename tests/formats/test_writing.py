import json

import numpy as np
import pytest

from drywallqa.errors import ConfigError, DataError, OutputError
from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto
from drywallqa.formats.problems import Problem
from drywallqa.formats.writing import PROBLEMS_FILE, WRITERS, write_export
from written_labels import masked_photo

SPOT = np.eye(8, dtype=bool)


@pytest.mark.parametrize("name", WRITERS)
def test_write__names_its_files_and_lists_problems(tmp_path, name):
    broken = Problem(problems.UNREADABLE, "b.png", "", "is damaged")
    photo = masked_photo(tmp_path, "a.png", {"crack": SPOT})
    result = write_export(tmp_path / "out", name, [photo, broken], ["crack"])
    assert result.photos == 1
    assert result.problems[0] == broken
    written = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == {*result.files, tmp_path / "out" / PROBLEMS_FILE}
    lines = (tmp_path / "out" / PROBLEMS_FILE).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [problem.to_json() for problem in result.problems]


@pytest.mark.parametrize("name", WRITERS)
def test_write__a_missing_photo_is_left_out(tmp_path, name):
    photos = [masked_photo(tmp_path, f"{letter}.png", {"crack": SPOT}) for letter in "ab"]
    photos[0].path.unlink()
    result = write_export(tmp_path / "out", name, photos, ["crack"])
    assert result.photos == 1
    assert [(each.kind, each.file) for each in result.problems if each.is_loss] == [
        (problems.UNREADABLE, "a.png")
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_write__photos_are_requested_one_after_another(tmp_path, name):
    """The masks of a photo can be freed before those of the photo after the next are made."""
    alive: set[int] = set()

    class Watched(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def photos():
        for number in range(5):
            mask = SPOT.copy().view(Watched)
            alive.add(id(mask))
            assert len(alive) <= 3
            yield MaskedPhoto(f"{number}.png", None, 8, 8, {"crack": mask})

    assert write_export(tmp_path / "out", name, photos(), ["crack"]).photos == 5


@pytest.mark.parametrize("name", WRITERS)
def test_write__nothing_appears_after_an_error(tmp_path, name):
    def photos():
        yield masked_photo(tmp_path, "a.png", {"crack": SPOT})
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        write_export(tmp_path / "out", name, photos(), ["crack"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_write__an_export_without_photos_is_an_error(tmp_path):
    photo = MaskedPhoto("a.png", None, 8, 8, {"crack": SPOT})
    with pytest.raises(
        DataError,
        match=r"exported as yolo; a\.png: left out: .* no label for 'seam'",
    ):
        write_export(tmp_path / "out", "yolo", [photo], ["crack", "seam"])
    assert not (tmp_path / "out").exists()


def test_write__a_folder_with_content_is_replaced_only_on_request(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.txt").touch()
    photo = MaskedPhoto("a.png", None, 8, 8, {"crack": SPOT})
    with pytest.raises(OutputError, match="is not empty"):
        write_export(tmp_path / "out", "coco", [photo], ["crack"])
    assert (tmp_path / "out/old.txt").is_file()
    write_export(tmp_path / "out", "coco", [photo], ["crack"], replace=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["annotations"]


def test_write__an_unknown_format(tmp_path):
    with pytest.raises(ConfigError, match="use one of coco, yolo"):
        write_export(tmp_path / "out", "voc", [], ["crack"])
