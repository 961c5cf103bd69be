"""Files of the published names, shapes and sizes, written here with random values, on the user's way in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch

from drywallqa import masks, photos
from drywallqa.cli import main
from drywallqa.models import registry
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.models.weights import ORIGINS
from drywallqa.training import config as configuration
from drywallqa.training.fit import build_model
from models import published

pytestmark = pytest.mark.prove

PROMPTS = ["segment crack", "segment joint/tape"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    yield published.write(folder, "base")
    shutil.rmtree(folder)  # 0.8 GB


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walls")
    assert main(["data", "render", str(folder), "--count", "1"]) == 0
    return next((folder / "photos").rglob("*.jpg"))


@pytest.mark.parametrize("origin", ORIGINS)
def test_files__hold_what_is_published(origin: str, weights: Path) -> None:
    from safetensors import safe_open

    with safe_open(weights / origin / "model.safetensors", "pt") as file:
        count = sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    assert count == ORIGINS[origin].parameters


def test_try__masks_of_the_photos_size(weights: Path, photo: Path, tmp_path: Path) -> None:
    asked = [part for prompt in PROMPTS for part in ("--prompt", prompt)]
    verb = ["models", "try", "clipseg", str(photo), "--weights", str(weights), "--out", str(tmp_path)]
    assert main([*verb, *asked]) == 0
    size = photos.read(photo).shape[:2]
    for prompt in PROMPTS:
        assert masks.read(tmp_path / masks.file_name(photo.stem, prompt)).shape == size


@pytest.mark.parametrize("name", ["clip-cnn", "clip-unet"])
def test_train__starts_from_the_files(name: str, weights: Path, photo: Path) -> None:
    family = registry.find(name)
    settings = [f"model.name={name}", f"model.weights={weights}"]
    model = build_model(configuration.load(None, settings, family.training_defaults), 64)
    assert sum(p.numel() for p in model.parameters()) == family.parameters
    state = published.read(weights / family.origins[-1])
    _, projection = model.text_parts()  # type: ignore[operator]
    assert torch.equal(projection.weight, state["text_projection.weight"].float())
    window = family.window(family.side or 224)
    image, placement = window.fit(photos.read(photo))
    embeddings = model.eval().encode_prompts(PROMPTS).detach().numpy()
    backend = TorchBackend(model, lambda _: embeddings)
    logits, presence = backend.decode(backend.encode_image(image[None]), embeddings)
    assert np.isfinite(logits).all()
    assert np.isfinite(presence).all()
    assert placement.restore(logits[0, 0]).shape == photos.read(photo).shape[:2]
