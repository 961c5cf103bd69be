import multiprocessing

import numpy as np
import pytest
import torch

from drywallqa.errors import ConfigError
from drywallqa.models import registry
from drywallqa.models.contract import TrainedLayers
from drywallqa.sampling.feature_cache import CachedEncoder, FeatureCache, model_revision


def tiny():
    torch.manual_seed(0)
    model = registry.create_model("clipseg", size="tiny")
    model.freeze(TrainedLayers())
    return model


def test_encode__once_for_each_view_and_content(tmp_path):
    model = tiny()
    calls = []
    encoder = CachedEncoder(model, FeatureCache(tmp_path))
    image = torch.randn(3, 64, 64)

    def make():
        calls.append(1)
        return image

    first = encoder.encode(b"photo", 0, 64, make)
    again = CachedEncoder(model, FeatureCache(tmp_path)).encode(b"photo", 0, 64, make)
    assert len(calls) == 1
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with torch.no_grad():
        exact = model.eval().encode_image(image[None])
    for kept, full in zip(first, exact, strict=True):
        torch.testing.assert_close(kept, full, atol=2e-3, rtol=2e-3)
    encoder.encode(b"photo", 1, 64, make)
    encoder.encode(b"photo, edited", 0, 64, make)
    encoder.encode(b"photo", 0, 32, lambda: make()[:, :32, :32])
    assert len(calls) == 4


def test_revision__follows_frozen_weights_alone():
    model = tiny()
    before = model_revision(model)
    with torch.no_grad():
        model.network.decoder.reduces[0].weight.add_(1)
    assert model_revision(model) == before
    with torch.no_grad():
        model.network.clip.vision_model.pre_layrnorm.weight.add_(1)
    assert model_revision(model) != before


def test_encoder__trained_towers_are_refused(tmp_path):
    model = tiny()
    model.freeze(TrainedLayers(vision_layers=1))
    with pytest.raises(ConfigError, match="frozen encoder"):
        CachedEncoder(model, FeatureCache(tmp_path))


def test_cache__stays_below_its_limit_and_drops_the_oldest(tmp_path):
    cache = FeatureCache(tmp_path, 50_000)
    part = np.zeros((100, 50), np.float32)
    keys = [cache.key("model", 64, view, b"x") for view in range(12)]
    import os

    for age, key in enumerate(keys):
        cache.get_or_make(key, lambda: [part])
        for path in tmp_path.glob(f"*/{key}*"):
            os.utime(path, (age, age))
        assert cache.size() <= 50_000
    names = {path.name.split(".")[0] for path in cache.files()}
    assert keys[0] not in names
    assert keys[-1] in names


def test_cache__damaged_file_is_made_again(tmp_path):
    cache = FeatureCache(tmp_path)
    key = cache.key("model", 64, 0, b"x")
    cache.get_or_make(key, lambda: [np.ones(3)])
    path = cache.files()[0]
    path.write_bytes(path.read_bytes()[:40])
    assert cache.get_or_make(key, lambda: [np.full(3, 2.0)])[0].tolist() == [2, 2, 2]


def test_clear__leaves_other_files_alone(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.get_or_make(cache.key("model", 64, 0, b"x"), lambda: [np.ones(3)])
    (tmp_path / "notes.txt").write_text("mine")
    assert cache.clear() == 1
    assert cache.size() == 0
    assert (tmp_path / "notes.txt").exists()


def _write(folder, start):
    cache = FeatureCache(folder)
    for view in range(20):
        key = cache.key("model", 64, view, b"x")
        assert cache.get_or_make(key, lambda view=view: [np.full(1000, view)])[0][0] == view


def test_cache__parallel_writers(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(tmp_path, index)) for index in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(FeatureCache(tmp_path).files()) == 20
    assert not list(tmp_path.rglob("*.part"))
