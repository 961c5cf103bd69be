"""Files of the published names, shapes and sizes, written here with random values, on the user's way in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import torch
from safetensors.torch import load_file

from drywallqa.cli import main
from drywallqa.imaging import mask_files, photos
from drywallqa.models import registry
from drywallqa.models.contract import load_strictly
from drywallqa.training.checkpoints import write_weights
from drywallqa.training.config import load_config
from drywallqa.training.fit import build_model
from drywallqa.training.losses import mask_loss, presence_loss
from drywallqa.training.task import parameter_groups
from models import published

pytestmark = pytest.mark.prove

PROMPTS = ["segment crack", "segment joint/tape"]
PARAMETERS = {"clipseg": 150_747_746, "clip": 149_620_737, "sam": 93_735_728}  # as published


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


@pytest.mark.parametrize(("origin", "parameters"), PARAMETERS.items())
def test_files__hold_what_is_published(origin: str, parameters: int, weights: Path) -> None:
    from safetensors import safe_open

    with safe_open(weights / origin / "model.safetensors", "pt") as file:
        count = sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    assert count == parameters


@pytest.mark.parametrize("name", ["clipseg", "sam-clip-zero-shot"])
def test_try__masks_of_the_photos_size(name: str, weights: Path, photo: Path, tmp_path: Path) -> None:
    asked = [part for prompt in PROMPTS for part in ("--prompt", prompt)]
    verb = ["models", "try", name, str(photo), "--weights", str(weights), "--out", str(tmp_path)]
    assert main([*verb, *asked]) == 0
    size = photos.read_photo(photo).shape[:2]
    for prompt in PROMPTS:
        assert mask_files.read_mask(tmp_path / mask_files.file_name(photo.stem, prompt)).shape == size


@pytest.mark.parametrize("name", ["clip-cnn", "clip-unet", "sam-clip"])
def test_train__starts_from_the_files_learns_and_is_saved(
    name: str, weights: Path, photo: Path, tmp_path: Path
) -> None:
    family = registry.find_family(name)
    settings = [f"model.name={name}", f"model.weights={weights}"]
    model = build_model(load_config(None, settings), 64)
    assert sum(p.numel() for p in model.parameters()) == family.parameters
    _, projection = model.text_parts()  # type: ignore[operator]
    published_projection = published.read(weights / family.origins[-1])["text_projection.weight"]
    assert torch.equal(projection.weight, published_projection.float())

    image, placement = family.letterbox(family.side or 224).fit(photos.read_photo(photo))
    with torch.no_grad():
        embeddings = model.eval().encode_prompts(PROMPTS)
        features = model.encode_image(torch.from_numpy(image[None]))
    logits, presence = model.decode(features, embeddings)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(presence).all()
    assert placement.restore(logits[0, 0].detach().numpy()).shape == photos.read_photo(photo).shape[:2]

    truth, known = torch.zeros_like(logits), torch.ones_like(presence)
    truth[:, 0, :8] = 1
    (mask_loss(logits, truth, known, 1.0) + presence_loss(presence, truth, known)).backward()
    torch.optim.AdamW(parameter_groups(model, 1e-5, 1e-4, 0.01)).step()
    write_weights(model.state_dict(), tmp_path / "last.safetensors", {})
    learnt = load_file(tmp_path / "last.safetensors")
    (tmp_path / "last.safetensors").unlink()  # 0.6 GB
    again = registry.create_model(name).eval()
    load_strictly(again, learnt, "what was saved")
    with torch.no_grad():
        moved, _ = again.decode(features, embeddings)
        assert torch.equal(moved, model.decode(features, embeddings)[0])
    assert not torch.equal(moved, logits)
