"""Folders of weights as their publishers name and shape them, with random values."""

import json

import torch
from safetensors.torch import load_file, save_file

from drywallqa.models import registry
from drywallqa.models.towers import letter_tokenizer

# origin → family that holds it, and where
PARTS = {"clipseg": ("clipseg", "network"), "clip": ("clip-cnn", "clip"), "sam": ("sam-clip", "sam")}
VOCABULARY = {"tiny": 514, "base": 49_408}


def module_of(origin, size, device="cpu"):
    """A module whose names and shapes are the published ones."""
    family, part = PARTS[origin]
    with torch.device(device):
        return getattr(registry.create_model(family, size=size), part)


def values_like(name, tensor):
    """Random values about as large as trained ones, in half precision."""
    values = 0.03 * torch.randn(tensor.shape, dtype=torch.float32)
    return (values + ("norm" in name and name.endswith("weight"))).half()


def write(folder, size="tiny", origins=tuple(PARTS)):
    """Write FOLDER/ORIGIN/{config.json, model.safetensors, tokenizer files} and return the folder."""
    for name in origins:
        place = folder / name
        place.mkdir(parents=True)
        if size == "tiny":
            state = {key: v.clone().contiguous() for key, v in module_of(name, size).state_dict().items()}
        else:  # without making a full-size model for it
            shapes = module_of(name, size, "meta").state_dict()
            state = {key: values_like(key, value) for key, value in shapes.items()}
        # safetensors files keep tied tensors once
        state.pop("prompt_encoder.shared_embedding.positional_embedding", None)
        save_file(state, place / "model.safetensors")
        (place / "config.json").write_text(json.dumps({"model_type": name}))
        if name != "sam":
            letter_tokenizer(VOCABULARY[size]).save_pretrained(str(place))
    return folder


def read(folder):
    """Read a folder's tensors back."""
    return load_file(folder / "model.safetensors")
