"""CLIPSeg: CLIP's towers with a small transformer decoder, the model the report chose.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts" (CVPR 2022),
https://arxiv.org/abs/2112.10003, with the published parameter names. Unlike transformers' own call, which
encodes the photo again for every prompt, a photo is encoded once here, only as deep as the decoder looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from drywallqa.models.contract import Features, per_photo, with_presence
from drywallqa.models.towers import ClipSighted, clip_settings


class ClipSegModel(ClipSighted):
    """`CIDAS/clipseg-rd64-refined` behind the contract; input sides are multiples of 16.

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
        # transformers draws these from N(0, 1), from which nothing trains; torch's own start does
        for part in (decoder.film_mul, decoder.film_add, decoder.reduces, decoder.transposed_convolution):
            for layer in part.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                    layer.reset_parameters()
        tower = "network.clip.vision_model"
        deepest, count = max(config.extract_layers) + 1, config.vision_config.num_hidden_layers
        # layers deeper than the decoder looks, and what CLIP uses to compare photos with texts
        self.stops = (
            *(f"{tower}.encoder.layers.{index}." for index in range(deepest, count)),
            f"{tower}.post_layernorm",
            "network.clip.visual_projection",
            "network.clip.logit_scale",
        )

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the layers that the decoder reads, or that lie before those, and the embeddings."""
        layers, before = super().vision_layers()
        return layers[: max(self.network.extract_layers) + 1], before

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,H,W]: of each layer the decoder reads, a map [B,C,h,w] and a class token [B,C,1,1]."""
        kept: list[Tensor] = []
        for index, (tokens, grid) in enumerate(self.encode_layers(images)):
            if index in self.network.extract_layers:
                kept += [tokens[:, 1:].transpose(1, 2).unflatten(2, grid), tokens[:, 0, :, None, None]]
        return tuple(kept)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode under prompts [P,D] or [B,P,D]: logits [B,P,H,W] and presence [B,P]."""
        decoder = self.network.decoder
        photos, _, rows, columns = features[0].shape
        embeddings = per_photo(embeddings, photos)
        pairs = list(zip(features[::2], features[1::2], strict=True))[::-1]
        output: Tensor | None = None
        for index, (spatial, token) in enumerate(pairs):
            tokens = torch.cat([token.flatten(2), spatial.flatten(2)], dim=2).transpose(1, 2)
            reduced = decoder.reduces[index](tokens)[:, None]
            # until the prompt comes in, all prompts of a photo share the computation
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
        """Fill the model from a folder of CLIPSeg weights, every name and shape checked."""
        self.load_whole(self.network, folders["clipseg"], "clipseg")
