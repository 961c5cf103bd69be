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

from drywallqa.models.contract import Features, check_size, is_tracing, per_photo, with_presence
from drywallqa.models.towers import ClipPrompted, clip_settings, embed_patches, load_whole

PATCH = 16


class ClipSegModel(ClipPrompted):
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

    def __init__(self, size: str = "base") -> None:
        super().__init__()
        from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

        small = {} if size == "base" else {
            "reduce_dim": 32, "decoder_intermediate_size": 64, "decoder_num_attention_heads": 2,
            "extract_layers": [0, 1, 2],
        }  # fmt: skip
        config = CLIPSegConfig(**clip_settings(size), use_complex_transposed_convolution=True, **small)
        self.network = CLIPSegForImageSegmentation(config)
        self.embedding_width = int(config.projection_dim)
        _start_decoder(self.network.decoder)
        deepest = max(config.extract_layers) + 1
        unused = [f"network.clip.vision_model.encoder.layers.{index}." for index in
                  range(deepest, config.vision_config.num_hidden_layers)]  # fmt: skip
        # layers deeper than the decoder looks, and what CLIP uses to compare photos with texts
        self.stops = (
            *unused, "network.clip.vision_model.post_layernorm", "network.clip.visual_projection",
            "network.clip.logit_scale",
        )  # fmt: skip

    def text_parts(self) -> tuple[nn.Module, nn.Module]:
        """Return the text tower and its projection."""
        return self.network.clip.text_model, self.network.clip.text_projection

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the layers that the decoder looks at, and the embeddings before them."""
        tower = self.network.clip.vision_model
        layers = list(tower.encoder.layers)[: max(self.network.extract_layers) + 1]
        return layers, [tower.embeddings, tower.pre_layrnorm]

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,H,W]: of each layer the decoder reads, a map [B,C,h,w] and a class token [B,C,1,1]."""
        if not is_tracing():
            check_size("clipseg", images.shape[2], images.shape[3], PATCH)
        tower = self.network.clip.vision_model
        tokens, rows, columns = embed_patches(tower, images)
        kept: list[Tensor] = []
        for index, layer in enumerate(self.vision_layers()[0]):
            tokens = layer(tokens, None)
            if index in self.network.extract_layers:
                kept.append(tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)))
                kept.append(tokens[:, 0, :, None, None])
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
        load_whole(self, self.network, folders["clipseg"], "clipseg")


def _start_decoder(decoder: nn.Module) -> None:
    """Start the decoder as torch does: transformers draws it from N(0, 1), from which nothing trains."""
    for part in (decoder.film_mul, decoder.film_add, decoder.reduces, decoder.transposed_convolution):
        for layer in part.modules():  # type: ignore[union-attr]
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                layer.reset_parameters()
