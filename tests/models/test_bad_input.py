"""What a user can get wrong about models, through the command line: one line, and nothing is left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import huggingface_hub
import torch
from safetensors.torch import load_file, save_file

from drywallqa.bundle.bundle import DEFAULT, HEAD
from drywallqa.cli import main
from drywallqa.files import file_digest
from models import published
from tiny_runs import render, settings, train

TINY = "model.options.size=tiny"
needs_bundle = pytest.mark.skipif(not (DEFAULT / HEAD).is_file(), reason="the bundled model is not here")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.write(tmp_path_factory.mktemp("published"), origins=("clipseg",))


@pytest.fixture
def weights(original: Path, tmp_path: Path) -> Path:
    """Published weights of CLIPSeg, to be broken."""
    return Path(shutil.copytree(original, tmp_path / "weights"))


def refused(
    capsys: pytest.CaptureFixture[str], data: Path, run: Path, *sets: str, more: tuple[str, ...] = ()
) -> str:
    """Train and expect one line of refusal before anything was written."""
    assert train(data, run, *more, settings_=sets) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert not list(run.glob("*.ckpt"))
    return told


def from_weights(folder: Path, name: str = "clipseg") -> tuple[str, ...]:
    return f"model.name={name}", TINY, "model.pretrained=true", f"model.weights={folder}"


def test_unknown_model__nearest(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, data, tmp_path / "run", more=("--model", "clip-seg"))
    assert "'clipseg'" in told


def test_unknown_option__named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ("model.options={size: tiny, colour: red}",)
    assert "colour" in refused(capsys, data, tmp_path / "run", *sets, more=("--model", "clipseg"))


def test_missing_weights__where_and_how(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    sets = ("model.name=clipseg", "model.pretrained=true")
    told = refused(capsys, data, tmp_path / "run", *sets)
    assert str(tmp_path / "hub") in told
    assert "drywallqa models pull clipseg" in told


def test_weights_of_another_family__refused(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, data, tmp_path / "run", *from_weights(weights / "clipseg", "clip-cnn"))
    assert "type 'clipseg', but 'clip' is needed" in told


def test_truncated_weights__refused(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = weights / "clipseg" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    told = refused(capsys, data, tmp_path / "run", *from_weights(weights))
    assert "truncated or damaged" in told
    assert str(path) in told


def test_tampered_weights__refused(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = weights / "clipseg" / "model.safetensors"
    (path.parent / "SHA256SUMS").write_text(f"{file_digest(path)}  {path.name}\n")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    told = refused(capsys, data, tmp_path / "run", *from_weights(weights))
    assert "differs from its SHA-256" in told


def test_keys_that_do_not_fit__named(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = weights / "clipseg" / "model.safetensors"
    state = load_file(path)
    state["decoder.extra.weight"] = state.pop("decoder.film_mul.weight")
    save_file(state, path)
    told = refused(capsys, data, tmp_path / "run", *from_weights(weights))
    assert "missing: decoder.film_mul.weight; unexpected: decoder.extra.weight" in told


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code was run",)


def test_unsafe_pickle__refused(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (weights / "clipseg" / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, weights / "clipseg" / "pytorch_model.bin")
    assert "could run code" in refused(capsys, data, tmp_path / "run", *from_weights(weights))
    assert "code was run" not in capsys.readouterr().out


@needs_bundle
def test_bundle_of_another_family__refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, data, tmp_path / "run", more=("--from", "default", "--model", "clipseg"))
    assert "'compact', not 'clipseg'" in told


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "clipseg"
    assert train(data, folder, "--model", "clipseg", settings_=(TINY,)) == 0
    return folder


def refused_export(capsys: pytest.CaptureFixture[str], run: Path, data: Path, *more: str) -> str:
    out = run.parent / "bundle"
    assert main(["export", str(run), "--data", str(data), "--out", str(out), *more]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert not out.exists()
    assert not list(run.parent.glob(".export-*"))
    return told


def test_export__window_that_is_too_small(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "at least 16 px" in refused_export(capsys, run, data, "--window", "8")


def test_export__checkpoint_of_another_family(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"encoder.stem.weight": torch.zeros(2)}, other)
    told = refused_export(capsys, run, data, "--checkpoint", str(other))
    assert "does not fit ClipSegModel" in told
    assert "unexpected: encoder.stem.weight" in told


def test_export__truncated_checkpoint(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole,) = run.glob("last.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-1000])
    assert "no readable checkpoint" in refused_export(capsys, run, data, "--checkpoint", str(cut))


@needs_bundle
@pytest.mark.parametrize("name", ["image_encoder.onnx", "decoder.onnx", "model.safetensors"])
def test_segment__changed_file_of_a_bundle(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(DEFAULT, tmp_path / "bundle"))
    (copy / name).write_bytes((copy / name).read_bytes()[:-9])
    photo = next((data / "photos").rglob("*.jpg"))
    verb = ["segment", str(photo), "--prompt", "crack", "--model", str(copy), "--out", str(tmp_path / "out")]
    assert main(verb) == 2
    told = capsys.readouterr().err
    assert "SHA-256" in told
    assert told.count("error:") == 1
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize("prompts", [(), ("--prompt", ""), ("--prompt", " \u200b ")])
def test_segment__no_prompt(
    prompts: tuple[str, ...], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next((data / "photos").rglob("*.jpg"))
    assert main(["segment", str(photo), "--out", str(tmp_path / "out"), *prompts]) == 2
    assert "prompt" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.png"))


def test_train__window_below_the_smallest(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "data.window" in refused(capsys, data, tmp_path / "run", TINY, "data.window=32")


def test_train__window_between_two_multiples_is_fitted_and_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "batch.png"
    verb = ["train", "--data", str(data), "--out", str(tmp_path / "run"), "--show-batch", str(sheet)]
    sets = ("model.name=clipseg", TINY, "data.window=70", "validation_window=150")
    assert main([*verb, *settings(*sets)]) == 0
    told = capsys.readouterr().out
    assert "clipseg takes sides in multiples of 16 px: 64 px instead of 70 px" in told
    assert "144 px instead of 150 px" in told
    assert sheet.is_file()
