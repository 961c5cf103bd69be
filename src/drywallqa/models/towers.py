"""CLIP's two towers, as several families share them: sizes, tokens, text embeddings, thawing by depth.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021),
https://arxiv.org/abs/2103.00020. The towers' code is transformers' (Apache-2.0).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from drywallqa.errors import ModelError
from drywallqa.files import write_whole
from drywallqa.models import published_weights
from drywallqa.models.contract import PromptedModel, Training, check_prompts, is_tracing, load_strictly
from drywallqa.text.prompt_tower import BYTE_LETTERS, TOKENIZER

SIZES = ("base", "tiny")
# the letters' 256 bytes, the same at a word's end, start and end of text
_LETTERS = 514


def check_choice(what: str, given: str, known: Sequence[str]) -> None:
    """Refuse an option's value that is not known.

    Raises:
        ModelError: It is not among `known`.
    """
    if given not in known:
        raise ModelError(f"{what} '{given}' is not known; it is one of {', '.join(known)}")


def text_settings(size: str) -> dict[str, Any]:
    """Return the text tower's settings: "base" as published, "tiny" for trials on letters alone."""
    check_choice("size", size, SIZES)
    if size == "base":
        return {}
    return {
        "vocab_size": _LETTERS,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 32,
        "bos_token_id": _LETTERS - 2,
        "eos_token_id": _LETTERS - 1,
        "pad_token_id": _LETTERS - 1,
    }


def vision_settings(size: str) -> dict[str, Any]:
    """Return the vision tower's settings (patch 16, as the report's and CLIPSeg's is)."""
    check_choice("size", size, SIZES)
    if size == "base":
        return {"patch_size": 16}
    return {
        "patch_size": 16,
        "image_size": 64,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "projection_dim": 32,
    }


def clip_settings(size: str) -> dict[str, Any]:
    """Return the settings of CLIP with both its towers."""
    small = {} if size == "base" else {"projection_dim": text_settings(size)["projection_dim"]}
    return {"text_config": text_settings(size), "vision_config": vision_settings(size), **small}


def letter_tokenizer(vocabulary: int) -> Any:
    """Make CLIP's tokenizer with single letters only, for towers of random weights."""
    from transformers import CLIPTokenizer

    letters = sorted(BYTE_LETTERS)
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    table = {name: index for index, name in enumerate(names)}
    table |= {"<|startoftext|>": vocabulary - 2, "<|endoftext|>": vocabulary - 1}
    return CLIPTokenizer(vocab=table, merges=[])


def read_tokenizer(folder: Path) -> Any:
    """Read the tokenizer that lies beside a tower's weights.

    Raises:
        ModelError: Its files are missing or damaged.
    """
    from transformers import CLIPTokenizer

    if not (folder / TOKENIZER).is_file() and not (folder / "vocab.json").is_file():
        raise ModelError(f"{folder}: the tokenizer is missing; {TOKENIZER}, or vocab.json with merges.txt")
    try:
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        raise ModelError(f"{folder}: the tokenizer cannot be read ({error})") from error


class ClipPrompted(PromptedModel):
    """A family whose prompts go through CLIP's text tower, which is frozen unless asked otherwise."""

    own_text: ClassVar[bool] = True
    stops: tuple[str, ...] = ()
    """Starts of the names of parameters that lie on no path to a mask, and so are never trained."""
    tokenizer: Any = None

    @abstractmethod
    def text_parts(self) -> tuple[nn.Module, nn.Module]:
        """Return the text tower and its projection."""

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the vision tower's layers on the path to a mask, and what comes before them."""
        return [], []

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Turn prompts into token ids [P,L]; long ones are cut at the tower's 77 tokens.

        Raises:
            PromptError: There is no prompt.
        """
        check_prompts(prompts)
        tower, _ = self.text_parts()
        self._need_tokenizer()
        longest = int(tower.config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
        out = self.tokenizer(
            list(prompts), padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        ids: Tensor = out["input_ids"]
        return ids

    def _need_tokenizer(self) -> None:
        """Cut into letters where no weights brought a tokenizer: the tower is random then, too."""
        if self.tokenizer is None:
            tower, _ = self.text_parts()
            self.tokenizer = letter_tokenizer(int(tower.config.vocab_size))  # type: ignore[union-attr, arg-type]

    def save_text(self, folder: Path) -> None:
        """Write the tokenizer."""
        self._need_tokenizer()
        write_whole(folder / TOKENIZER, self.tokenizer.backend_tokenizer.to_str().encode())

    def load_text(self, folder: Path) -> None:
        """Read the tokenizer; see `read_tokenizer`."""
        self.tokenizer = read_tokenizer(folder)

    def embed_ids(self, ids: Tensor) -> Tensor:
        """Embed token ids [...,L] as [...,D]."""
        tower, projection = self.text_parts()
        pooled = tower(input_ids=ids.flatten(0, -2)).pooler_output
        out: Tensor = projection(pooled).unflatten(0, ids.shape[:-1])
        return out

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts [P,D] through the text tower."""
        device = next(self.parameters()).device
        return self.embed_ids(self.tokenize(prompts).to(device))

    def forward(self, images: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode; whole numbers [P,L] or [B,P,L] are token ids, embedded here and so trained."""
        if not embeddings.is_floating_point():
            embeddings = self.embed_ids(embeddings)
        return self.decode(self.encode_image(images), embeddings)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield both towers' parameters that lie on the path to a mask."""
        layers, before = self.vision_layers()
        for module in (*before, *layers, *self.text_parts()):
            yield from module.parameters()

    @property
    def encoder_is_frozen(self) -> bool:
        """Whether a photo's features never change during training."""
        layers, before = self.vision_layers()
        return not any(p.requires_grad for part in (*before, *layers) for p in part.parameters())

    @property
    def text_is_frozen(self) -> bool:
        """Whether a prompt's embedding never changes during training."""
        return not any(p.requires_grad for part in self.text_parts() for p in part.parameters())

    def freeze(self, training: Training) -> None:
        """Freeze the towers but for the last layers asked for, and whatever no mask depends on."""
        tower, projection = self.text_parts()
        inner: Any = tower
        text = list(inner.encoder.layers)
        thaw(text, [inner.embeddings], training.text_layers)
        for part in (inner.final_layer_norm, projection):
            part.requires_grad_(training.text_layers > 0)
        layers, before = self.vision_layers()
        thaw(layers, before, training.vision_layers)
        for name, parameter in self.named_parameters():
            if name.startswith(self.stops):
                parameter.requires_grad_(False)


def pool_tokens(tower: Any, ids: Tensor) -> Tensor:
    """Do what a text tower's own call does, [P,L] to [P,C], in steps that a traced graph keeps for any L."""
    places = torch.arange(ids.shape[1], device=ids.device)
    later = torch.where(places[None] > places[:, None], float("-inf"), 0.0)[None, None]
    states = tower.embeddings(input_ids=ids)
    for layer in tower.encoder.layers:
        states = layer(states, later)
    states = tower.final_layer_norm(states)
    ends = (ids == tower.config.eos_token_id).int().argmax(1)
    out: Tensor = states[torch.arange(ids.shape[0], device=ids.device), ends]
    return out


def thaw(layers: Sequence[nn.Module], before: Sequence[nn.Module], count: int) -> None:
    """Train the last `count` layers; more than there are trains what comes before them too."""
    for index, layer in enumerate(layers):
        layer.requires_grad_(index >= len(layers) - count)
    for part in before:
        part.requires_grad_(count > len(layers))


def position_codes(weight: Tensor, side: int, rows: Any, columns: Any) -> Tensor:
    """Bring position embeddings [1+side²,C] to a grid of rows×columns, [1,1+rows·columns,C] (bicubic)."""
    # a traced graph must take every size, so it always interpolates
    if not is_tracing() and rows == side and columns == side:
        return weight[None]
    grid = weight[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([weight[None, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def embed_patches(tower: Any, images: Tensor) -> tuple[Tensor, Any, Any]:
    """Cut photos [B,3,H,W] into patches and give them positions: tokens [B,1+h·w,C], h and w."""
    parts = tower.embeddings
    patches = parts.patch_embedding(images)
    rows, columns = patches.shape[2:]
    side = parts.image_size // parts.patch_size
    tokens = torch.cat(
        [parts.class_embedding.expand(images.shape[0], 1, -1), patches.flatten(2).transpose(1, 2)], 1
    )
    tokens = tokens + position_codes(parts.position_embedding.weight, side, rows, columns)
    out: Tensor = tower.pre_layrnorm(tokens)
    return out, rows, columns


def load_clip_text(model: ClipPrompted, folder: Path) -> None:
    """Fill a text tower and its projection from published CLIP weights, and read the tokenizer.

    Raises:
        ModelError: The folder holds another model, or names or shapes do not fit.
    """
    check_type(folder, "clip")
    tower, projection = model.text_parts()
    state = published_state(folder)
    load_part(tower, state, "text_model.", folder)
    load_part(projection, state, "text_projection.", folder)
    model.tokenizer = read_tokenizer(folder)


def load_whole(model: ClipPrompted, part: nn.Module, folder: Path, kind: str) -> None:
    """Fill a part that is a published model as a whole, and read the tokenizer.

    Raises:
        ModelError: The folder holds another model, or names or shapes do not fit.
    """
    check_type(folder, kind)
    load_strictly(part, published_state(folder), str(folder))
    model.tokenizer = read_tokenizer(folder)


def published_state(folder: Path) -> dict[str, Tensor]:
    """Read published weights without the counters of positions that old files carry."""
    return {
        name: v
        for name, v in published_weights.read_state(folder).items()
        if not name.endswith(".position_ids")
    }


def load_part(module: nn.Module, state: Mapping[str, Tensor], prefix: str, folder: Path) -> None:
    """Load the tensors whose names start with `prefix` into a module, strictly."""
    part = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    load_strictly(module, part, f"{folder} ({prefix}*)")


def check_type(folder: Path, expected: str) -> None:
    """Refuse a folder of another model.

    Raises:
        ModelError: Its `config.json` says another type.
    """
    found = published_weights.read_config(folder).get("model_type")
    if found != expected:
        raise ModelError(f"{folder}: holds a model of type '{found}' where '{expected}' is needed")
