"""Folders of weights as their publishers name and shape them, with random values."""

import json

import torch
from safetensors.torch import save_file

from drywallqa.models import registry
from drywallqa.models.towers import letter_tokenizer

TYPES = {"clipseg": "clipseg", "clip": "clip", "sam": "sam"}


def parts(size):
    """Origin → module whose names are the published ones."""
    clip_cnn = registry.create("clip-cnn", size=size)
    return {
        "clipseg": registry.create("clipseg", size=size).network,
        "clip": clip_cnn.clip,
        "sam": registry.create("sam-clip", size=size).sam,
    }


def write(folder, size="tiny", origins=("clipseg", "clip", "sam"), vocabulary=514):
    """Write FOLDER/ORIGIN/{config.json, model.safetensors, tokenizer files} and return the folder."""
    for name, module in parts(size).items():
        if name in origins:
            place = folder / name
            place.mkdir(parents=True)
            state = {key: value.clone().contiguous() for key, value in module.state_dict().items()}
            # safetensors files keep tied tensors once
            state.pop("prompt_encoder.shared_embedding.positional_embedding", None)
            save_file(state, place / "model.safetensors")
            (place / "config.json").write_text(json.dumps({"model_type": TYPES[name]}))
            if name != "sam":
                letter_tokenizer(vocabulary).save_pretrained(str(place))
    return folder


def state_of(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)
