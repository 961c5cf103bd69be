import pickle
import sys

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from drywallqa.cli import main
from drywallqa.errors import ModelError
from drywallqa.files import file_digest
from drywallqa.imaging import mask_files
from drywallqa.models import published_weights, registry
from models import published

FAMILIES = [name for name, family in registry.FAMILIES.items() if family.origins]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published.write(tmp_path_factory.mktemp("weights"))


def load(name, folder):
    model = registry.create_model(name, size="tiny")
    model.load_pretrained(registry.find_weights(name, folder))
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_load_pretrained__published_names_and_shapes(name, folder):
    model = load(name, folder)
    if name == "clipseg":
        state = load_file(folder / "clipseg" / "model.safetensors")
        assert torch.equal(
            model.network.state_dict()["decoder.reduces.0.weight"], state["decoder.reduces.0.weight"]
        )
    elif "sam" in name:
        state = load_file(folder / "sam" / "model.safetensors")
        assert torch.equal(model.sam.mask_decoder.iou_token.weight, state["mask_decoder.iou_token.weight"])
    else:
        state = load_file(folder / "clip" / "model.safetensors")
        assert torch.equal(model.text_parts()[1].weight, state["text_projection.weight"])
    assert model.encode_prompts(["segment crack"]).shape == (1, model.embedding_width)


def copy_of(folder, tmp_path, state=None):
    place = tmp_path / "clipseg"
    place.mkdir()
    for path in (folder / "clipseg").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    if state is not None:
        save_file(state, place / "model.safetensors")
    return place


def test_load_pretrained__missing_and_unexpected_keys_by_name(folder, tmp_path):
    state = load_file(folder / "clipseg" / "model.safetensors")
    state["decoder.extra.weight"] = state.pop("decoder.film_mul.weight")
    copy_of(folder, tmp_path, state)
    with pytest.raises(
        ModelError, match=r"missing: decoder\.film_mul\.weight; unexpected: decoder\.extra\.weight"
    ):
        load("clipseg", tmp_path)


def test_load_pretrained__shape_that_differs(folder, tmp_path):
    state = load_file(folder / "clipseg" / "model.safetensors")
    state["decoder.film_mul.bias"] = torch.zeros(3)
    copy_of(folder, tmp_path, state)
    with pytest.raises(ModelError, match=r"of another shape: decoder\.film_mul\.bias \(3,\)"):
        load("clipseg", tmp_path)


def test_load_pretrained__another_family(folder, tmp_path):
    (tmp_path / "clip").mkdir()
    for path in (folder / "clipseg").iterdir():
        (tmp_path / "clip" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match="type 'clipseg', but 'clip' is needed"):
        load("clip-cnn", tmp_path)


def test_read_state__truncated(folder, tmp_path):
    place = copy_of(folder, tmp_path)
    content = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="truncated or damaged"):
        load("clipseg", tmp_path)


def test_read_state__tampered_against_its_sum(folder, tmp_path):
    place = copy_of(folder, tmp_path)
    path = place / "model.safetensors"
    (place / "SHA256SUMS").write_text(f"{file_digest(path)}  {path.name}\n")
    load("clipseg", tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="differs from its SHA-256"):
        load("clipseg", tmp_path)


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


def test_read_state__unsafe_pickle_is_refused(folder, tmp_path, capsys):
    place = copy_of(folder, tmp_path)
    (place / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, place / "pytorch_model.bin")
    with pytest.raises(ModelError, match="contains more than tensors and could run code"):
        load("clipseg", tmp_path)
    (place / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError):
        load("clipseg", tmp_path)
    assert "code was run" not in capsys.readouterr().out


def test_read_state__pickle_of_tensors_is_read(folder, tmp_path):
    place = copy_of(folder, tmp_path)
    torch.save(load_file(place / "model.safetensors"), place / "pytorch_model.bin")
    (place / "model.safetensors").unlink()
    assert load("clipseg", tmp_path).tokenizer is not None


def test_locate__hub_cache_and_sentence_where_missing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        registry.find_weights("clipseg")
    text = str(caught.value)
    assert "CIDAS/clipseg-rd64-refined" in text
    assert str(tmp_path) in text
    assert "drywallqa models pull clipseg" in text
    origin = published_weights.ORIGINS["clipseg"]
    assert published_weights.cached_folder(origin) is None
    place = tmp_path / "models--CIDAS--clipseg-rd64-refined" / "snapshots" / origin.revision
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"")
    assert registry.find_weights("clipseg") == {"clipseg": place}


def test_models__without_the_hubs_client_weights_are_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["models", "list"]) == 0
    assert "weights: clipseg missing" in capsys.readouterr().out


def test_models__list_and_info(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in registry.FAMILIES)
    assert main(["models", "info", "clipseg"]) == 0
    out = capsys.readouterr().out
    assert "150,747,746" in out
    assert "excludes its weights" in out
    assert "999e0328d9e10b484360c477313983f9afdd7050, missing" in out
    assert "not verified, because" in out


def test_models__tell_of_the_bundled_model_what_it_is(capsys):
    from drywallqa.bundle.bundle import load_bundle

    bundle = load_bundle()
    with torch.device("meta"):
        model = registry.create_model(bundle.name, **bundle.architecture)
    count = sum(p.numel() for p in model.parameters())
    assert main(["models", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(bundle.name)]
    assert f"{count / 1e6:.1f} M" in line
    assert main(["models", "info", bundle.name]) == 0
    out = capsys.readouterr().out
    assert f"{count:,} parameters (encoder {bundle.architecture['encoder']}" in out
    assert f"{registry.find_family(bundle.name).parameters:,} with the default training options" in out


def test_models__try_writes_masks_and_tells_a_bad_photo(folder, capsys, tmp_path):
    photo, bad = tmp_path / "wall.png", tmp_path / "no-photo.png"
    Image.fromarray(np.full((40, 60, 3), 150, np.uint8)).save(photo)
    bad.write_bytes(b"text")
    asked = ["--prompt", "segment crack", "--prompt", "a window"]
    for name in ("clipseg", "sam-clip-zero-shot"):
        out = tmp_path / name
        verb = ["models", "try", name, str(bad), str(photo), "--out", str(out), "--weights", str(folder)]
        options = ["--option", "size=tiny"] + (["--option", "points=2"] if "sam" in name else [])
        assert main([*verb, *asked, *options]) == 3
        told = capsys.readouterr()
        assert told.err.count("\n") == 1
        assert str(bad) in told.err
        assert told.out.count("presence") == 2
        assert mask_files.read_mask(out / "wall__segment_crack.png").shape == (40, 60)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["clip-cnn", "--prompt", "crack"], "must be trained before use"),
        (["clipseg"], "no prompt"),
        (["clipseg", "--prompt", "crack", "--option", "tiny"], "NAME=VALUE"),
        (["clipseg", "--prompt", "crack", "--option", "size=huge"], "size 'huge' is not known"),
    ],
)
def test_models__try_refuses(arguments, told, folder, capsys, tmp_path):
    name, *more = arguments
    verb = ["models", "try", name, "wall.png", "--out", str(tmp_path / "out"), "--weights", str(folder)]
    assert main([*verb, *more]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_models__unknown_name_suggests_the_nearest(capsys):
    assert main(["models", "info", "clipsegg"]) == 2
    assert "the nearest is 'clipseg'" in capsys.readouterr().err


def test_models__pull_without_network(capsys, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    assert main(["models", "pull", "clipseg"]) == 2
    assert "could not be downloaded: no route to host" in capsys.readouterr().err
