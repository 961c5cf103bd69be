"""CLIP's text and vision towers, which several model families share.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021),
https://arxiv.org/abs/2103.00020. The code of the towers comes from transformers (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from drywallqa.errors import ModelError
from drywallqa.files import write_whole
from drywallqa.models.contract import (
    PromptedModel,
    TrainedLayers,
    check_choice,
    check_prompts,
    load_strictly,
)
from drywallqa.models.published_weights import read_published
from drywallqa.text.prompt_tower import BYTE_LETTERS, TOKENIZER

PATCH = 16
"""Side of the vision tower's patches in px, as in the report and in CLIPSeg."""
# 256 byte tokens, the same 256 at a word's end, start of text and end of text
_LETTERS = 514
_TEXT_TOWERS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {
        "vocab_size": _LETTERS,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 32,
        "bos_token_id": _LETTERS - 2,
        "eos_token_id": _LETTERS - 1,
        "pad_token_id": _LETTERS - 1,
    },
}
_VISION_TOWERS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {
        "image_size": 64,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "projection_dim": 32,
    },
}


def text_settings(size: str) -> dict[str, Any]:
    """Return the text tower's settings: "base" has the published size, "tiny" has a tiny vocabulary.

    Raises:
        ModelError: The size is unknown.
    """
    check_choice("size", size, tuple(_TEXT_TOWERS))
    return _TEXT_TOWERS[size]


def clip_settings(size: str) -> dict[str, Any]:
    """Return the settings of both CLIP towers.

    Raises:
        ModelError: The size is unknown.
    """
    text, vision = text_settings(size), {"patch_size": PATCH, **_VISION_TOWERS[size]}
    joint = {} if size == "base" else {"projection_dim": text["projection_dim"]}
    return {"text_config": text, "vision_config": vision, **joint}


def letter_tokenizer(vocabulary: int) -> Any:
    """Create a CLIP tokenizer that knows only single letters, for towers with random weights."""
    from transformers import CLIPTokenizer

    letters = sorted(BYTE_LETTERS)
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    table = {name: index for index, name in enumerate(names)}
    table |= {"<|startoftext|>": vocabulary - 2, "<|endoftext|>": vocabulary - 1}
    return CLIPTokenizer(vocab=table, merges=[])


class ClipPrompted(PromptedModel):
    """Base of families that embed prompts with CLIP's text tower, which is frozen by default."""

    own_text: ClassVar[bool] = True
    tower_path: ClassVar[str] = "clip"
    """Name of the submodule with CLIP's text tower and, if the family uses it, its vision tower."""
    stops: tuple[str, ...] = ()
    """Name prefixes of parameters that no mask depends on, and that are therefore never trained."""

    @property
    def towers(self) -> Any:
        """The module with CLIP's towers and projections, under the names used in transformers."""
        return self.get_submodule(self.tower_path)

    def text_parts(self) -> tuple[nn.Module, nn.Module]:
        """Return the text tower and its projection."""
        return self.towers.text_model, self.towers.text_projection

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the vision tower's layers that the masks depend on, and the modules before these layers."""
        return [], []

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer. Its vocabulary contains only single letters until published weights are loaded."""
        return letter_tokenizer(int(self.towers.text_model.config.vocab_size))

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Turn prompts into token ids [P,L]; long prompts are truncated to the tower's 77 tokens.

        Raises:
            PromptError: There is no prompt.
        """
        check_prompts(prompts)
        longest = int(self.towers.text_model.config.max_position_embeddings)
        options = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
        return self.tokenizer(list(prompts), **options)["input_ids"]

    def save_text(self, folder: Path) -> None:
        """Write the tokenizer."""
        write_whole(folder / TOKENIZER, self.tokenizer.backend_tokenizer.to_str().encode())

    def load_text(self, folder: Path) -> None:
        """Read the tokenizer from the folder of a tower's weights.

        Raises:
            ModelError: The tokenizer's files are missing or damaged.
        """
        from transformers import CLIPTokenizer

        if not (folder / TOKENIZER).is_file() and not (folder / "vocab.json").is_file():
            raise ModelError(
                f"{folder}: the tokenizer is missing; add {TOKENIZER}, or vocab.json with merges.txt"
            )
        try:
            self.tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:
            raise ModelError(f"{folder}: the tokenizer cannot be read ({error})") from error

    def load_clip_text(self, folder: Path) -> None:
        """Load the text tower and its projection from published CLIP weights, and read the tokenizer.

        Raises:
            ModelError: The folder contains another model, or names or shapes do not fit.
        """
        state = read_published(folder, "clip")
        for part, prefix in zip(self.text_parts(), ("text_model.", "text_projection."), strict=True):
            own = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
            load_strictly(part, own, f"{folder} ({prefix}*)")
        self.load_text(folder)

    def load_whole(self, part: nn.Module, folder: Path, model_type: str) -> None:
        """Load a complete published model into one of this model's modules, and read the tokenizer.

        Raises:
            ModelError: The folder contains another model, or names or shapes do not fit.
        """
        load_strictly(part, read_published(folder, model_type), str(folder))
        self.load_text(folder)

    def embed_ids(self, ids: Tensor) -> Tensor:
        """Embed token ids [...,L] as [...,D]."""
        tower, projection = self.text_parts()
        pooled = tower(input_ids=ids.flatten(0, -2)).pooler_output
        return projection(pooled).unflatten(0, ids.shape[:-1])

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as [P,D] with the text tower."""
        return self.embed_ids(self.tokenize(prompts).to(next(self.parameters()).device))

    def forward(self, images: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode. Integer `embeddings` [P,L] or [B,P,L] are token ids and are embedded first."""
        if not embeddings.is_floating_point():
            embeddings = self.embed_ids(embeddings)
        return super().forward(images, embeddings)

    def photo_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the image encoder that the masks depend on."""
        layers, before = self.vision_layers()
        for module in (*before, *layers):
            yield from module.parameters()

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the image encoder and the text tower that the masks depend on."""
        yield from self.photo_parameters()
        for module in self.text_parts():
            yield from module.parameters()

    @property
    def encoder_is_frozen(self) -> bool:
        """Whether a photo's features never change during training."""
        return not any(parameter.requires_grad for parameter in self.photo_parameters())

    @property
    def text_is_frozen(self) -> bool:
        """Whether a prompt's embedding never changes during training."""
        return not any(p.requires_grad for part in self.text_parts() for p in part.parameters())

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze the towers except the layers in `trained`, and all parts that do not affect the mask."""
        tower = self.towers.text_model
        _thaw(list(tower.encoder.layers), [tower.embeddings], trained.text_layers)
        for part in (tower.final_layer_norm, self.towers.text_projection):
            part.requires_grad_(trained.text_layers > 0)
        _thaw(*self.vision_layers(), trained.vision_layers)
        for name, parameter in self.named_parameters():
            if name.startswith(self.stops):
                parameter.requires_grad_(False)


def pool_tokens(tower: Any, ids: Tensor) -> Tensor:
    """Run a text tower on token ids [P,L] and return [P,C]. A traced graph works for any L."""
    places = torch.arange(ids.shape[1], device=ids.device)
    later = torch.where(places[None] > places[:, None], float("-inf"), 0.0)[None, None]
    states = tower.embeddings(input_ids=ids)
    for layer in tower.encoder.layers:
        states = layer(states, later)
    states = tower.final_layer_norm(states)
    ends = (ids == tower.config.eos_token_id).int().argmax(1)
    return states[torch.arange(ids.shape[0], device=ids.device), ends]


def _thaw(layers: Sequence[nn.Module], before: Sequence[nn.Module], count: int) -> None:
    """Unfreeze the last `count` layers; a count above the number of layers also unfreezes `before`."""
    for index, layer in enumerate(layers):
        layer.requires_grad_(index >= len(layers) - count)
    for part in before:
        part.requires_grad_(count > len(layers))
