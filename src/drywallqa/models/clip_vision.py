"""Model families that encode photos with CLIP's vision tower: CLIPSeg and the model of the project report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from drywallqa.models.contract import Features, check_size, is_tracing, per_photo, with_presence
from drywallqa.models.towers import PATCH, ClipPrompted, clip_settings

WIDTH = 64
"""Channels of the decoder in `ClipCnnModel`."""


class ClipSighted(ClipPrompted):
    """Base class of families that encode photos with CLIP's vision tower. Input sides are multiples of 16."""

    family: ClassVar[str]

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return all layers of the vision tower and the embeddings before them."""
        tower = self.towers.vision_model
        return list(tower.encoder.layers), [tower.embeddings, tower.pre_layrnorm]

    def encode_layers(self, images: Tensor) -> Iterator[tuple[Tensor, torch.Size]]:
        """Encode photos [B,3,H,W], and yield the tokens [B,1+h·w,C] and (h, w) of each layer in use.

        Raises:
            ModelError: A side is not a multiple of 16.
        """
        check_size(self.family, images, PATCH)
        tower = self.towers.vision_model
        patches = tower.embeddings.patch_embedding(images)
        rows, columns = grid = patches.shape[2:]
        first = tower.embeddings.class_embedding.expand(images.shape[0], 1, -1)
        tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], 1)
        side = tower.embeddings.image_size // tower.embeddings.patch_size
        weight = tower.embeddings.position_embedding.weight
        tokens = tower.pre_layrnorm(tokens + _position_codes(weight, side, rows, columns))
        for layer in self.vision_layers()[0]:
            tokens = layer(tokens, None)
            yield tokens, grid


def _position_codes(weight: Tensor, side: int, rows: Any, columns: Any) -> Tensor:
    """Resize position embeddings [1+side²,C] to a rows×columns grid, [1,1+rows·columns,C] (bicubic)."""
    # a traced graph must accept every size, so it always interpolates
    if not is_tracing() and rows == side and columns == side:
        return weight[None]
    grid = weight[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([weight[None, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class ClipSegModel(ClipSighted):
    """CLIPSeg (`CIDAS/clipseg-rd64-refined`): CLIP's towers with a small transformer decoder.

    Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts" (CVPR 2022),
    https://arxiv.org/abs/2112.10003. The parameters have their published names. The project report chose
    CLIPSeg. The implementation in transformers encodes the photo again for every prompt. This class encodes a
    photo once, and only up to the last layer that the decoder reads. Input sides are multiples of 16.

    Args:
        size: "base" (150,747,746 parameters) or "tiny".

    Example:
        >>> model = ClipSegModel("tiny").eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 64, 64))
        >>> logits, presence = model.decode(features, model.encode_prompts(["segment crack"]))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 1, 64, 64), (2, 1))
    """

    stride = 1
    family = "clipseg"
    tower_path = "network.clip"

    def __init__(self, size: str = "base") -> None:
        super().__init__()
        from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

        small = {
            "reduce_dim": 32,
            "decoder_intermediate_size": 64,
            "decoder_num_attention_heads": 2,
            "extract_layers": [0, 1, 2],
        }
        settings = clip_settings(size) | ({} if size == "base" else small)
        config = CLIPSegConfig(**settings, use_complex_transposed_convolution=True)
        self.network = CLIPSegForImageSegmentation(config)
        self.embedding_width = int(config.projection_dim)
        decoder = self.network.decoder
        # training fails with transformers' initialisation N(0, 1) and works with torch's default
        for part in (decoder.film_mul, decoder.film_add, decoder.reduces, decoder.transposed_convolution):
            for layer in part.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                    layer.reset_parameters()
        tower = "network.clip.vision_model"
        deepest, count = max(config.extract_layers) + 1, config.vision_config.num_hidden_layers
        # layers that the decoder does not read, and parts that only compare photos with texts
        self.stops = (
            *(f"{tower}.encoder.layers.{index}." for index in range(deepest, count)),
            f"{tower}.post_layernorm",
            "network.clip.visual_projection",
            "network.clip.logit_scale",
        )

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return all layers up to the last one that the decoder reads, and the embeddings."""
        layers, before = super().vision_layers()
        return layers[: max(self.network.extract_layers) + 1], before

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,H,W] into a map [B,C,h,w] and a class token [B,C,1,1] for each decoded layer."""
        kept: list[Tensor] = []
        for index, (tokens, grid) in enumerate(self.encode_layers(images)):
            if index in self.network.extract_layers:
                kept += [tokens[:, 1:].transpose(1, 2).unflatten(2, grid), tokens[:, 0, :, None, None]]
        return tuple(kept)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode features with prompts [P,D] or [B,P,D] into logits [B,P,H,W] and presence [B,P]."""
        decoder = self.network.decoder
        photos, _, rows, columns = features[0].shape
        embeddings = per_photo(embeddings, photos)
        pairs = list(zip(features[::2], features[1::2], strict=True))[::-1]
        output: Tensor | None = None
        for index, (spatial, token) in enumerate(pairs):
            tokens = torch.cat([token.flatten(2), spatial.flatten(2)], dim=2).transpose(1, 2)
            reduced = decoder.reduces[index](tokens)[:, None]
            # all prompts of a photo share the computation before the conditional layer
            output = reduced if output is None else reduced + output.unflatten(0, (photos, -1))
            if index == decoder.conditional_layer:
                scale, shift = decoder.film_mul(embeddings), decoder.film_add(embeddings)
                output = scale[:, :, None] * output + shift[:, :, None]
            output = decoder.layers[index](output.flatten(0, 1), attention_mask=None)
        assert output is not None  # the configuration always names layers
        grid = output[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))
        logits = decoder.transposed_convolution(grid).squeeze(1)
        return with_presence(logits, photos)

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Load a folder of CLIPSeg weights and check every name and shape."""
        self.load_whole(self.network, folders["clipseg"], "clipseg")


class ConvolutionDecoder(nn.Module):
    """Decoder with 64→256→128→64→1 channels that upsamples ×2 after each 3×3 convolution (stride 16→2)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in ((WIDTH, 256), (256, 128), (128, WIDTH))
        )
        self.mask = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,64,h,w] to logits [N,8h,8w]."""
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.mask(x).squeeze(1)


class ClipCnnModel(ClipSighted):
    """The model of the project report: CLIP's towers, two projections, their product and a decoder.

    CLIP ViT-B/16 (149,620,737 parameters), projections 768→64 and 512→64 (82,048), and convolutions
    64→256→128→64→1 (516,609). The report's parameter count omits the projections. In this
    class, the projections are submodules, so that they are trained and saved. Input sides are
    multiples of 16.

    Args:
        size: "base" (150,219,394 parameters) or "tiny".

    Example:
        >>> model = ClipCnnModel("tiny").eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 64, 64))
        >>> logits, presence = model.decode(features, model.encode_prompts(["segment crack"]))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 1, 32, 32), (2, 1))
    """

    stride = 2
    family = "clip-cnn"
    stops = ("clip.vision_model.post_layernorm", "clip.visual_projection", "clip.logit_scale")

    def __init__(self, size: str = "base") -> None:
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        config = CLIPConfig(**clip_settings(size))
        self.clip = CLIPModel(config)
        self.embedding_width = int(config.projection_dim)
        self.photo_projection = nn.Linear(config.vision_config.hidden_size, WIDTH)
        self.prompt_projection = nn.Linear(self.embedding_width, WIDTH)
        self.decoder = ConvolutionDecoder()
        # start with few foreground pixels: sigmoid(-2) is near the foreground share of labelled photos
        nn.init.constant_(self.decoder.mask.bias, -2.0)  # type: ignore[arg-type]

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,H,W] into the last layer's patches [B,C,H/16,W/16]."""
        *_, (tokens, grid) = self.encode_layers(images)
        return (tokens[:, 1:].transpose(1, 2).unflatten(2, grid),)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode features with prompts [P,D] or [B,P,D] into logits [B,P,H/2,W/2] and presence [B,P]."""
        photos = features[0].shape[0]
        codes = self.prompt_projection(per_photo(embeddings, photos))
        shared = self.photo_projection(features[0].movedim(1, 3)).movedim(3, 1)
        product = shared[:, None] * codes[:, :, :, None, None]
        return with_presence(self.decoder(product.flatten(0, 1)), photos)

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Load the CLIP part from a folder of CLIP weights. The projections and the decoder stay random."""
        self.load_whole(self.clip, folders["clip"], "clip")
