"""Every trainable family from a data set to a bundle and back, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

from drywallqa.bundle.bundle import load_bundle
from drywallqa.cli import main
from drywallqa.models import registry
from drywallqa.onnx_session import RuntimeOptions
from tiny_runs import render, settings, train

OPTIONS = {
    "compact": (),
    "swift": (),
    "clipseg": ("model.options.size=tiny",),
    "clip-cnn": ("model.options.size=tiny",),
    "clip-unet": ("model.options={size: tiny, width: 8, fusion: film, pyramid: true}",),
    "sam-clip": ("model.options.size=tiny", "data.window=128", "validation_window=128"),
}
EXPORTED = [name for name, family in registry.FAMILIES.items() if family.trainable and family.exports]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


def trained(name: str, data: Path, place: Path) -> Path:
    """Train a family once for all tests."""
    run = place / f"run-{name}"
    if not run.exists():
        assert train(data, run, "--model", name, settings_=OPTIONS[name]) == 0
    return run


def exported(name: str, data: Path, place: Path) -> Path:
    bundle = place / f"bundle-{name}"
    if not bundle.exists():
        run = trained(name, data, place)
        verb = ["export", str(run), "--data", str(data), "--out", str(bundle), "--window", "64"]
        assert main(verb) == 0
    return bundle


@pytest.mark.parametrize("name", EXPORTED)
def test_export__bundle_segments(name: str, data: Path, place: Path, tmp_path: Path) -> None:
    bundle = load_bundle(exported(name, data, place))
    bundle.check()
    family = registry.find_family(name)
    assert bundle.vocabulary == ("open" if family.open_vocabulary else "closed")
    assert (bundle.window.mean, bundle.window.square) == (family.mean, family.square)
    assert bundle.licences["weights"] == family.weight_licence
    assert ("text tower and tokenizer" in bundle.licences) is family.own_text
    photo = next((data / "photos").rglob("*.jpg"))
    verb = ["segment", str(photo), "--model", str(bundle.folder), "--out", str(tmp_path), "-q"]
    assert main([*verb, "--prompt", "segment crack", "--prompt", "joint/tape"]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 2


@pytest.mark.parametrize("name", EXPORTED)
def test_export__prompts_mean_to_the_bundle_what_they_mean_to_torch(
    name: str, data: Path, place: Path
) -> None:
    from drywallqa.training.open_run import open_run

    bundle, run = (
        load_bundle(exported(name, data, place)),
        open_run(trained(name, data, place)).segmenter.open(),
    )
    prompts = ["segment joint/tape", "crack"]
    backend, image = bundle.open_backend(RuntimeOptions(threads=1)), np.zeros((1, 3, 64, 64), np.float32)
    image[:, :, 20:30] = 1
    ours, theirs = backend.encode_prompts(prompts), run.encode_prompts(prompts)
    assert np.abs(ours - theirs).max() < 0.01 * np.abs(theirs).max()
    assert np.abs(ours[0] - ours[1]).max() > 0
    got = backend.decode(backend.encode_image(image), ours)
    expected = run.decode(run.encode_image(image), theirs)
    for mine, torchs in zip(got, expected, strict=True):
        assert np.abs(mine - torchs).max() < 0.02 * max(1, np.abs(torchs).max())


@pytest.mark.parametrize("name", ["clipseg", "clip-unet"])
def test_train__goes_on_from_the_bundle(name: str, data: Path, place: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from drywallqa.training.checkpoints import read_weights

    bundle = exported(name, data, place)
    # a rate of nearly nothing leaves the weights that it started from
    slow = ("optimisation.encoder_rate=1e-12", "optimisation.decoder_rate=1e-12")
    own = [s for s in settings(*slow) if not s.startswith("model.") and s != "--set"]
    options = [part for s in own for part in ("--set", s)]
    verb = ["train", "--data", str(data), "--out", str(tmp_path / "run"), "--from", str(bundle), "-q"]
    assert main([*verb, *options]) == 0
    begun, ended = load_file(bundle / "model.safetensors"), read_weights(tmp_path / "run", "last")[1]
    assert begun.keys() == ended.keys()
    for key, value in begun.items():
        if "running" not in key and "num_batches" not in key:
            assert np.allclose(value.float().numpy(), ended[key].float().numpy(), atol=1e-6), key
    words = [json.loads((f / "tokenizer.json").read_text()) for f in (bundle, tmp_path / "run" / "text")]
    assert words[0]["model"] == words[1]["model"]


def test_evaluate__measures_a_run_that_cannot_be_exported(
    data: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("sam-clip", data, place)
    assert main(["export", str(run), "--data", str(data), "--out", str(tmp_path / "b")]) == 2
    told = capsys.readouterr().err
    assert "sam-clip cannot be exported" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "b").exists()
    verb = ["evaluate", "--data", str(data), "--model", str(run), "--split", "val", "--allow-leak", "-q"]
    assert main(verb) == 0
    assert "crack" in capsys.readouterr().out


def test_train__keeps_features_once_and_forgets_them_by_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRYWALLQA_CACHE", str(tmp_path / "cache"))
    sets = (*OPTIONS["clipseg"], "data.cached_views=1", "optimisation.epochs=2", "seed=3")
    told = []
    for run in ("first", "second"):
        assert train(data, tmp_path / run, "--model", "clipseg", settings_=sets) == 0
        kept = {p: p.stat().st_ino for p in (tmp_path / "cache").rglob("*.npz")}
        assert 0 < len(kept) <= 8  # photos
        told.append(kept)
    assert told[0] == told[1]  # the second run wrote none anew
    capsys.readouterr()
    assert main(["models", "clear-cache"]) == 0
    assert f"{len(kept)} files removed" in capsys.readouterr().out
    assert not list((tmp_path / "cache").rglob("*.npz"))
    trained = ("model.vision_layers=1", "data.cached_views=1", *OPTIONS["clipseg"])
    assert train(data, tmp_path / "third", "--model", "clipseg", settings_=trained) == 2
    assert "frozen encoder" in capsys.readouterr().err
