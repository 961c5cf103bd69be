"""SAM + CLIP: SAM's frozen image encoder, and its mask decoder prompted by CLIP's text embedding.

Kirillov et al., "Segment Anything" (ICCV 2023), https://arxiv.org/abs/2304.02643. The text embedding is
projected into SAM's prompt space and stands where a point or a box would: one sparse prompt token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from drywallqa.models.contract import Features, TrainedLayers, check_size, load_strictly, per_photo
from drywallqa.models.published_weights import read_published
from drywallqa.models.towers import PATCH, ClipPrompted, text_settings

_TWINS = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


def make_sam(size: str) -> Any:
    """Make SAM with random weights: "base" as published (1024 px), or "tiny" (128 px)."""
    from transformers import SamConfig, SamModel

    if size == "base":
        return SamModel(SamConfig())
    side, width = 128, 32
    config = SamConfig(
        vision_config={
            "image_size": side, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "output_channels": width, "window_size": 4, "global_attn_indexes": [1],
            "num_pos_feats": width // 2, "mlp_dim": 96,
        },
        prompt_encoder_config={"hidden_size": width, "image_size": side, "mask_input_channels": 8},
        mask_decoder_config={
            "hidden_size": width, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": width,
        },
    )  # fmt: skip
    return SamModel(config)


def load_sam(sam: nn.Module, folder: Path) -> None:
    """Fill SAM from a folder of published weights, every name and shape checked.

    Raises:
        ModelError: The folder holds another model, or names or shapes do not fit.
    """
    state = read_published(folder, "sam")
    # the two are one tensor, which safetensors keeps once
    for here, there in (_TWINS, _TWINS[::-1]):
        if here in state:
            state.setdefault(there, state[here])
    load_strictly(sam, state, str(folder))


class SamClipModel(ClipPrompted):
    """SAM's mask decoder under a text prompt token; one square input size.

    Args:
        size: "base" (1024 px) or "tiny" (128 px).

    Example:
        >>> model = SamClipModel("tiny").eval()
        >>> features = model.encode_image(torch.zeros(2, 3, 128, 128))
        >>> logits, presence = model.decode(features, model.encode_prompts(["segment crack"]))
        >>> tuple(logits.shape), tuple(presence.shape)
        ((2, 1, 32, 32), (2, 1))
    """

    stride = 4
    tower_path = "text"
    # the prompt encoder's points and boxes, and the masks SAM offers beside its first
    stops = (
        "sam.prompt_encoder", "sam.shared_image_embedding", "sam.mask_decoder.output_hypernetworks_mlps.1.",
        "sam.mask_decoder.output_hypernetworks_mlps.2.", "sam.mask_decoder.output_hypernetworks_mlps.3.",
    )  # fmt: skip

    def __init__(self, size: str = "base") -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        config = CLIPTextConfig(**text_settings(size))
        self.text = CLIPTextModelWithProjection(config)
        self.sam = make_sam(size)
        self.embedding_width = int(config.projection_dim)
        self.side = int(self.sam.config.vision_config.image_size)
        width = int(self.sam.config.mask_decoder_config.hidden_size)
        self.prompt_projection = nn.Sequential(
            nn.Linear(self.embedding_width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def vision_layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return SAM's image encoder's layers, its neck last, and what comes before them."""
        encoder = self.sam.vision_encoder
        return [*encoder.layers, encoder.neck], [encoder.patch_embed]

    def encode_image(self, images: Tensor) -> Features:
        """Encode [B,3,S,S] as SAM's embedding [B,C,S/16,S/16]."""
        check_size("sam-clip", images, PATCH, self.side)
        return (self.sam.vision_encoder(images).last_hidden_state,)

    def decode(self, features: Features, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Decode under prompts [P,D] or [B,P,D]: logits [B,P,S/4,S/4] and presence [B,P].

        Presence is SAM's own estimate of its mask's quality, which fine-tuning turns into presence.
        """
        photos = features[0].shape[0]
        token = self.prompt_projection(per_photo(embeddings, photos))[:, :, None]
        positions = self.sam.get_image_wide_positional_embeddings().expand(photos, -1, -1, -1)
        nothing = self.sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(features[0])
        masks, quality = self.sam.mask_decoder(
            image_embeddings=features[0],
            image_positional_embeddings=positions,
            sparse_prompt_embeddings=token,
            dense_prompt_embeddings=nothing,
            multimask_output=False,
        )
        return masks[:, :, 0], quality[:, :, 0]

    def photo_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the image encoder's parameters."""
        yield from self.sam.vision_encoder.parameters()

    def freeze(self, trained: TrainedLayers) -> None:
        """Freeze the image encoder and the text tower but for the last layers asked for."""
        super().freeze(trained)
        layers, _ = self.vision_layers()
        self.sam.vision_encoder.pos_embed.requires_grad_(trained.vision_layers > len(layers))

    def load_pretrained(self, folders: Mapping[str, Path]) -> None:
        """Fill SAM and CLIP's text tower; the projection between them starts at random."""
        load_sam(self.sam, folders["sam"])
        self.load_clip_text(folders["clip"])
