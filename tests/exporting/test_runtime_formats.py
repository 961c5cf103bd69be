"""Graphs in int8: kept where they do as well, and not where they do not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.bundle.bundle import DEFAULT, HEAD, Bundle, load_bundle
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.errors import DataError, ModelError
from drywallqa.evaluation.speed_cases import SpeedCase, measure_cases
from drywallqa.onnx_session import RuntimeOptions
from drywallqa.synthetic.walls import CRACK, render_wall

pytest.importorskip("onnx")
from drywallqa.exporting import runtime_formats
from drywallqa.exporting.runtime_formats import add_int8

pytestmark = pytest.mark.skipif(
    not (DEFAULT / HEAD).is_file(), reason="the package has no trained bundle yet"
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    shutil.copytree(DEFAULT, tmp_path / "bundle")
    return load_bundle(tmp_path / "bundle")


@pytest.fixture
def walls(tmp_path: Path) -> Dataset:
    samples = []
    for number in range(3):
        wall = render_wall(number, (96, 96), "crack")
        Image.fromarray(wall.photo).save(tmp_path / f"{number}.png")
        Image.fromarray(wall.labels[CRACK].astype(np.uint8) * 255).save(tmp_path / f"{number}-mask.png")
        labels = {"crack": f"{number}-mask.png"}
        samples.append(Sample(str(number), f"{number}.png", "walls", str(number), 96, 96, labels, "val"))
    return Dataset(tmp_path, tuple(samples))


def small(bundle: Bundle) -> Bundle:
    import dataclasses

    return dataclasses.replace(bundle, window=dataclasses.replace(bundle.window, size=96))


def test_add_int8__runs_and_is_listed(
    bundle: Bundle, walls: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_formats, "LARGEST_LOSS", 1.0)
    made = add_int8(small(bundle), walls)
    assert {"image_encoder.int8.onnx", "decoder.int8.onnx"} <= set(made.files)
    made.check()
    assert "in int8" in capsys.readouterr().out
    size = (made.folder / "image_encoder.int8.onnx").stat().st_size
    weights = sum((made.folder / name).stat().st_size for name in ("image_encoder.onnx", "model.safetensors"))
    assert size < weights
    images = np.stack([made.window.fit(walls.read_photo(sample))[0] for sample in walls])
    exact, rounded = (
        made.open_backend(RuntimeOptions(threads=1)),
        made.open_backend(RuntimeOptions(threads=1, precision="int8")),
    )
    prompts = exact.encode_prompts(["crack", "taping area"])
    for count in (1, 3):
        before, _ = exact.decode(exact.encode_image(images[:count]), prompts)
        after, _ = rounded.decode(rounded.encode_image(images[:count]), prompts)
        assert after.shape == before.shape
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
    (row,) = measure_cases(
        made, [SpeedCase("onnxruntime", "int8", 96, 1, 1, 1)], walls.read_photo(walls.samples[0]), seconds=0
    )
    assert row["problem"] is None
    assert row["quality"] == made.metrics["precisions"]["int8"]


def test_add_int8__not_kept_where_it_loses(
    bundle: Bundle, walls: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_formats, "LARGEST_LOSS", -2.0)
    before = sorted(path.name for path in bundle.folder.iterdir())
    with pytest.raises(ModelError, match="not kept"):
        add_int8(small(bundle), walls)
    assert sorted(path.name for path in bundle.folder.iterdir()) == before
    assert sorted(path.name for path in bundle.folder.parent.iterdir() if path.is_dir()) == ["bundle"]


def test_add_int8__needs_validation_photos(bundle: Bundle, walls: Dataset) -> None:
    with pytest.raises(DataError, match="'val'"):
        add_int8(small(bundle), walls.with_samples(()))
