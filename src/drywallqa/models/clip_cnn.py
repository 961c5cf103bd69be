"""The report's own model: CLIP's towers, two projections, a product, a convolutional decoder.

CLIP ViT-B/16 (149,620,737 parameters), projections 768→64 and 512→64 (82,048), and convolutions
64→256→128→64→1 (516,609). Unlike in the report, whose count lacks the projections, they are registered when
the model is made, so that they are trained and saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from drywallqa.models.contract import Features, per_photo, with_presence
from drywallqa.models.towers import ClipSighted, clip_settings

WIDTH = 64


class ConvolutionDecoder(nn.Module):
    """64→256→128→64→1 with doubling after each 3×3 convolution: a grid of 16 px becomes one of 2 px."""

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
        out: Tensor = self.mask(x)
        return out.squeeze(1)


class ClipCnnModel(ClipSighted):
    """The report's model behind the contract; input sides are multiples of 16.

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
        # a mask starts out rare: sigmoid(-2) is near the share of foreground in labelled photos
        nn.init.constant_(self.decoder.mask.bias, -2.0)  # type: ignore[arg-type]

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,H,W] as the last layer's patches [B,C,H/16,W/16]."""
        *_, (tokens, grid) = self.encode_layers(images)
        return (tokens[:, 1:].transpose(1, 2).unflatten(2, grid),)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode under prompts [P,D] or [B,P,D]: logits [B,P,H/2,W/2] and presence [B,P]."""
        photos = features[0].shape[0]
        codes = self.prompt_projection(per_photo(embeddings, photos))
        shared = self.photo_projection(features[0].movedim(1, 3)).movedim(3, 1)
        product = shared[:, None] * codes[:, :, :, None, None]
        return with_presence(self.decoder(product.flatten(0, 1)), photos)

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Fill the CLIP part from a folder of CLIP weights; projections and decoder start at random."""
        self.load_whole(self.clip, folders["clip"], "clip")
