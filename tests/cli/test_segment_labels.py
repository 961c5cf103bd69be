import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from drywallqa import cli
from drywallqa.formats.rle import decode_runs
from drywallqa.imaging import mask_files
from fakes import wall

pytestmark = pytest.mark.usefixtures("fake_bundle")
BOTH = ("--prompt", "segment crack", "--prompt", "segment taping area")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two photos in `site`, of which EXIF turns the second."""
    monkeypatch.chdir(tmp_path)
    Path("site").mkdir()
    Image.fromarray(wall()).save("site/one.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.rot90(wall(seam=True)).copy()).save("site/two.jpg", exif=exif, quality=95)
    return tmp_path


def run(*arguments: str) -> int:
    return cli.main(["segment", "site", "--out", "out", *arguments])


def coco() -> dict:
    return json.loads(Path("out/labels-coco-rle/annotations/instances_default.json").read_text())


def test_segment__writes_pre_annotations(site: Path) -> None:
    assert run(*BOTH, "--format", "coco-rle") == 0
    data = coco()
    assert [category["name"] for category in data["categories"]] == ["crack", "taping area"]
    sizes = {image["file_name"]: (image["height"], image["width"]) for image in data["images"]}
    assert sizes == {"one.png": (48, 64), "two.jpg": (48, 64)}
    marked = {}
    for each in data["annotations"]:
        name = data["images"][each["image_id"] - 1]["file_name"].split(".")[0]
        concept = data["categories"][each["category_id"] - 1]["name"]
        marked[name, concept] = decode_runs(each["segmentation"]["counts"], 48, 64)
    assert set(marked) == {("one", "crack"), ("two", "crack"), ("two", "taping area")}
    for (name, concept), mask in marked.items():
        file = mask_files.file_name(name, f"segment {concept}")
        assert (mask == mask_files.read_mask(site / "out" / file)).all()


def test_segment__a_rerun_gives_the_complete_labels(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*BOTH) == 0
    assert not (site / "out/labels-coco-rle").exists()
    Image.fromarray(wall(shade=150)).save("site/three.png")
    capsys.readouterr()
    assert run(*BOTH, "--format", "coco-rle") == 0
    assert "1 photo segmented, 2 already done" in capsys.readouterr().out
    assert {image["file_name"] for image in coco()["images"]} == {"one.png", "two.jpg", "three.png"}


def test_segment__failed_photos_are_left_out_of_the_labels(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("site/broken.jpg").write_bytes(b"no picture")
    assert run(*BOTH, "--format", "coco-rle") == 3
    assert len(coco()["images"]) == 2
    printed = capsys.readouterr().err
    assert "broken.jpg: passed over: was not segmented" in printed
    assert "Labels: out/labels-coco-rle" in printed


def test_segment__nothing_to_write(site: Path) -> None:
    for path in Path("site").iterdir():
        path.write_bytes(b"no picture")
    assert run(*BOTH, "--format", "yolo") == 3
    assert not (site / "out/labels-yolo").exists()


def test_segment__an_unknown_format_is_refused_before_the_run(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*BOTH, "--format", "voc") == 2
    assert "use one of coco" in capsys.readouterr().err
    assert not (site / "out").exists()
