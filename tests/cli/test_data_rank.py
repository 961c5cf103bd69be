import json
import os
import sys

import pytest

from drywallqa.cli import main
from drywallqa.datasets.dataset import load_dataset, save_dataset
from fakes import wall
from tiny_exports import roboflow_coco, write_photo


@pytest.fixture
def imported(tmp_path, fake_bundle):
    """A data set with one labelled photo in train, and one photo without labels."""
    export = roboflow_coco(tmp_path / "x")
    arguments = ["data", "import", str(export), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    assert main(arguments) == 0
    dataset = load_dataset(tmp_path / "out")
    first, *rest = [sample for sample in dataset if sample.split == "train"]
    unlabelled = [type(first)(**{**sample.__dict__, "labels": {}}) for sample in rest]
    save_dataset(dataset.with_samples([first, *unlabelled]))
    return tmp_path / "out"


def test_rank__prints_reasons_and_writes_json_csv_and_list(imported, tmp_path, capsys):
    files = [tmp_path / "files" / name for name in ("r.json", "r.csv", "r.txt")]
    options = [
        part for pair in zip(("--json", "--csv", "--list"), map(str, files), strict=True) for part in pair
    ]
    assert main(["data", "rank", str(imported), "--concept", "crack", "--limit", "5", *options]) == 0
    printed = capsys.readouterr().out
    assert "uncertainty  disagreement      distance  photo" in printed
    (photo,) = json.loads(files[0].read_text())["photos"]
    assert photo["photo"] in printed
    assert photo["photo"] in files[1].read_text()
    assert files[2].read_text() == f"{photo['photo']}\n"


def test_rank__an_unreadable_photo_is_one_line_and_exit_code_3(imported, tmp_path, capsys):
    write_photo(tmp_path / "new" / "a.png", wall())
    (tmp_path / "new" / "b.jpg").write_bytes(b"nothing")
    assert main(["data", "rank", str(imported), str(tmp_path / "new"), "--concept", "crack"]) == 3
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "b.jpg" in printed.err
    assert "a.png" in printed.out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows names that are not text")
def test_rank__a_name_that_is_not_text_is_written_as_it_is(imported, tmp_path):
    folder = tmp_path / "new"
    name = os.fsdecode(b"wall\xff.png")
    write_photo(folder / "a.png", wall())
    (folder / "a.png").rename(folder / name)
    files = [tmp_path / kind for kind in ("r.json", "r.csv", "r.txt")]
    options = [f"--{kind}={path}" for kind, path in zip(("json", "csv", "list"), files, strict=True)]
    assert main(["data", "rank", str(imported), str(folder), "--concept", "crack", *options]) == 0
    assert files[2].read_bytes() == os.fsencode(folder / name) + b"\n"
    assert os.fsencode(name) in files[1].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--concept", "stain"], 2, "does not know the concept 'stain'"),
        (["gone", "--concept", "crack"], 3, "gone"),
        (["--concept", "crack", "--json", "."], 2, "is a folder; pass the path of a file"),
    ],
    ids=["unknown concept", "no folder", "output is a folder"],
)
def test_rank__bad_input_is_one_line(imported, capsys, arguments, code, problem):
    assert main(["data", "rank", str(imported), *arguments]) == code
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


def test_rank__a_data_set_without_unlabelled_photos_is_an_error(imported, capsys):
    dataset = load_dataset(imported)
    save_dataset(dataset.with_samples([sample for sample in dataset if sample.labels]))
    assert main(["data", "rank", str(imported), "--concept", "crack"]) == 3
    assert "every photo has a label for 'crack'" in capsys.readouterr().err
