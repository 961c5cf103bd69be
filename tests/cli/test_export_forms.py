"""`drywallqa export BUNDLE --format … --precision …`: further forms of a bundle from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa import cli
from drywallqa.bundle.bundle import DEFAULT, HEAD, load_bundle

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    not (DEFAULT / HEAD).is_file(), reason="the package has no trained bundle yet"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of two grey photos, on which nothing can be lost."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset.json").write_text('{"format_version": 1, "concepts": {"crack": ["crack"]}}')
    lines = []
    for name in ("a", "b"):
        Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(folder / f"{name}.png")
        lines.append(
            {"image_id": name, "photo": f"{name}.png", "set": "s", "source_photo": name, "split": "val",
             "height": 64, "width": 64, "labels": {"crack": None}}
        )  # fmt: skip
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def export(data: Path, *arguments: object) -> int:
    return cli.main(["export", str(DEFAULT), "--data", str(data), *map(str, arguments)])


def test_export__openvino(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    assert export(data, "--out", tmp_path / "new", "--format", "openvino", "--precision", "fp16") == 0
    made = load_bundle(tmp_path / "new")
    assert {"image_encoder.fp16.xml", "image_encoder.fp16.bin", "decoder.fp16.xml"} <= set(made.files)
    made.check()
    assert "logits differ" in capsys.readouterr().out
    assert export(data, "--out", tmp_path / "new", "--format", "openvino") == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "tflite"), "onnx, openvino"),
        (("--precision", "fp4"), "fp32, fp16, int8"),
        (("--precision", "fp16"), "--format openvino"),
    ],
)
def test_export__impossible_forms(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert export(data, "--out", tmp_path / "new", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
