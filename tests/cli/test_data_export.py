import json

import pytest

from drywallqa.cli import main
from drywallqa.formats.writing import WRITERS
from tiny_exports import roboflow_coco


@pytest.fixture
def data(tmp_path):
    out = tmp_path / "data"
    export = roboflow_coco(tmp_path / "x")
    assert main(["data", "import", str(export), "--out", str(out), "--concept", "crack=crack"]) == 0
    return out


@pytest.mark.parametrize("layout", WRITERS)
def test_export__exit_code_0_if_nothing_is_left_out(data, tmp_path, layout, capsys):
    assert main(["data", "export", str(data), "--format", layout, "--out", str(tmp_path / "out")]) == 0
    assert f"3 photos exported to {tmp_path / 'out'}" in capsys.readouterr().out


def test_export__exit_code_3_and_a_line_for_each_photo_that_is_left_out(data, tmp_path, capsys):
    more = ["--set", "other", "--absent", "seam", "--concept", "crack=crack"]
    assert main(["data", "import", str(tmp_path / "x"), "--out", str(data), *more]) == 0
    capsys.readouterr()
    arguments = ["data", "export", str(data), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--format", "yolo"]) == 3
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if "left out: the photo has no label" in line]
    assert len(lines) == 3
    assert "left out 3" in printed.out
    assert "3 photos exported" in printed.out
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "out/problems.jsonl").open()]
    assert kinds.count("left out") == 3
    assert main([*arguments, "--format", "coco"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_export__one_split_and_concept_without_photos(data, tmp_path):
    out = tmp_path / "out"
    options = ["--concept", "crack", "--split", "val", "--no-photos", "--format", "coco"]
    assert main(["data", "export", str(data), "--out", str(out), *options]) == 0
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["instances_val.json"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--format", "voc"], "use one of coco"),
        (["--format", "coco", "--concept", "dog"], "no concept 'dog'"),
        (["--format", "coco", "--split", "dev"], "no photo in dev"),
    ],
)
def test_export__wrong_usage_is_one_line(data, tmp_path, options, error, capsys):
    assert main(["data", "export", str(data), "--out", str(tmp_path / "out"), *options]) == 2
    printed = capsys.readouterr().err
    assert error in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()
